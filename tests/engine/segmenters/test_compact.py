"""The bundled model in use: what it answers, and that nothing a user gives breaks it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from napari_medsam.engine.errors import Cancelled, ImageError, PromptError
from napari_medsam.engine.predictor import Predictor
from napari_medsam.engine.prompts import Box, Lasso, MaskPrompt, Point, Prompt, Scribble
from napari_medsam.engine.region import Region
from napari_medsam.engine.samples import mni152
from napari_medsam.engine.segmenters.base import Reconsidering, Segmenter
from napari_medsam.engine.segmenters.compact import CompactSegmenter, segmenter
from napari_medsam.engine.segmenters.compact.answer import Look
from napari_medsam.engine.segmenters.compact.patch import PatchGrid
from napari_medsam.engine.segmenters.compact.zoom import COARSE
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume, affine_from_spacing

Shape = tuple[int, int, int]


@pytest.fixture(scope="module")
def compact() -> CompactSegmenter:
    return CompactSegmenter(device="cpu")


def ball_volume(shape: Shape = (40, 60, 60), spacing: tuple[float, float, float] = (1.5, 1.0, 1.0)) -> Volume:
    grid = np.indices(shape).transpose(1, 2, 3, 0) * spacing
    distance = np.linalg.norm(grid - np.multiply(shape, spacing) / 2, axis=-1)
    noise = np.random.default_rng(0).normal(0, 15, shape)
    return Volume((np.where(distance < 15, 120.0, 20.0) + noise).astype(np.float32), affine_from_spacing(spacing))


def truth_of(volume: Volume) -> Region:
    grid = np.indices(volume.shape).transpose(1, 2, 3, 0) * volume.spacing
    return Region.of(np.linalg.norm(grid - np.multiply(volume.shape, volume.spacing) / 2, axis=-1) < 15)


def dice(a: Region, b: Region, shape: Shape) -> float:
    return 2 * (a.full(shape) & b.full(shape)).sum() / (a.count + b.count)


def answer(model: CompactSegmenter, volume: Volume, *prompts: Prompt, previous: Region | None = None) -> Region:
    prepared = model.prepare(volume, Task())
    return model.predict(prepared, prompts, previous or Region.empty(), Task()).region


def test_it_is_a_segmenter(compact: CompactSegmenter) -> None:
    assert isinstance(compact, Segmenter)
    assert compact.info.prompts == {"point", "box", "scribble", "lasso", "mask"}


def test_every_kind_of_prompt_finds_the_ball(compact: CompactSegmenter) -> None:
    volume = ball_volume()
    truth = truth_of(volume)
    middle = (20.0, 30.0, 30.0)
    outline = tuple((20.0, 30 + 14 * np.sin(t), 30 + 14 * np.cos(t)) for t in np.linspace(0, 6.2, 20))
    flat = Box((20, truth.lower[1], truth.lower[2]), (21, truth.upper[1], truth.upper[2]))
    kinds: Sequence[Prompt] = (
        Box(truth.lower, truth.upper),
        flat,
        Point(middle),
        Scribble(((20.0, 25.0, 25.0), (20.0, 35.0, 35.0)), radius=1.0),
        Lasso(outline),
    )
    found = {f"{k}-{p.kind}": dice(answer(compact, volume, p), truth, volume.shape) for k, p in enumerate(kinds)}
    assert min(found.values()) > 0.8, found


def test_a_box_in_a_slice_is_not_left_there(compact: CompactSegmenter) -> None:
    sample = mni152()
    truth = sample.truth("left lateral ventricle")
    level = (truth.lower[0] + truth.upper[0]) // 2
    box = Box((level, *truth.lower[1:]), (level + 1, *truth.upper[1:]))
    found = answer(compact, sample.volume, box)
    assert found
    outside = found.full(sample.volume.shape)[level] & ~box.region(sample.volume.shape).full(sample.volume.shape)[level]
    assert not outside.any()
    assert found.count < 0.1 * sample.volume.data.size


def test_a_box_in_another_slice_bounds_the_object_there(compact: CompactSegmenter) -> None:
    volume = ball_volume()
    level = 22
    narrower = Box((level, 20, 20), (level + 1, 40, 40))
    allowed = narrower.region(volume.shape).full(volume.shape)[level]
    for first in (Box((20, 15, 15), (21, 45, 45)), Box((8, 15, 15), (32, 45, 45))):
        ball = answer(compact, volume, first)
        region = answer(compact, volume, first, narrower, previous=ball)
        assert region.full(volume.shape)[level].any()
        assert not (region.full(volume.shape)[level] & ~allowed).any()
        assert region.count > 0.5 * ball.count


def test_a_mask_is_taken_as_it_is_and_then_corrected(compact: CompactSegmenter) -> None:
    volume = ball_volume()
    half = Region.of(truth_of(volume).full(volume.shape) & (np.arange(60) < 30))
    mask = MaskPrompt(half)
    assert dice(answer(compact, volume, mask), half, volume.shape) == 1
    click = Point((20, 30, 38))
    corrected = answer(compact, volume, mask, click, previous=half)
    assert corrected.full(volume.shape)[click.voxel]


def test_a_further_correction_leaves_alone_what_is_far_from_it(compact: CompactSegmenter) -> None:
    volume = ball_volume()
    truth = truth_of(volume)
    box, first = Box(truth.lower, truth.upper), Point((20, 30, 42))
    wrong = Region.of(truth.full(volume.shape) & (np.indices(volume.shape)[2] > 24))  # the left third is missing
    far_right = Point((20, 30, 47))
    found = answer(compact, volume, box, first, far_right, previous=wrong).full(volume.shape)
    assert found[far_right.voxel]
    left = (slice(None), slice(None), slice(0, 30))
    np.testing.assert_array_equal(found[left], wrong.full(volume.shape)[left])
    near = answer(compact, volume, box, first, Point((20, 30, 20)), previous=wrong).full(volume.shape)
    assert near[left].sum() > wrong.full(volume.shape)[left].sum() + 20


def test_a_stroke_inside_and_one_outside_are_answered_together(compact: CompactSegmenter) -> None:
    inside, outside = Scribble(((20, 25, 25), (20, 35, 35))), Scribble(((20, 50, 20), (20, 50, 40)), positive=False)
    assert isinstance(compact, Reconsidering)
    volume = ball_volume()
    truth = truth_of(volume)
    assert compact.reconsiders((inside, outside), truth, volume)
    assert not compact.reconsiders((inside,), truth, volume)
    assert not compact.reconsiders((inside, Point((20, 50, 30), positive=False)), truth, volume)
    assert not compact.reconsiders((Box((10, 10, 10), (20, 20, 20)), outside), truth, volume)
    corrected = (inside, Point((20, 30, 40)), outside)
    assert not compact.reconsiders(corrected, truth, volume)
    predictor = Predictor(compact, volume)
    everything = Region((0, 0, 0), np.ones(volume.shape, dtype=bool))
    given = (inside, outside)
    afresh = predictor.answer(given, everything, Task(), is_answer=True).region
    assert dice(afresh, truth_of(volume), volume.shape) > 0.8
    painted = predictor.answer(given, everything, Task()).region  # somebody's work: corrected, not given up
    assert painted.count > 2 * afresh.count


def test_an_answer_whose_middle_is_denied_is_given_up(compact: CompactSegmenter) -> None:
    volume = ball_volume()
    truth = truth_of(volume)
    beside = Region((10, 2, 2), np.ones((20, 14, 14), dtype=bool))
    given = (Box(truth.lower, truth.upper), Point((20, 9, 9), positive=False))
    assert compact.reconsiders(given, beside, volume)
    assert not compact.reconsiders((*given[:1], Point((20, 9, 3), positive=False)), beside, volume)
    assert not compact.reconsiders((MaskPrompt(beside), *given[1:]), beside, volume)
    predictor = Predictor(compact, volume)
    afresh = predictor.answer(given, beside, Task(), is_answer=True).region
    assert dice(afresh, truth, volume.shape) > 0.8
    kept = predictor.answer(given, beside, Task()).region  # somebody's work: corrected, not given up
    corrected = compact.predict(compact.prepare(volume, Task()), given, beside, Task()).region
    assert dice(kept, corrected, volume.shape) > 0.99 > dice(kept, afresh, volume.shape)


def test_a_correction_is_looked_at_as_closely_as_the_image_allows(
    compact: CompactSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = ball_volume((120, 130, 140), (1.0, 1.0, 1.0))
    steps: list[float] = []
    look_at = CompactSegmenter._look_at

    def watched(self: CompactSegmenter, case: Any, grids: Sequence[PatchGrid], picture: Any = None) -> list[Look]:
        steps.extend(float(grid.step.max()) for grid in grids)
        return look_at(self, case, grids, picture)

    monkeypatch.setattr(CompactSegmenter, "_look_at", watched)
    box, click = Box((2, 2, 2), (118, 128, 138)), Point((30, 30, 30))
    whole = answer(compact, volume, box)
    assert min(steps) > COARSE  # what fills its box needs no more
    steps.clear()
    corrected = answer(compact, volume, box, click, previous=whole).full(volume.shape)
    assert min(steps) <= COARSE
    assert corrected[click.voxel]


def test_a_click_that_was_ignored_finds_the_size_anew(compact: CompactSegmenter) -> None:
    shape = (64, 64, 64)
    distance = np.linalg.norm(np.indices(shape).T - 32, axis=-1).T
    noise = np.random.default_rng(0).normal(0, 4, shape)
    grey = np.where(distance < 4, 150, np.where(distance < 20, 90, 20)) + noise
    volume = Volume(grey.astype(np.float32), affine_from_spacing((1.0, 1.0, 1.0)))
    truth = Region.of(distance < 20)
    core = answer(compact, volume, Point((32, 32, 32)))
    corrected = answer(compact, volume, Point((32, 32, 32)), Point((32, 32, 42)), previous=core)
    assert core.count < 0.1 * truth.count
    assert dice(corrected, truth, shape) > 0.8
    assert corrected.inside(core.lower, core.upper)[core.voxels].all()  # what was there, perhaps painted, stays


def test_bfloat16_answers_as_single_precision_does(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = ball_volume()
    truth = truth_of(volume)
    answers = []
    for half, device in ((False, "cpu"), (True, "cpu, 3D in bfloat16")):
        monkeypatch.setattr(segmenter, "has_fast_bfloat16", lambda device, half=half: half)
        model = CompactSegmenter(device="cpu")
        assert model.info.device == device  # the journal tells what a mask was made with
        answers.append(answer(model, volume, Box(truth.lower, truth.upper)))
    assert dice(*answers, volume.shape) > 0.97


def test_in_a_picture_of_one_slice(compact: CompactSegmenter) -> None:
    whole = ball_volume()
    picture = Volume(whole.data[20:21], affine_from_spacing((1.0, 1.0, 1.0)))
    truth = Region.of(truth_of(whole).full(whole.shape)[20:21])
    assert dice(answer(compact, picture, Box(truth.lower, truth.upper)), truth, picture.shape) > 0.85
    assert answer(compact, picture, Point((0, 30, 30))).count > 100
    colour = Volume(np.repeat(np.clip(picture.data, 0, 255)[..., None], 3, 3).astype(np.uint8))
    assert dice(answer(compact, colour, Box(truth.lower, truth.upper)), truth, picture.shape) > 0.85


def test_a_box_on_any_axis_grows_into_depth(compact: CompactSegmenter) -> None:
    volume = ball_volume((50, 50, 50), (1.0, 1.0, 1.0))
    truth = truth_of(volume)
    for axis in range(3):
        lower, upper = list(truth.lower), list(truth.upper)
        lower[axis], upper[axis] = 25, 26
        box = Box((lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))
        assert dice(answer(compact, volume, box), truth, volume.shape) > 0.75


@pytest.mark.parametrize("seed", range(3))
def test_clicks_are_obeyed_wherever_they_fall(compact: CompactSegmenter, seed: int) -> None:
    rng = np.random.default_rng(seed)
    volume = ball_volume()
    region = answer(compact, volume, Box((8, 15, 15), (32, 45, 45)))
    prompts: list[Prompt] = [Box((8, 15, 15), (32, 45, 45))]
    for _ in range(2):
        z, y, x = (float(rng.integers(n)) for n in volume.shape)
        click = Point((z, y, x), positive=bool(rng.random() < 0.5))
        prompts.append(click)
        region = answer(compact, volume, *prompts, previous=region)
        assert region.full(volume.shape)[click.voxel] == click.positive


def test_contradicting_clicks_follow_the_last(compact: CompactSegmenter) -> None:
    volume = ball_volume()
    box, yes, no = Box((5, 15, 15), (35, 45, 45)), Point((20, 30, 30)), Point((20, 30, 30), positive=False)
    assert not answer(compact, volume, box, yes, no).full(volume.shape)[20, 30, 30]
    assert answer(compact, volume, box, yes, no, yes).full(volume.shape)[20, 30, 30]


def test_the_same_question_gets_the_same_answer(compact: CompactSegmenter) -> None:
    volume = ball_volume()
    click = Point((20, 30, 30))
    first, second = (answer(compact, volume, click) for _ in range(2))
    assert first.lower == second.lower
    np.testing.assert_array_equal(first.voxels, second.voxels)


def test_an_object_larger_than_the_patch_is_refined_at_its_outline(compact: CompactSegmenter) -> None:
    size = 130
    z, y, x = np.indices((size, size, size), dtype=np.float32) - size / 2
    inside = z**2 + y**2 + x**2 < 56**2
    image = np.where(inside, 100, 0) + np.random.default_rng(0).normal(0, 10, inside.shape)
    volume = Volume(image.astype(np.int16))
    truth = Region.of(inside)
    prediction = compact.predict(
        compact.prepare(volume, Task()), [Box(truth.lower, truth.upper)], Region.empty(), Task()
    )
    assert dice(prediction.region, truth, volume.shape) > 0.9
    assert set(prediction.seconds) == {"crop", "channels", "network", "paste"}
    assert 0 < prediction.confidence <= 1


def test_cancelling_stops_the_work(compact: CompactSegmenter) -> None:
    volume = ball_volume()
    prepared = compact.prepare(volume, Task())
    task = Task()
    task.cancel()
    with pytest.raises(Cancelled):
        compact.predict(prepared, [Point((20, 30, 30))], Region.empty(), task)


@pytest.mark.parametrize("data", [np.zeros((5, 6, 7)), np.full((5, 6, 7), np.nan), np.full((1, 6, 7), 9, np.uint8)])
def test_an_image_with_nothing_in_it_is_refused_with_a_sentence(compact: CompactSegmenter, data: np.ndarray) -> None:
    with pytest.raises(ImageError, match="nothing to segment"):
        compact.prepare(Volume(data), Task())


def test_voxels_that_are_no_numbers_count_as_dark(compact: CompactSegmenter) -> None:
    data = ball_volume().data.copy()
    data[:, :5] = np.nan
    data[:, -5:] = np.inf
    volume = Volume(data, affine_from_spacing((1.5, 1.0, 1.0)))
    truth = truth_of(volume)
    assert dice(answer(compact, volume, Box(truth.lower, truth.upper)), truth, volume.shape) > 0.8


@pytest.mark.parametrize("shape", [(1, 1, 30), (30, 1, 1), (2, 3, 2), (3, 40, 40)])
def test_images_of_odd_shapes_get_an_answer(compact: CompactSegmenter, shape: Shape) -> None:
    data = np.random.default_rng(0).normal(size=shape)
    volume = Volume(data)
    z, y, x = (n // 2 for n in shape)
    for prompt in (Point((z, y, x)), Box((0, 0, 0), shape)):
        region = answer(compact, volume, prompt)
        assert min(region.lower) >= 0
        assert all(u <= n for u, n in zip(region.upper, shape, strict=True))


def test_taking_away_from_nothing_is_refused_with_a_sentence(compact: CompactSegmenter) -> None:
    with pytest.raises(PromptError, match="inside the object first"):
        answer(compact, ball_volume(), Point((20, 30, 30), positive=False))
