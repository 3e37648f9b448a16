"""The CUDA kernels' logic, run on the CPU with its threads in random order, against the C++ kernels or scipy."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from napari_medsam.engine import masks
from napari_medsam.engine.masks.plan import Rule, component_connectivity

SOURCE = Path(__file__).resolve().parents[2] / "cuda_ext" / "emulation" / "emulation.cpp"
COMPILER = shutil.which("c++")


@pytest.fixture(scope="module")
def emulate(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("there is no C++ compiler to build the emulation with")
    library = tmp_path_factory.mktemp("emulation") / "emulation.so"
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"]
    subprocess.run([COMPILER, *flags, str(SOURCE), "-o", str(library)], check=True, timeout=300)
    run = ctypes.CDLL(str(library)).emulate
    run.restype = None

    def call(batch, connectivity, faces, background, rule, size=0, threshold=None, seed=0):
        n, z, y, x = batch.shape
        out = np.empty(batch.shape, np.uint8)
        run(
            *(ctypes.c_void_p(array.ctypes.data) for array in (batch, out)),
            ctypes.c_int64(n),
            *(ctypes.c_int32(length) for length in (z, y, x)),
            ctypes.c_int32(connectivity),
            ctypes.c_uint32(faces),
            ctypes.c_int32(background),
            ctypes.c_int32(int(rule)),
            ctypes.c_uint32(size),
            ctypes.c_int32(threshold is not None),
            ctypes.c_float(threshold or 0),
            ctypes.c_uint32(seed),
        )
        return out

    return call


def noise(rng):
    shape = (*rng.integers(1, 4, 1), *rng.integers(1, 13, 2), int(rng.choice([1, 31, 32, 33, 64, 100, 129])))
    return (rng.random(shape) < rng.choice([0.1, 0.4, 0.5, 0.6, 0.75, 0.9])).astype(np.uint8)


@pytest.mark.parametrize("seed", range(60))
def test_same_as_on_the_cpu(emulate, seed):
    rng = np.random.default_rng(seed)
    batch = noise(rng)
    size = int(rng.choice([0, 1, 4, 9]))
    flat = batch.reshape(-1, 1, *batch.shape[2:])
    for dims, some, all_faces in ((3, batch, 63), (2, flat, 60)):
        one = some if dims == 3 else flat[:, 0]
        for connectivity in (6, 18, 26) if dims == 3 else (4, 8):
            hole = component_connectivity(None, connectivity, dims, of_background=True)
            filled = masks.fill_holes(one, dims=dims, background=hole).reshape(some.shape)
            assert np.array_equal(emulate(some, hole, all_faces, 1, Rule.ALL, seed=seed), filled)
            filled = masks.fill_holes_up_to(one, size, dims=dims, background=hole, open_border=False)
            assert np.array_equal(emulate(some, hole, 0, 1, Rule.AT_MOST, size, seed=seed), filled.reshape(some.shape))
            kept = masks.remove_islands(one, size, dims=dims, connectivity=connectivity).reshape(some.shape)
            assert np.array_equal(emulate(some, connectivity, 0, 0, Rule.FEWER_THAN, size, seed=seed), kept)


def test_scores_and_in_place_words_at_any_address(emulate):
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((2, 5, 9, 77)).astype(np.float32)
    expected = masks.fill_holes(scores, threshold=0.3, dims=3)
    assert np.array_equal(emulate(scores, 6, 63, 1, Rule.ALL, threshold=0.3), expected)
