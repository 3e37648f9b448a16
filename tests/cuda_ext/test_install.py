"""``pip install .`` on machines with and without compilers: it always ends well, and says what it left out."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NVCC = shutil.which("nvcc")
COMPILER = shutil.which("c++")

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("scikit_build_core", "nanobind"))) or shutil.which("cmake") is None,
        reason="without an index to fetch them from, an install needs scikit-build-core, nanobind and CMake here",
    ),
]

# What a user would do next; prints which kernels there are and why not the others.
USE = """
import numpy as np
from napari_medsam.engine.masks import compiled, fill_holes
import napari_medsam
ring = np.pad(np.zeros((1, 1), bool), 1, constant_values=True)
assert fill_holes(ring).all()
print(napari_medsam.__file__)
print("core:", compiled.why_no_core() or "active")
print("cuda built:", compiled.cuda_is_built())
if compiled.cuda_is_built():
    from napari_medsam.engine.masks import _cuda
    print("cuda devices:", _cuda.devices()[0])
print("cuda:", compiled.why_no_cuda())
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The tracked files alone, as in a clone."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone, so it cannot be told what belongs to the source")
    clone = tmp_path_factory.mktemp("clone") / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if name.split("/")[0] not in ("docs", "benchmarks", "tests", "runs") and (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, clone / name)
    return clone


@pytest.fixture
def install(source, tmp_path):
    def run(**environment: str) -> str:
        # Of its own, for a build leaves its folder behind.
        clone = shutil.copytree(source, tmp_path / "source")
        home = tmp_path / "venv"
        venv.create(home, with_pip=False)
        python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
        site = subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
        env = {name: value for name, value in os.environ.items() if name not in ("CXX", "CC", "CUDACXX", "PYTHONPATH")}
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "--target",
        ]
        done = subprocess.run(
            [*command, site, str(clone)],
            env=env | {"CMAKE_BUILD_PARALLEL_LEVEL": "2"} | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        # What it depends on is found where the tests found it; the package itself is the one just installed.
        others = os.pathsep.join(path for path in sys.path if path and Path(path) not in (ROOT, ROOT / "tests"))
        used = subprocess.run(
            [python, "-c", f"import sys; sys.path[1:1] = [{site!r}]\n" + USE],
            env=env | {"PYTHONPATH": os.pathsep.join([site, others])},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert used.returncode == 0, used.stderr
        assert used.stdout.startswith(site)
        return used.stdout

    return run


@pytest.mark.slow
@pytest.mark.skipif(NVCC is None or COMPILER is None, reason="there is no nvcc here")
def test_with_nvcc(install):
    said = install()
    assert "core: active" in said
    # Imported without a GPU or a driver, though not used before somebody asks for it.
    assert "cuda devices: " in said
    assert "never yet seen to run" in said


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler here")
def test_without_nvcc(install, tmp_path):
    said = install(CUDACXX=str(tmp_path / "missing"))
    assert "core: active" in said
    assert "cuda built: False" in said


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None or os.name == "nt", reason="there is no C++ compiler here")
def test_with_a_broken_nvcc(install, tmp_path):
    broken = tmp_path / "nvcc"
    broken.write_text("#!/bin/sh\necho 'nvcc error: no license to compile' >&2\nexit 1\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    said = install(CUDACXX=str(broken))
    assert "core: active" in said
    assert "cuda built: False" in said


def test_without_any_compiler(install, tmp_path):
    said = install(CXX=str(tmp_path / "missing"), CUDACXX=str(tmp_path / "missing"))
    assert "core: not built: " in said
    assert "compiler" in said.lower()
    assert "cuda built: False" in said


@pytest.mark.skipif(os.name == "nt", reason="a script stands in for CMake")
def test_where_cmake_itself_does_not_run(install, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    broken = tools / "cmake"
    # It tells its version and can do nothing else.
    real = shutil.which("cmake")
    broken.write_text(f'#!/bin/sh\ncase "$*" in *--version*|*-E*capabilities*) exec {real} "$@";; esac\nexit 1\n')
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    said = install(CMAKE_EXECUTABLE=str(broken), PATH=f"{tools}{os.pathsep}{os.environ['PATH']}")
    assert "core: not built: this is a pure Python install" in said
