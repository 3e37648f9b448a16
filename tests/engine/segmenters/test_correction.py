"""Where a correction may change a mask."""

import numpy as np
import pytest
import torch

from napari_medsam.engine.prompts import Box, Point, Prompt, Scribble
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact.answer import Look
from napari_medsam.engine.segmenters.compact.correction import (
    Neighbourhood,
    depth_of,
    ignores_newest,
    missing_round,
    strikes_middle,
)
from napari_medsam.engine.segmenters.compact.patch import PatchGrid
from napari_medsam.engine.segmenters.compact.zoom import extent_of

SHAPE = (60, 60, 60)
SPACING = (2.0, 1.0, 1.0)
BALL = Region.of(np.linalg.norm((np.indices(SHAPE).T - 30) * SPACING, axis=-1).T < 20)
"""20 mm round the voxel (30, 30, 30): 10 voxels along z, 20 along y and x."""

BOX = Box((19, 9, 9), (41, 51, 51))


def near_newest(
    mask: Region,
    prompts: list[Prompt],
    shape: tuple[int, int, int] = SHAPE,
    spacing: tuple[float, float, float] = SPACING,
) -> Neighbourhood | None:
    inside = [p.region(shape) for p in prompts if isinstance(p, Box) or (isinstance(p, Point) and p.positive)]
    return Neighbourhood.of(mask, prompts, extent_of([mask, *inside]), shape, spacing)


def clicks(*positions: tuple[int, int, int], positive: bool = True) -> list[Prompt]:
    return [Point(position, positive=positive) for position in positions]


@pytest.mark.parametrize(
    ("position", "positive", "millimetres"),
    [
        ((30, 30, 54), True, 5),  # outside, marked as inside: to the ball, whose last voxel is 49
        ((30, 30, 45), False, 5),  # inside, marked as outside: to the first voxel beyond it
        ((30, 30, 45), True, 5),  # right already
        ((43, 30, 30), True, 8),  # along the coarse axis: four voxels to the last one inside, 39
    ],
)
def test_depth_is_millimetres_to_the_border_on_either_side(
    position: tuple[int, int, int], positive: bool, millimetres: float
) -> None:
    gesture = Point(position, positive=positive).region(SHAPE)
    assert depth_of(gesture, positive, BALL, SHAPE, SPACING, most=15) == pytest.approx(millimetres, abs=0.7)


def test_a_stroke_is_as_deep_as_its_deepest_voxel() -> None:
    stroke = Scribble(((30, 30, 52), (30, 30, 58)), positive=True)
    assert depth_of(stroke.region(SHAPE), True, BALL, SHAPE, SPACING, most=15) == pytest.approx(9, abs=0.7)


def test_no_mark_reaches_farther_than_a_part_of_what_is_known() -> None:
    middle = Point((30, 30, 30), positive=False)
    assert depth_of(middle.region(SHAPE), False, BALL, SHAPE, SPACING, most=7.3) == 7.3
    near = near_newest(BALL, [BOX, *clicks((0, 0, 0)), middle])
    assert near
    known = (41, 51, 51)  # from the first click to the end of the box
    assert near.reach == pytest.approx(0.4 * np.linalg.norm(np.multiply(known, SPACING)))


def test_a_mask_of_one_voxel_in_a_large_box_does_not_stay_so() -> None:
    speck = Region((30, 30, 30), np.ones((1, 1, 1), bool))
    near = near_newest(speck, [BOX, *clicks((30, 30, 30), (30, 30, 40))])
    assert near
    assert near.reach > 10
    assert near.bounded(speck, BALL).count > 500


def test_the_answer_counts_within_reach_and_the_mask_beyond() -> None:
    near = near_newest(BALL, [BOX, *clicks((30, 30, 10), (30, 30, 51))])
    assert near
    assert near.reach == pytest.approx(12, abs=4)
    answer = np.zeros(SHAPE, bool)
    answer[30, 20:41, 40:56] = True
    mask = near.bounded(BALL, Region.of(answer)).inside((0, 0, 0), SHAPE)
    away = np.linalg.norm((np.indices(SHAPE).T - (30, 30, 51)) * SPACING, axis=-1).T
    np.testing.assert_array_equal(mask, np.where(away <= near.reach, answer, BALL.inside((0, 0, 0), SHAPE)))


def test_an_empty_answer_does_not_take_the_mask_away() -> None:
    near = near_newest(BALL, [BOX, *clicks((30, 30, 10), (30, 30, 51))])
    assert near
    left = near.bounded(BALL, Region.empty())
    assert 0.7 * BALL.count < left.count < BALL.count


def test_the_first_marks_may_change_everything() -> None:
    shallow = [(30, 30, 51), (30, 51, 30), (30, 30, 9), (30, 9, 30)]
    for count in range(1, 5):
        assert (near_newest(BALL, [BOX, *clicks(*shallow[:count])]) is None) == (count < 2)
        assert (near_newest(BALL, clicks(*shallow[:count])) is None) == (count < 4)


