import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label

from napari_medsam.engine.errors import PromptError
from napari_medsam.engine.prompts import Box, Lasso, MaskPrompt, Point, Scribble, prompt_from_json
from napari_medsam.engine.region import Region

SHAPE = (6, 20, 30)
coordinates = st.tuples(st.floats(-0.5, 5.49), st.floats(-0.5, 19.49), st.floats(-0.5, 29.49))

PROMPTS = [
    Point((1.25, 2.0, 3.1), positive=False),
    Box((1, 2, 3), (4, 5, 6)),
    Scribble(((1.0, 2.0, 3.0), (1.0, 9.5, 7.1)), 1.5, positive=False),
    Lasso(((2.0, 2.0, 2.0), (2.0, 2.0, 9.0), (2.0, 9.0, 9.0)), 0),
    MaskPrompt(Region((1, 1, 1), np.ones((2, 2, 2), dtype=bool))),
]


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda p: p.kind)
def test_json_gives_the_same_prompt_back(prompt):
    back = prompt_from_json(json.loads(json.dumps(prompt.to_json())))
    assert type(back) is type(prompt)
    assert (back.id, back.positive) == (prompt.id, prompt.positive)
    assert np.array_equal(back.region(SHAPE).full(SHAPE), prompt.region(SHAPE).full(SHAPE))
    assert back.to_json() == prompt.to_json()


@given(coordinates)
def test_a_click_marks_the_voxel_under_it(position):
    voxel = Point(position).voxel
    assert all(abs(v - p) <= 0.5 for v, p in zip(voxel, position, strict=True))
    assert Point(position).region(SHAPE).lower == voxel


@given(st.lists(coordinates, min_size=1, max_size=6))
def test_a_thin_scribble_leaves_no_gap(path):
    mask = Scribble(tuple(path)).region(SHAPE).full(SHAPE)
    for position in path:
        assert mask[Point(position).voxel]
    assert label(mask, np.ones((3, 3, 3)))[1] == 1


def test_a_brush_in_a_slice_stays_in_it():
    region = Scribble(((2.0, 5.0, 5.0), (2.0, 9.0, 12.0)), 2.0).region(SHAPE)
    assert (region.lower[0], region.upper[0]) == (2, 3)


def test_a_brush_is_round():
    region = Scribble(((2.0, 10.0, 10.0), (2.0, 10.0, 11.0)), 0.0).region(SHAPE)
    assert region.count == 2
    dot = Scribble(((2.0, 10.0, 10.0),), 2.0).region(SHAPE)
    assert dot.count == 33  # lattice points within 2 of the origin


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_lasso_fills_its_inside_in_any_slice(axis):
    square = [(2.0, 2.0), (2.0, 5.0), (5.0, 5.0), (5.0, 2.0)]
    polygon = tuple(tuple(np.insert(p, axis, 3.0)) for p in square)
    region = Lasso(polygon, axis).region(SHAPE)
    assert region.voxels.shape[axis] == 1
    assert region.lower[axis] == 3
    assert 4 <= region.count <= 16
    inner = tuple(np.insert([3, 3], axis, 3))
    assert region.full(SHAPE)[inner]


@pytest.mark.parametrize(
    "prompt",
    [
        Point((6.0, 0.0, 0.0)),
        Point((-1.0, 0.0, 0.0)),
        Point((float("nan"), 0.0, 0.0)),
        Box((0, 0, 0), (0, 5, 5)),
        Box((7, 0, 0), (9, 5, 5)),
        Scribble(((0.0, float("inf"), 0.0), (0.0, 1.0, 1.0))),
        Lasso(((2.0, 2.0, 2.0), (2.0, 2.0, float("nan")), (2.0, 9.0, 9.0))),
        Scribble(()),
        Scribble(((9.0, 0.0, 0.0), (9.0, 5.0, 5.0))),
        Lasso(((2.0, 2.0, 2.0), (2.0, 2.0, 9.0))),
        Lasso(((9.0, 2.0, 2.0), (9.0, 2.0, 9.0), (9.0, 9.0, 9.0))),
        MaskPrompt(Region.empty()),
        MaskPrompt(Region((6, 0, 0), np.ones((1, 1, 1), dtype=bool))),
    ],
    ids=lambda prompt: prompt.kind,
)
def test_a_prompt_that_touches_no_voxel_is_refused_in_a_sentence(prompt):
    with pytest.raises(PromptError, match=r"\.$"):
        prompt.region(SHAPE)


def test_a_box_over_the_edge_is_cut_to_the_image():
    box = Box((-3, 15, 25), (2, 40, 40)).clipped(SHAPE)
    assert (box.lower, box.upper) == ((0, 15, 25), (2, 20, 30))


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": "point", "id": "a", "positive": True},
        {"kind": "sneeze", "id": "a", "positive": True},
        {"kind": "point", "id": "a", "positive": True, "position": [1, 2]},
        {"kind": "mask", "id": "a", "positive": True, "mask": {"lower": [0, 0, 0], "shape": [1, 1, 1], "bits": "!"}},
    ],
)
def test_what_is_no_prompt_is_refused(record):
    with pytest.raises(PromptError):
        prompt_from_json(record)
