"""Dice and NSD against closed forms and DeepMind's own package."""

import math
import warnings

import numpy as np
import pytest

from napari_medsam.engine.evaluation.metrics import dice, nsd, union_box
from napari_medsam.engine.region import Region


def ball(shape, centre, radius):
    grid = np.indices(shape) - np.reshape(centre, (3, 1, 1, 1))
    return (np.square(grid).sum(axis=0) <= radius**2).astype(bool)


def test_dice_is_twice_the_shared_over_the_sum():
    a = np.zeros((4, 6, 8), bool)
    b = a.copy()
    a[1:3, 1:5, 1:5] = True  # 32 voxels
    b[2:4, 1:5, 3:8] = True  # 40 voxels, 8 shared
    assert dice(Region.of(a), Region.of(b)) == pytest.approx(2 * 8 / 72)
    assert dice(Region.of(a), Region.of(a)) == 1.0
    assert dice(Region.of(a), Region.empty()) == 0.0
    assert math.isnan(dice(Region.empty(), Region.empty()))


def test_dice_of_masks_that_lie_apart_is_zero():
    one = Region((0, 0, 0), np.ones((2, 2, 2), bool))
    far = Region((90, 0, 4), np.ones((1, 2, 2), bool))
    assert dice(one, far) == 0.0


def test_union_box_ignores_an_empty_mask():
    one = Region((3, 4, 5), np.ones((2, 2, 2), bool))
    assert union_box(one, Region.empty()) == ((3, 4, 5), (5, 6, 7))
    assert union_box(one, Region((0, 9, 5), np.ones((1, 1, 1), bool)), margin=1) == ((-1, 3, 4), (6, 11, 8))


def test_nsd_counts_a_shift_within_the_tolerance_only():
    slab = Region((10, 0, 0), np.ones((10, 40, 40), bool))
    moved = Region((12, 0, 0), slab.voxels)
    # Two slices of 1 mm are within 2 mm; of 1.5 mm they are not, and only the side walls still count.
    assert nsd(slab, moved, (1.0, 1.0, 1.0)) == 1.0
    thick = nsd(slab, moved, (1.5, 1.0, 1.0))
    walls, lids = 4 * 40 * 10 * 1.5, 2 * 40 * 40
    assert thick == pytest.approx(walls / (walls + lids), abs=0.06)


def test_nsd_uses_each_axis_own_spacing():
    slab = Region((0, 10, 0), np.ones((40, 10, 40), bool))
    moved = Region((0, 12, 0), slab.voxels)
    assert nsd(slab, moved, (5.0, 1.0, 5.0)) == 1.0
    assert nsd(slab, moved, (1.0, 5.0, 1.0)) < 0.8


def test_nsd_is_zero_up_to_a_dice_of_a_fifth():
    # Thin plates half a millimetre apart: their surfaces agree, their voxels do not.
    plate = Region((0, 0, 0), np.ones((1, 20, 20), bool))
    beside = Region((1, 0, 0), plate.voxels)
    assert nsd(plate, beside, (0.5, 0.5, 0.5)) == 0.0
    assert nsd(plate, Region.empty(), (1.0, 1.0, 1.0)) == 0.0


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.8, 0.8), (0.7, 2.5, 1.1)])
def test_nsd_agrees_with_surface_distance(spacing):
    peer = pytest.importorskip("surface_distance")
    shape = (20, 40, 44)
    truth = ball(shape, (9, 18, 20), 7) | ball(shape, (11, 26, 28), 5)
    answer = ball(shape, (10, 20, 21), 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it uses names scipy has moved
        surfaces = peer.compute_surface_distances(truth, answer, spacing)
    expected = peer.compute_surface_dice_at_tolerance(surfaces, 2.0)
    assert 0.2 < expected < 1.0
    assert nsd(Region.of(truth), Region.of(answer), spacing) == pytest.approx(expected, abs=1e-5)