def test_nor_is_a_picture_bounded_without_a_hint_of_the_size() -> None:
    square = Region((0, 10, 10), np.ones((1, 30, 30), bool))
    marks = clicks(*[(0, 20, 41 + k) for k in range(4)])
    assert near_newest(square, marks, (1, 60, 60), (1.0, 1.0, 1.0)) is None
    assert near_newest(square, [Box((0, 9, 9), (1, 41, 41)), *marks], (1, 60, 60), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        (Point((30, 30, 30), positive=False), True),
        (Point((30, 30, 32), positive=False), True),  # 18 of 20 mm deep
        (Point((30, 30, 36), positive=False), False),
        (Point((30, 30, 30)), False),
        (Point((30, 30, 58), positive=False), False),  # outside already
        (Scribble(((30, 30, 12), (30, 30, 48)), positive=False), True),
        (Scribble(((30, 12, 40), (30, 48, 40)), positive=False), False),
    ],
)
def test_a_mark_outside_that_strikes_the_middle_of_the_mask(mark: Prompt, expected: bool) -> None:
    assert strikes_middle([BOX, mark], BALL, SHAPE, SPACING) is expected


def test_the_end_of_the_image_ends_the_mask_and_a_picture_has_no_depth() -> None:
    half = Region.of(BALL.full(SHAPE) & (np.indices(SHAPE)[2] >= 30))
    inside = half.voxels[:, :, :12]  # cut by the image in the middle of the half
    shape = (inside.shape[0], inside.shape[1], 12)
    mask = Region.of(inside)
    z, y = inside.shape[0] // 2, inside.shape[1] // 2
    assert strikes_middle([Point((z, y, 6), positive=False)], mask, shape, SPACING)
    assert not strikes_middle([Point((z, y, 0), positive=False)], mask, shape, SPACING)
    disc = Region.of(BALL.voxels[10:11])
    assert strikes_middle([Point((0, 20, 20), positive=False)], disc, disc.voxels.shape, SPACING)
    assert not strikes_middle([Point((0, 20, 30), positive=False)], disc, disc.voxels.shape, SPACING)


def test_the_middle_of_a_large_mask_is_found_on_every_other_voxel() -> None:
    cube = Region((5, 5, 5), np.ones((150, 151, 200), dtype=bool))
    shape, spacing = (200, 200, 250), (1.0, 1.0, 1.0)
    assert strikes_middle([Point((80, 80, 100), positive=False)], cube, shape, spacing)
    assert strikes_middle([Point((80, 80, 190), positive=False)], cube, shape, spacing) is False


def test_neither_a_thin_mask_nor_a_settled_one_has_a_middle_to_be_denied() -> None:
    middle = Point((30, 30, 30), positive=False)
    sheet = Region((10, 10, 28), np.ones((40, 40, 4), dtype=bool))  # 2 mm deep
    assert not strikes_middle([BOX, middle], sheet, SHAPE, SPACING)
    earlier = clicks((30, 30, 52))
    assert not strikes_middle([BOX, *earlier, middle], BALL, SHAPE, SPACING)
    assert strikes_middle([*earlier, middle], BALL, SHAPE, SPACING)
    assert not strikes_middle([*earlier, *earlier, *earlier, middle], BALL, SHAPE, SPACING)


def test_a_picture_is_looked_at_as_far_beyond_a_mark_as_the_mask_is_away() -> None:
    shape, spacing = (1, 100, 100), (5.0, 1.0, 1.0)
    mask = Region((0, 40, 40), np.ones((1, 5, 5), bool))
    click = Point((0, 42, 60))
    missing = missing_round([Point((0, 42, 42)), click], mask, shape, spacing)
    assert missing is not None
    np.testing.assert_allclose(missing, [[0, 42 - 16, 60 - 16], [1, 43 + 16, 61 + 16]])
    at_the_border = missing_round([Point((0, 42, 98))], mask, shape, spacing)
    assert at_the_border is not None
    np.testing.assert_allclose(at_the_border, [[0, 0, 48], [1, 93, 100]])
    others = [Point((0, 42, 41)), Point((0, 42, 60), positive=False)]  # in the mask; outside the object
    assert all(missing_round([other], mask, shape, spacing) is None for other in others)
    assert missing_round([Box((0, 30, 30), (1, 90, 90)), click], mask, shape, spacing) is None
    stroke = Scribble(((0, 42, 40), (0, 42, 44)))
    assert missing_round([stroke, click], mask, shape, spacing) is None
    assert missing_round([click], Region.empty(), shape, spacing) is None
    assert missing_round([Point((5, 42, 60))], mask, (10, 100, 100), spacing) is None


def test_a_click_close_beside_the_mask_that_stays_a_piece_of_its_own_is_ignored() -> None:
    grid = PatchGrid((0.0, 0.0, 0.0), (40.0, 40.0, 40.0), (40, 40, 40))
    previous = Region((4, 4, 4), np.ones((5, 5, 5), bool))

    def ignored(x: int, *parts: Region, before: Region = previous, clicks: int = 2) -> bool:
        mask = np.logical_or.reduce([part.full(grid.cells) for part in parts])
        look = Look(grid, torch.from_numpy(np.where(mask, 4.0, -4.0)).float())
        return ignores_newest(look, [*[(6, 6, 6)] * (clicks - 1), (6, 6, x)], before, grid.cells, (1.0, 1.0, 1.0))

    def dot(x: int) -> Region:
        return Region((6, 6, x), np.ones((1, 1, 1), bool))

    assert ignored(13, previous, dot(13))
    assert not ignored(30, previous, dot(30))  # another piece of the object
    assert not ignored(13, previous, Region((6, 6, 6), np.ones((1, 1, 8), bool)))  # it was reached
    assert ignored(13, previous, dot(13), clicks=3)
    assert not ignored(13, previous, dot(13), clicks=4)  # settled
    assert not ignored(13, previous)  # nothing there at all
    assert not ignored(13, previous, dot(13), before=Region.empty())
