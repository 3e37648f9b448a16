"""Masks carried from slice to slice: what the words mean, and the bundled model led by its neighbour's mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from region_grower import RegionGrower

from napari_medsam.engine.errors import Cancelled, PromptError
from napari_medsam.engine.evaluation import dice
from napari_medsam.engine.prompts import Box, Point, Scribble
from napari_medsam.engine.propagation import Growing, Route, Seed, key_slices, propagate, sweeps
from napari_medsam.engine.region import Region
from napari_medsam.engine.samples import Sample, ct_phantom
from napari_medsam.engine.segmenters.registry import load_segmenter
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume

SHAPE = (12, 40, 40)


def block(z: tuple[int, int], y: tuple[int, int] = (10, 20), x: tuple[int, int] = (10, 20)) -> Region:
    return Region((z[0], y[0], x[0]), np.ones((z[1] - z[0], y[1] - y[0], x[1] - x[0]), dtype=bool))


class Grower(RegionGrower):
    """Says what is bright in a box, whatever was there before, and nothing about how sure it is."""

    asked = 0

    def predict(self, prepared, prompts, previous, task):
        self.asked += 1
        return replace(super().predict(prepared, prompts, Region.empty(), task), confidence=float("nan"))


@pytest.fixture
def cone() -> Volume:
    """A bright cone from slice 2 to slice 9, in the dark."""
    data = np.random.default_rng(0).normal(0, 2, SHAPE).astype(np.float32)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    for z in range(2, 10):
        data[z][(y - 15 - z) ** 2 + (x - 18) ** 2 <= (z + 3) ** 2] += 100
    return Volume(data)


def bright(volume: Volume) -> Region:
    return Region.of(volume.data > 50)


def on(region: Region, index: int) -> Region:
    return Region.of(region.inside((index, 0, 0), (index + 1, *SHAPE[1:])), (index, 0, 0))


def test_key_slices_are_those_with_prompts_as_far_as_there_is_a_mask() -> None:
    mask = block((2, 9))
    assert key_slices([Point((4.0, 15.0, 15.0))], mask, 0, SHAPE) == (4,)
    assert key_slices([Box((6, 10, 10), (7, 20, 20)), Point((2.0, 15.0, 15.0))], mask, 0, SHAPE) == (2, 6)
    assert key_slices([Box((2, 10, 10), (9, 20, 20))], mask, 0, SHAPE) == (5,), "a thick box settles its middle"
    assert key_slices([], mask, 0, SHAPE) == (5,)
    assert key_slices([Point((11.0, 1.0, 1.0), positive=False)], mask, 0, SHAPE) == (5, 11), "empty there, by intent"
    assert key_slices([Scribble(((4.0, 12.0, 12.0), (4.0, 18.0, 18.0)))], mask, 1, SHAPE) != ()


def test_sweeps_go_up_and_down_from_where_each_object_begins() -> None:
    seeds = {1: Seed(block((3, 4)), (3,)), 2: Seed(block((6, 7)), (6, 8))}
    (up, begin), (down, again) = sweeps(seeds, range(12))
    assert (up, down) == (range(3, 12), range(6, -1, -1))
    assert begin == again == {1: 3, 2: 6}
    assert Route(first=2, last=-3).bounds(SHAPE) == range(2, 10)
    assert Route(axis=1, first=-5, last=99).bounds(SHAPE) == range(0, 40)


def test_a_mask_grows_slice_by_slice(cone: Volume) -> None:
    growing = Growing(block((2, 4)), cone, 0)
    growing.put(5, block((5, 6)))
    growing.put(3, Region.empty())
    assert np.array_equal(growing.region().full(SHAPE), (block((2, 3)).full(SHAPE) | block((5, 6)).full(SHAPE)))


def test_any_segmenter_follows_from_neighbour_to_neighbour(cone: Volume) -> None:
    truth = bright(cone)
    key = on(truth, 5)
    grower = Grower()
    steps = list(propagate(grower, grower.prepare(cone, Task()), {1: Seed(key, (5,))}, Route(), Task()))
    assert [step.index for step in steps] == [6, 7, 8, 9, 10, 11, 4, 3, 2, 1, 0]
    found = {step.index: step.masks[1] for step in steps}
    for index in (6, 9, 4, 2):
        assert dice(on(truth, index), found[index]) > 0.9


def test_objects_that_left_are_no_longer_looked_for(cone: Volume) -> None:
    grower = Grower()
    cone.data[6:] = np.random.default_rng(1).normal(0, 2, cone.data[6:].shape)
    cone.data[6:, 0, 0] = 200.0  # not blank: the model is asked and finds nothing
    key = on(bright(cone), 5)
    seeds = {1: Seed(key, (5,))}
    route = Route(first=5, patience=2)
    steps = list(propagate(grower, grower.prepare(cone, Task()), seeds, route, Task()))
    asked = grower.asked
    assert [step.index for step in steps] == [6, 7, 8, 9, 10, 11]
    list(propagate(grower, grower.prepare(cone, Task()), seeds, Route(first=5, patience=None), Task()))
    assert grower.asked - asked > asked


def test_key_slices_lead_on_the_way(cone: Volume) -> None:
    grower = Grower()
    cone.data[7, :, :] = 0.0
    cone.data[7, 30:36, 4:9] = 100.0
    drawn = Region((7, 30, 4), np.ones((1, 6, 5), dtype=bool))
    key = on(bright(cone), 5)
    both = Region.of(key.full(SHAPE) | drawn.full(SHAPE))
    steps = list(propagate(grower, grower.prepare(cone, Task()), {1: Seed(both, (5, 7))}, Route(last=8), Task()))
    assert [step.index for step in steps] == [6, 8, 4, 3, 2, 1, 0]


def test_cancelling_stops_between_slices(cone: Volume) -> None:
    grower, task = Grower(), Task()
    key = on(bright(cone), 5)
    steps = propagate(grower, grower.prepare(cone, Task()), {1: Seed(key, (5,))}, Route(), task)
    assert next(steps).index == 6
    task.cancel()
    with pytest.raises(Cancelled):
        next(steps)


def test_progress_is_told(cone: Volume) -> None:
    told: list[float] = []
    grower = Grower()
    key = on(bright(cone), 5)
    task = Task(lambda part, text: told.append(part) if text.startswith("Propagating") else None)
    list(propagate(grower, grower.prepare(cone, Task()), {1: Seed(key, (5,))}, Route(), task))
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_an_object_without_a_mask_is_refused(cone: Volume) -> None:
    grower = Grower()
    with pytest.raises(PromptError, match="one slice first"):
        next(propagate(grower, grower.prepare(cone, Task()), {1: Seed(Region.empty(), (5,))}, Route(), Task()))


@pytest.fixture(scope="module")
def phantom() -> Sample:
    return ct_phantom((36, 80, 80), (8.0, 5.0, 5.0))


@pytest.mark.parametrize("axis", [0, 1])
def test_the_bundled_model_follows_an_organ(phantom: Sample, axis: int) -> None:
    truth = phantom.truth("liver")
    shape = phantom.volume.shape
    (key,) = key_slices([], truth, axis, shape)
    low, high = [0, 0, 0], list(shape)
    low[axis], high[axis] = key, key + 1
    drawn = Region.of(truth.inside(tuple(low), tuple(high)), tuple(low))  # type: ignore[arg-type]
    segmenter = load_segmenter("compact", device="cpu")
    growing = Growing(drawn, phantom.volume, axis)
    prepared = segmenter.prepare(phantom.volume, Task())
    for step in propagate(segmenter, prepared, {1: Seed(drawn, (key,))}, Route(axis=axis), Task()):
        growing.put(step.index, step.masks[1])
    assert dice(truth, growing.region()) > 0.8


def test_a_model_that_believes_in_its_neighbour_is_stopped_where_the_object_ends(phantom: Sample) -> None:
    truth = phantom.truth("left kidney")
    (key,) = key_slices([], truth, 0, phantom.volume.shape)
    drawn = Region.of(truth.inside((key, 0, 0), (key + 1, *phantom.volume.shape[1:])), (key, 0, 0))
    segmenter = load_segmenter("compact", device="cpu")
    seeds = {1: Seed(drawn, (key,))}
    steps = propagate(segmenter, segmenter.prepare(phantom.volume, Task()), seeds, Route(), Task())
    found = [step.index for step in steps if step.masks[1]]
    assert truth.lower[0] - 2 <= min(found)
    assert max(found) <= truth.upper[0] + 1
