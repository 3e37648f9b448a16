"""The ways masks are worked on: compiled or not, for any processor, on any threads, in a forked child."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import test_exactness

from napari_medsam.engine import masks
from napari_medsam.engine.masks import compiled, numpy_masks
from napari_medsam.engine.masks.scipy_path import ScipyPath

needs_core = pytest.mark.skipif(compiled.core() is None, reason=f"no C++ kernels: {compiled.why_no_core()}")


@pytest.fixture
def slow_path(monkeypatch):
    monkeypatch.setattr(numpy_masks, "_path", ScipyPath)


@pytest.mark.parametrize("operation", test_exactness.OPERATIONS)
def test_the_slow_path_has_the_same_results(operation, slow_path):
    test_exactness.check(operation, 25, seed=7)


def test_the_slow_path_labels_and_takes_scores_alike(slow_path):
    test_exactness.check_labels(25, seed=8)
    test_exactness.check_scores(15, seed=9)


@needs_core
@pytest.mark.parametrize("level", [0, 1], ids=["baseline", "AVX2"])
def test_older_processors_have_the_same_results(level):
    compiled.core().limit_processor(level)
    try:
        for operation in test_exactness.OPERATIONS:
            test_exactness.check(operation, 15, seed=10)
        test_exactness.check_labels(15, seed=11)
        test_exactness.check_scores(15, seed=12)
    finally:
        compiled.core().limit_processor(2)


def large():
    return np.random.default_rng(5).random((24, 90, 100)) < 0.6


@needs_core
def test_several_callers_at_once_share_the_threads():
    mask = large()
    expected = masks.fill_holes(mask, threads=1)
    with ThreadPoolExecutor(4) as callers:
        results = list(callers.map(lambda _: masks.fill_holes(mask, threads=3), range(40)))
    assert all(np.array_equal(result, expected) for result in results)


@needs_core
@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_a_forked_child_has_its_own_threads():
    expected = int(masks.fill_holes(large(), threads=2).sum())
    code = (
        "import os, numpy as np; from napari_medsam.engine import masks\n"
        "mask = np.random.default_rng(5).random((24, 90, 100)) < 0.6\n"
        "first = masks.fill_holes(mask, threads=2).sum(); child = os.fork()\n"
        "second = masks.fill_holes(mask, threads=2).sum()\n"
        "if child == 0: os._exit(0 if first == second else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0; print(second)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == expected


def test_pure_python_on_demand_says_so():
    code = (
        "from napari_medsam.engine.masks import compiled, fill_holes; import numpy as np\n"
        "assert compiled.core() is None; print(compiled.why_no_core())\n"
        "assert fill_holes(np.pad(np.zeros((1, 1), bool), 1, constant_values=True)).all()"
    )
    env = {**os.environ, compiled.PURE_SWITCH: "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{compiled.PURE_SWITCH} asks for pure Python"


def test_the_gpu_waits_for_somebody_who_has_seen_it_work():
    assert compiled.cuda() is None
    if compiled.cuda_is_built():
        assert "never yet seen to run on a GPU" in compiled.why_no_cuda()
        assert compiled.CUDA_SWITCH in compiled.why_no_cuda()
    else:
        assert compiled.why_no_cuda().startswith("not built: ")


@pytest.mark.skipif(not compiled.cuda_is_built(), reason="no CUDA kernels came with this install")
def test_the_cuda_kernels_load_without_a_gpu():
    from napari_medsam.engine.masks import _cuda

    count, problem = _cuda.devices()
    assert count >= 0
    assert problem
    assert _cuda.workspace((1, 1, 64, 64), True) > _cuda.workspace((1, 1, 64, 64), False) > 64 * 64 // 8
    # 2^33 rows of one voxel: more than 32 bits number.
    assert _cuda.workspace((1, 2**17, 2**16, 1), False) == 0
