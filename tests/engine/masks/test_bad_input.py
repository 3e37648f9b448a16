"""Input at the edge: it works exactly, or one sentence says why not; nothing is copied behind anybody's back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_medsam.engine import masks
from napari_medsam.engine.errors import MaskError
from napari_medsam.engine.masks.compiled import core

RING = np.zeros((7, 7), bool)
RING[1:6, 1:6] = True
RING[3, 3] = False


def refused(match, operation, *args, **options):
    with pytest.raises(MaskError, match=match) as error:
        operation(*args, **options)
    text = str(error.value)
    assert text.endswith(".")
    assert "\n" not in text


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (0, 4, 4), (4, 0, 4), (3, 0, 4, 4), (0, 4, 4, 4)])
def test_nothing_is_cleaned_of_nothing(shape):
    mask = np.zeros(shape, bool)
    assert masks.fill_holes(mask).shape == shape
    assert masks.keep_largest(mask, out=mask) is mask
    labels, counts = masks.label(mask)
    assert labels.shape == shape
    assert not counts.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (1, 1, 1), (1, 1, 70000), (70000, 1), (5, 1, 7), (1, 70001)])
def test_one_voxel_wide_and_wider_than_16_bits_count(shape):
    mask = np.random.default_rng(0).random(shape) < 0.6
    assert np.array_equal(masks.fill_holes(mask), ndimage.binary_fill_holes(mask))
    labels, counts = masks.label(mask, connectivity=4 if mask.ndim == 2 else 6)
    expected, count = ndimage.label(mask)
    assert np.array_equal(labels, expected)
    assert counts == count


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint16", "float16", "float64", "complex64", "object"])
def test_types_of_other_voxels(dtype):
    refused(f"not {np.dtype(dtype).name}", masks.fill_holes, np.zeros((4, 4), dtype))


def test_options_that_fit_nothing():
    scores = RING.astype(np.float32)
    refused("give a threshold", masks.fill_holes, scores)
    refused("A threshold is for scores", masks.fill_holes, RING, threshold=0.5)
    refused("Scores are float32, not float64", masks.fill_holes, scores.astype(float), threshold=0.5)
    refused("as this machine has it", masks.fill_holes, scores.astype(">f4"), threshold=0.5)
    refused("give their threshold too", masks.fill_holes, RING, score=1.0)
    refused("2 or 3 dimensions", masks.fill_holes, RING, dims=4)
    refused("has 3 axes or more", masks.fill_holes, RING, dims=3)
    refused("is 4 or 8, not 6", masks.label, RING, connectivity=6)
    refused("background is 6, 18 or 26, not 4", masks.fill_holes, RING[None], background=4)
    refused("not -1", masks.fill_holes_up_to, RING, -1)
    refused("not 2.5", masks.remove_islands, RING, 2.5)
    refused("at least one thread", masks.fill_holes, RING, threads=0)
    refused("not a list", masks.fill_holes, RING.tolist())
    refused("2 for each point", masks.keep_touching, RING, [(1, 2, 3)])
    refused("whole numbers", masks.keep_touching, RING, [(1.5, 2.5)])
    refused(r"point \(0, 7\) is outside", masks.keep_touching, RING, [(0, 7)])
    refused("is outside", masks.keep_touching, RING, [(-1, 0)])
    refused("not inside an array", masks.fill_holes, RING, region=((0, 0), (8, 8)))
    refused("lower, upper", masks.fill_holes, RING, region=((0,), (8, 8)))
    refused("last 2 axes or more", masks.fill_holes, RING, region=((0,), (3,)))


def test_results_that_cannot_be_written():
    refused("bool of shape", masks.fill_holes, RING, out=np.zeros((7, 8), bool))
    refused("does not fit into uint8", masks.fill_holes, RING, out=np.zeros((7, 7), np.uint8))
    refused("int32 of shape", masks.label, RING, out=np.zeros((7, 7), np.int64))
    refused("a list", masks.fill_holes, RING, out=RING.tolist())
    locked = RING.copy()
    locked.flags.writeable = False
    assert masks.fill_holes(locked)[3, 3]
    refused("read-only", masks.fill_holes, RING, out=locked)
    refused("read-only", masks.fill_holes, locked, out=locked)
    memory = np.zeros((9, 7), bool)
    refused("overlaps the mask", masks.fill_holes, memory[:7], out=memory[2:])
    square = np.zeros((7, 7), bool)
    refused("overlaps the mask", masks.fill_holes, square, out=square.T)
    refused("share their memory", masks.fill_holes, RING, out=np.lib.stride_tricks.as_strided(square, (7, 7), (0, 1)))


def test_a_batch_that_cannot_be_seen_as_one_without_a_copy():
    batch = np.zeros((3, 4, 5, 6), bool).transpose(1, 0, 2, 3)
    refused("give a contiguous array", masks.fill_holes, batch, dims=2)
    assert masks.fill_holes(np.ascontiguousarray(batch), dims=2).shape == batch.shape


def test_another_view_of_the_same_voxels_is_in_place():
    mask = RING.copy()
    again = mask[...]
    assert masks.fill_holes(mask, out=again) is again
    assert mask[3, 3]


def test_everything_but_the_mask_s_own_voxels_is_left_alone():
    memory = np.full((9, 20), 7, np.uint8)
    view = memory[1:8, 2:16:2]
    view[...] = RING
    masks.fill_holes(view, out=view)
    assert view[3, 3] == 1
    outside = memory.copy()
    outside[1:8, 2:16:2] = 7
    assert (outside == 7).all()


def test_values_stay_and_holes_become_one():
    mask = RING.astype(np.uint8) * 200
    expected = mask.copy()
    expected[3, 3] = 1
    assert np.array_equal(masks.fill_holes(mask), expected)


def test_not_a_number_is_neither_foreground_nor_a_hole():
    scores = np.where(RING, 1, -1).astype(np.float32)
    scores[3, 3] = np.nan
    scores[2, 2] = -1
    assert masks.fill_holes(scores, threshold=0.0)[2:4, 2:4].all()
    raised = masks.fill_holes(scores, threshold=0.0, score=9)
    assert np.isnan(raised[3, 3])
    assert raised[2, 2] == 9


def test_of_equal_pieces_the_first_is_kept():
    mask = np.zeros((3, 9), bool)
    mask[2, :2] = mask[0, 4:6] = mask[2, 7:9] = True
    assert np.argwhere(masks.keep_largest(mask)).tolist() == [[0, 4], [0, 5]]


@pytest.mark.slow
@pytest.mark.skipif(core() is None, reason="minutes long without the compiled kernels")
def test_more_voxels_than_31_bits_count():
    # Only the pages with something in them are ever taken from the machine.
    mask = np.zeros((2049, 1024, 1024), bool)
    mask[-4:-1, 500:503, 500:503] = True
    mask[-3, 501, 501] = False
    mask[0, 0, 0] = True
    masks.fill_holes(mask, out=mask)
    assert mask[-3, 501, 501]
    masks.keep_largest(mask, out=mask)
    assert mask.sum() == 27
