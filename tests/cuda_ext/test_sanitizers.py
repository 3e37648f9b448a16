"""The C++ kernels under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "cuda_ext"
COMPILER = shutil.which("c++")
MASKS = 400


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler here")
@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_clean(sanitizers, tmp_path):
    program = tmp_path / "random_masks"
    flags = ["-std=c++17", "-O1", "-g", f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", "-pthread"]
    sources = [str(SOURCES / "checks" / "random_masks.cpp"), *map(str, sorted((SOURCES / "cpu").glob("*.cpp")))]
    built = subprocess.run(
        [COMPILER, *flags, *sources, "-o", str(program)], capture_output=True, text=True, check=False
    )
    if built.returncode and "cannot find" in built.stderr:
        pytest.skip("this compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([str(program), str(MASKS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("equal\n")
