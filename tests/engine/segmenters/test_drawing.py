"""Prompts drawn on patches land on the cells of the voxels they were given for."""

import numpy as np
import pytest

from napari_medsam.engine.errors import PromptError
from napari_medsam.engine.prompts import Box, Lasso, Point, Scribble
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact.drawing import Marks
from napari_medsam.engine.segmenters.compact.patch import PatchGrid

SHAPE = (40, 40, 40)
GRID = PatchGrid.around((8, 8, 8), (24, 24, 24), (16, 16, 16))


def test_clicks_are_brightest_where_they_were_given() -> None:
    marks = Marks.of([Point((10, 12, 20)), Point((20, 9, 9), positive=False)], SHAPE)
    drawn = marks.draw(Region.empty(), GRID, SHAPE)
    assert np.unravel_index(int(drawn.positive.argmax()), GRID.cells) == (2, 4, 12)
    assert np.unravel_index(int(drawn.negative.argmax()), GRID.cells) == (12, 1, 1)
    assert float(drawn.positive.max()) == pytest.approx(1.0)


def test_box_and_previous_mask_fill_their_cells() -> None:
    previous = Region((10, 10, 10), np.ones((4, 4, 4), bool))
    drawn = Marks.of([Box((10, 11, 12), (20, 21, 22))], SHAPE).draw(previous, GRID, SHAPE)
    assert drawn.box[0, 0, 2:12, 3:13, 4:14].min() == 1
    assert drawn.box.sum() == 1000
    assert drawn.previous[0, 0, 2:6, 2:6, 2:6].min() == 1
    assert drawn.previous.sum() == 64


def test_a_lasso_one_voxel_thick_survives_coarse_cells() -> None:
    lasso = Lasso(((20.0, 5.0, 5.0), (20.0, 5.0, 35.0), (20.0, 35.0, 35.0), (20.0, 35.0, 5.0)))
    coarse = PatchGrid.around((0, 0, 0), (40, 40, 40), (10, 10, 10))
    drawn = Marks.of([lasso], SHAPE).draw(Region.empty(), coarse, SHAPE)
    assert drawn.positive[0, 0, 5, 2:8, 2:8].min() == 1
    assert drawn.positive[0, 0, [3, 7]].max() == 0


def test_a_scribble_marks_its_path_and_not_far_from_it() -> None:
    drawn = Marks.of([Scribble(((12, 10, 10), (12, 10, 22)), positive=False)], SHAPE).draw(Region.empty(), GRID, SHAPE)
    assert drawn.negative[0, 0, 4, 2, 2:14].min() > 0.9
    assert drawn.negative[0, 0, 14].max() < 0.01


def test_the_field_of_view_ends_where_the_image_does() -> None:
    beyond = PatchGrid.around((-8, 8, 36), (8, 24, 52), (16, 16, 16))
    field = Marks.of([Point((2, 10, 38))], SHAPE).draw(Region.empty(), beyond, SHAPE).field[0, 0]
    assert field[8:, :, :4].min() == 1
    assert field.sum() == 8 * 16 * 4


def test_a_flat_box_bounds_a_picture_but_not_a_volume() -> None:
    flat = Box((0, 3, 3), (1, 9, 9))
    assert Marks.of([flat], (1, 20, 20)).boxes
    assert Marks.of([flat], (20, 20, 20)).flat_boxes


@pytest.mark.parametrize(
    "prompt",
    [Point((-1, 5, 5)), Point((5, 5, 39.6)), Box((50, 0, 0), (60, 5, 5)), Box((5, 5, 5), (5, 9, 9)), Scribble(())],
)
def test_prompts_outside_are_refused_with_a_sentence(prompt: Point | Box | Scribble) -> None:
    with pytest.raises(PromptError, match=r"[A-Z].*\."):
        Marks.of([prompt], SHAPE)


def test_one_box_is_told_from_a_box_among_others() -> None:
    box, flat = Box((8, 8, 8), (20, 20, 20)), Box((10, 8, 8), (11, 20, 20))
    assert Marks.of([box], SHAPE).is_one_box
    for prompts in ([flat], [box, box], [box, flat], [box, Point((9, 9, 9))], [Point((9, 9, 9))]):
        assert not Marks.of(prompts, SHAPE).is_one_box
