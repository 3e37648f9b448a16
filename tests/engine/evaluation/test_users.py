"""The simulated user against the challenge's rules."""

import numpy as np
from scipy import ndimage

from napari_medsam.engine.evaluation import users
from napari_medsam.engine.evaluation.users import next_click, tight_box
from napari_medsam.engine.region import Region


def test_tight_box_touches_all_sides():
    mask = np.zeros((8, 9, 10), bool)
    mask[2, 3:5, 4] = mask[5, 4, 6] = True
    box = tight_box(Region.of(mask))
    assert (box.lower, box.upper, box.positive) == ((2, 3, 4), (6, 5, 7), True)


def test_first_click_is_the_centre_of_the_largest_piece():
    mask = np.zeros((30, 30, 30), bool)
    mask[2:13, 5:16, 7:18] = True
    mask[20:25, 20:25, 20:25] = True
    click = next_click(Region.of(mask), Region.empty())
    assert click is not None
    assert click.voxel == (7, 10, 12)
    assert click.positive


def test_click_on_what_was_added_wrongly_is_negative():
    truth = Region((4, 4, 4), np.ones((5, 5, 5), bool))
    answer = Region((4, 4, 4), np.ones((5, 5, 14), bool))
    click = next_click(truth, answer)
    assert click is not None
    assert click.voxel[:2] == (6, 6)
    assert 9 <= click.voxel[2] < 18
    assert not click.positive


def test_no_click_when_nothing_is_wrong():
    truth = Region((4, 4, 4), np.ones((5, 5, 5), bool))
    assert next_click(truth, truth) is None


def test_errors_that_touch_at_a_corner_are_one():
    truth = np.zeros((9, 9, 20), bool)
    truth[0:3, 0:3, 0:3] = truth[3:6, 3:6, 3:6] = True  # 27 + 27, touching at a corner only
    truth[0:3, 0:3, 14:18] = True  # 36, apart
    click = next_click(Region.of(truth), Region.empty())
    assert click is not None
    assert click.voxel in {(1, 1, 1), (4, 4, 4)}


def test_click_lies_in_the_error_at_its_farthest_voxel():
    rng = np.random.default_rng(3)
    smooth = ndimage.gaussian_filter(rng.normal(size=(24, 40, 32)), 3)
    truth, answer = smooth > 0.02, smooth > 0.035
    click = next_click(Region.of(truth), Region.of(answer))
    assert click is not None
    errors, _ = ndimage.label(truth ^ answer, np.ones((3, 3, 3)))
    sizes = np.bincount(errors.ravel())
    sizes[0] = 0
    component = np.pad(errors == sizes.argmax(), 1)
    depth = ndimage.distance_transform_edt(component)[1:-1, 1:-1, 1:-1]
    assert depth[click.voxel] == depth.max()
    assert click.positive == truth[click.voxel]


def test_ties_are_drawn_as_the_challenge_draws_them():
    truth = Region((2, 3, 4), np.ones((4, 6, 8), bool))
    click = next_click(truth, Region.empty())
    depth = ndimage.distance_transform_edt(np.pad(truth.voxels, 1))[1:-1, 1:-1, 1:-1]
    ties = np.argwhere(depth == depth.max())
    expected = ties[np.random.RandomState(42).choice(len(ties))] + truth.lower
    assert len(ties) > 1
    assert click is not None
    assert click.voxel == tuple(expected)


def test_large_errors_are_thinned_first_and_still_hit(monkeypatch):
    # The real bound is 60 million voxels; the same code runs with a lower one.
    monkeypatch.setattr(users, "_DOWNSAMPLE_ABOVE", 1000)
    grid = np.indices((21, 23, 25)) - np.array([10, 11, 12]).reshape(3, 1, 1, 1)
    radius = np.sqrt(np.square(grid).sum(axis=0))
    shell = (radius <= 9) & (radius >= 5)
    click = next_click(Region.of(shell), Region.empty())
    assert click is not None
    assert shell[click.voxel]
    depth = ndimage.distance_transform_edt(np.pad(shell, 1))[1:-1, 1:-1, 1:-1]
    assert depth[click.voxel] >= depth.max() - 2  # to within the thinning
