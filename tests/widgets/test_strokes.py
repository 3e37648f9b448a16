"""Strokes become prompts."""

from __future__ import annotations

import pytest

from napari_medsam.engine.errors import PromptError
from napari_medsam.engine.prompts import Box, Lasso, Point, Scribble
from napari_medsam.widgets.strokes import Stroke, box_around, extended_to, united
from napari_medsam.widgets.tools import Tool

SHAPE = (10, 20, 30)


def stroke(tool: Tool, *path: tuple[float, float, float], positive: bool = True) -> Stroke:
    made = Stroke(tool, 0, positive)
    for position in path:
        made.add(position)
    return made


def test_a_point_is_the_voxel_under_the_mouse() -> None:
    prompt = stroke(Tool.POINT, (4, 5.49, 6.5), positive=False).prompt(SHAPE)
    assert isinstance(prompt, Point)
    assert prompt.voxel == (4, 5, 7)
    assert not prompt.positive


def test_a_box_holds_the_voxels_of_both_corners_and_is_clipped_to_the_image() -> None:
    prompt = stroke(Tool.BOX, (4, 15, 6), (4, 25, 2.4)).prompt(SHAPE)
    assert isinstance(prompt, Box)
    assert (prompt.lower, prompt.upper) == ((4, 15, 2), (5, 20, 7))
    assert prompt.is_flat


def test_scribble_and_lasso_follow_the_path() -> None:
    path = ((4.0, 2.0, 2.0), (4.0, 2.0, 8.0), (4.0, 8.0, 8.0))
    scribble = stroke(Tool.SCRIBBLE, *path).prompt(SHAPE)
    lasso = stroke(Tool.LASSO, *path).prompt(SHAPE)
    assert isinstance(scribble, Scribble)
    assert scribble.path == path
    assert scribble.region(SHAPE).lower[0] == 4
    assert scribble.region(SHAPE).voxels.shape[0] == 1
    assert isinstance(lasso, Lasso)
    assert (lasso.axis, lasso.polygon) == (0, path)


def test_steps_shorter_than_half_a_voxel_are_left_out() -> None:
    made = Stroke(Tool.SCRIBBLE, 0, True)
    assert made.add((4, 2, 2))
    assert not made.add((4, 2.3, 2.2))
    assert made.add((4, 2.6, 2))
    assert len(made.path) == 2


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (stroke(Tool.POINT, (4, -1, 3)), "outside the image"),
        (stroke(Tool.BOX, (4, 3, 3)), "drag from corner to corner"),
        (stroke(Tool.BOX, (4, 30, 3), (4, 40, 9)), "outside the image"),
        (stroke(Tool.SCRIBBLE, (4, 3, 40), (4, 3, 50)), "outside the image"),
        (stroke(Tool.LASSO, (4, 3, 3), (4, 3, 9)), "draw around"),
    ],
)
def test_what_is_no_prompt_is_refused_with_a_sentence(made: Stroke, sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        made.prompt(SHAPE)


@pytest.mark.parametrize(("level", "lower", "upper"), [(7, 4, 8), (1, 1, 5), (4, 4, 5)])
def test_a_box_is_extended_in_both_directions(level: int, lower: int, upper: int) -> None:
    flat = Box((4, 2, 3), (5, 9, 8), positive=False)
    box = extended_to(flat, 0, level)
    assert (box.lower, box.upper) == ((lower, 2, 3), (upper, 9, 8))
    assert not box.positive
    assert box.id != flat.id


def test_two_boxes_are_joined() -> None:
    box = united(Box((4, 2, 3), (5, 9, 8)), Box((7, 1, 4), (8, 6, 12)))
    assert (box.lower, box.upper) == ((4, 1, 3), (8, 9, 12))
    assert box_around([(1, 2, 3), (1, 2.6, 2)]).upper == (2, 4, 4)
