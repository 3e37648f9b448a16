"""What simulated users draw lies where a person would draw it."""

import numpy as np
import pytest
from scipy import ndimage

from napari_medsam.engine.evaluation import dice
from napari_medsam.engine.evaluation.gestures import (
    centre_stroke,
    outline_lasso,
    spoilt_mask,
    stroke_beside,
    stroke_in_error,
)
from napari_medsam.engine.region import Region

SHAPE = (18, 32, 36)


@pytest.fixture
def bar(truth: np.ndarray) -> Region:
    return Region.of(truth == 1)


def test_the_centre_line_follows_a_bent_structure_from_end_to_end(bar):
    stroke = centre_stroke(bar)
    voxels = stroke.region(SHAPE)
    assert stroke.positive
    assert np.count_nonzero(voxels.full(SHAPE) & ~bar.full(SHAPE)) == 0
    assert len({z for z, _, _ in stroke.path}) == 1
    _, y, x = np.array(stroke.path).T
    assert np.ptp(y) > 10
    assert np.ptp(x) > 12


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 2, 2), (1, 7, 7), (3, 1, 9)])
def test_any_structure_can_be_marked(size):
    truth = Region((3, 4, 5), np.ones(size, bool))
    assert centre_stroke(truth).region(SHAPE).inside(truth.lower, truth.upper).any()
    assert outline_lasso(truth).region(SHAPE)
    assert spoilt_mask(truth, SHAPE).region(SHAPE)


def test_a_stroke_beside_touches_no_voxel_of_the_structure(bar):
    stroke = stroke_beside(bar, SHAPE)
    assert stroke is not None
    assert not stroke.positive
    voxels = stroke.region(SHAPE).full(SHAPE)
    away = ndimage.distance_transform_edt(~bar.full(SHAPE))[voxels]
    assert away.min() >= 1
    assert away.max() < 5
    assert len(away) > 15


def test_there_is_no_room_beside_what_fills_the_slice():
    assert stroke_beside(Region((0, 0, 0), np.ones((1, 9, 9), bool)), (1, 9, 9)) is None


def test_strokes_lie_in_the_largest_error(bar):
    half = Region(bar.lower, bar.voxels.copy())
    half.voxels[:, :, 5:] = False
    missed = stroke_in_error(bar, half)
    assert missed is not None
    assert missed.positive
    assert not (missed.region(SHAPE).full(SHAPE) & half.full(SHAPE)).any()
    assert not (missed.region(SHAPE).full(SHAPE) & ~bar.full(SHAPE)).any()
    spilt = stroke_in_error(half, bar)
    assert spilt is not None
    assert not spilt.positive
    assert spilt.path == missed.path
    assert stroke_in_error(bar, bar) is None
    first = stroke_in_error(bar, Region.empty())
    assert first is not None
    assert first.positive


def test_a_lasso_encloses_the_slice_it_is_drawn_in(truth):
    ball = Region.of(truth == 2)
    lasso = outline_lasso(ball).region(SHAPE)
    level = lasso.lower[0]
    inside = Region.of(ball.full(SHAPE)[level : level + 1], (level, 0, 0))
    assert dice(inside, lasso) > 0.85


def test_spoilt_masks_are_wrong_but_near_and_always_the_same(bar, truth):
    scores = []
    for shift in range(12):
        moved = Region((bar.lower[0], bar.lower[1], bar.lower[2] + shift % 8), bar.voxels)
        mask = spoilt_mask(moved, SHAPE)
        again = spoilt_mask(moved, SHAPE)
        np.testing.assert_array_equal(mask.mask.full(SHAPE), again.mask.full(SHAPE))
        scores.append(dice(moved, mask.mask))
    assert min(scores) > 0.2
    assert max(scores) < 0.99
    assert len({round(score, 3) for score in scores}) > 2
