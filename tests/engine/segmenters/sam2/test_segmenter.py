"""SAM 2 behind the protocol: prompts of every kind on slices of every axis, propagation, and running out of memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lively import lively_sam2, moving_slices

from napari_medsam.engine.errors import Cancelled, ImageError, PromptError, WeightsError
from napari_medsam.engine.prompts import Box, Lasso, MaskPrompt, Point, Prompt, Scribble
from napari_medsam.engine.propagation import Propagator, Route, Seed, propagate
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.segmenters.registry import load_segmenter, segmenter_names
from napari_medsam.engine.segmenters.sam2.checkpoints import Sam2Weights
from napari_medsam.engine.segmenters.sam2.prepared import Sam2Prepared
from napari_medsam.engine.segmenters.sam2.segmenter import Sam2Segmenter
from napari_medsam.engine.segmenters.sam2.slice_prompts import slice_axis
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume, affine_from_spacing
from napari_medsam.engine.weights.card import Card, write_card
from napari_medsam.engine.window import Window

SIZE = 128
SHAPE = (7, 40, 56)
CLICK = Point((3.0, 18.0, 20.0))
BOX = Box((3, 10, 12), (4, 30, 34))


@pytest.fixture(scope="module")
def model() -> Any:
    return lively_sam2(image_size=SIZE)


@pytest.fixture
def segmenter(model: Any) -> Sam2Segmenter:
    weights = Sam2Weights(model, "2.1", "tiny", SIZE, "0" * 64)
    return Sam2Segmenter(weights, "sam2:lively", "Lively", "Apache-2.0", device="cpu")


@pytest.fixture
def volume() -> Volume:
    slices = moving_slices(SHAPE[0], 64)[:, 0, : SHAPE[1], : SHAPE[2]].numpy()
    return Volume(slices * 500 + 300, affine_from_spacing((5.0, 1.0, 1.0)), modality="MR")


@pytest.fixture
def prepared(segmenter: Sam2Segmenter, volume: Volume) -> Sam2Prepared:
    return segmenter.prepare(volume, Task())


def ask(segmenter: Segmenter, prepared: Any, *prompts: Prompt, previous: Region | None = None) -> Region:
    return segmenter.predict(prepared, prompts, previous or Region.empty(), Task()).region


def planes(region: Region, axis: int) -> list[int]:
    others = tuple(a for a in range(3) if a != axis)
    return [region.lower[axis] + int(i) for i in np.flatnonzero(region.voxels.any(axis=others))]


def holds(region: Region, point: Point) -> bool:
    return bool(region.inside(point.voxel, tuple(v + 1 for v in point.voxel))[0, 0, 0])  # type: ignore[arg-type]


def test_it_keeps_the_protocols(segmenter: Sam2Segmenter) -> None:
    assert isinstance(segmenter, Segmenter)
    assert isinstance(segmenter, Propagator)
    assert segmenter.info.prompts == {"point", "box", "scribble", "lasso", "mask"}


def test_a_click_makes_a_mask_on_its_slice(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    prediction = segmenter.predict(prepared, [CLICK], Region.empty(), Task())
    assert planes(prediction.region, 0) == [3]
    assert holds(prediction.region, CLICK)
    assert prediction.region.count > 1
    assert 0 <= prediction.confidence <= 1
    assert set(prediction.seconds) == {"encode", "decode"}
    assert prepared.sight(0).features.encoded == 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_boxes_are_answered_in_the_plane_they_were_drawn_in(
    segmenter: Sam2Segmenter, prepared: Sam2Prepared, axis: int
) -> None:
    lower, upper = [1, 8, 10], [6, 30, 40]
    upper[axis] = lower[axis] + 1
    box = Box((lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))
    inside = [4.0, 20.0, 25.0]
    inside[axis] = lower[axis]
    click = Point((inside[0], inside[1], inside[2]))  # does not say which plane it means: the box does
    region = ask(segmenter, prepared, box, click)
    assert planes(region, axis) == [lower[axis]]
    assert holds(region, click)


def test_a_thick_box_is_answered_in_its_middle(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    assert planes(ask(segmenter, prepared, Box((1, 10, 12), (6, 30, 34))), 0) == [3]


def test_the_same_question_has_the_same_answer(segmenter: Sam2Segmenter, volume: Volume) -> None:
    fresh = segmenter.prepare(volume, Task())
    first = ask(segmenter, fresh, BOX, CLICK)
    again = ask(segmenter, fresh, BOX, CLICK)
    other = ask(segmenter, segmenter.prepare(volume, Task()), BOX, CLICK)
    assert first.lower == again.lower == other.lower
    assert np.array_equal(first.voxels, again.voxels)
    assert np.array_equal(first.voxels, other.voxels)


def test_a_correction_changes_its_slice_only_and_is_obeyed(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    previous = Region((1, 10, 12), np.ones((5, 20, 22), dtype=bool))
    wrong = Point((2.0, 15.0, 15.0), positive=False)
    region = ask(segmenter, prepared, wrong, previous=previous)
    assert not holds(region, wrong)
    for plane in (1, 3, 4, 5):
        low, high = (plane, 0, 0), (plane + 1, SHAPE[1], SHAPE[2])
        assert np.array_equal(region.inside(low, high), previous.inside(low, high))


def test_clicked_voxels_end_on_their_side(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    inside = [Point((3.0, 5.0 + 8 * i, 7.0 + 11 * i)) for i in range(4)]
    outside = [Point((3.0, 35.0 - 8 * i, 4.0 + 11 * i), positive=False) for i in range(4)]
    region = ask(segmenter, prepared, *inside, *outside)
    assert all(holds(region, point) for point in inside)
    assert not any(holds(region, point) for point in outside)


def test_strokes_speak_for_every_slice_they_cross(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    flat = Scribble(((3.0, 12.0, 14.0), (3.0, 25.0, 30.0)), radius=1.0)
    assert planes(ask(segmenter, prepared, flat), 0) == [3]
    deep = Scribble(((2.0, 15.0, 15.0), (4.0, 15.0, 15.0)))
    assert planes(ask(segmenter, prepared, deep), 0) == [2, 3, 4]


def test_lassos_and_masks_are_taken_as_they_are(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    curve = Lasso(((2.0, 5.0, 5.0), (2.0, 5.0, 20.0), (2.0, 20.0, 20.0), (2.0, 20.0, 5.0)))
    drawn = curve.region(SHAPE)
    region = ask(segmenter, prepared, curve)
    assert np.array_equal(region.full(SHAPE), drawn.full(SHAPE))
    given = Region((1, 2, 3), np.ones((4, 5, 6), dtype=bool))
    assert np.array_equal(ask(segmenter, prepared, MaskPrompt(given)).full(SHAPE), given.full(SHAPE))
    cut = ask(segmenter, prepared, Box((2, 0, 0), (3, 40, 56), positive=False), previous=given)
    assert planes(cut, 0) == [1, 3, 4]
    assert prepared.sight(0).features.encoded == 0, "nothing had to be asked of the model"


def test_taking_away_from_nothing_is_refused(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    with pytest.raises(PromptError, match="inside the object first"):
        ask(segmenter, prepared, Point((3.0, 5.0, 5.0), positive=False))


def test_prompts_outside_the_image_are_refused(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    with pytest.raises(PromptError, match="outside"):
        ask(segmenter, prepared, Point((9.0, 5.0, 5.0)))
    with pytest.raises(PromptError, match="outside"):
        ask(segmenter, prepared, Box((8, 5, 5), (9, 8, 8)))


def test_a_cancelled_prediction_stops(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    task = Task()
    task.cancel()
    with pytest.raises(Cancelled):
        segmenter.predict(prepared, [CLICK], Region.empty(), task)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_image_of_one_slice(segmenter: Sam2Segmenter, axis: int) -> None:
    flat = np.expand_dims(moving_slices(1, 48)[0, 0].numpy(), axis)
    prepared = segmenter.prepare(Volume(flat), Task())
    position = [20.0, 20.0, 20.0]
    position[axis] = 0.0
    region = ask(segmenter, prepared, Point((position[0], position[1], position[2])))
    assert planes(region, axis) == [0]
    assert region.count > 1
    seeds = {1: Seed(region, (0,))}
    assert list(propagate(segmenter, prepared, seeds, Route(axis=axis), Task())) == []


def test_a_colour_picture(segmenter: Sam2Segmenter) -> None:
    red = (moving_slices(1, 48)[0].permute(1, 2, 0).numpy() * 60 + 120).clip(0, 255).astype(np.uint8)
    red[..., 1:] //= 3
    prepared = segmenter.prepare(Volume(red[None]), Task())
    pixels = prepared.sight(0).view.pixels(0)
    assert pixels[0, 0].mean() > pixels[0, 1].mean()
    assert ask(segmenter, prepared, Point((0.0, 20.0, 20.0))).count > 1


def test_an_image_without_anything_in_it_is_refused(segmenter: Sam2Segmenter) -> None:
    with pytest.raises(ImageError, match="value 7"):
        segmenter.prepare(Volume(np.full(SHAPE, 7, np.int16)), Task())
    with pytest.raises(ImageError, match="No voxel"):
        segmenter.prepare(Volume(np.full(SHAPE, np.nan, np.float32)), Task())


def test_slices_follow_the_coarsest_axis() -> None:
    assert slice_axis(Volume(np.zeros((9, 9, 9)), affine_from_spacing((1.0, 3.0, 1.0)))) == 1
    assert slice_axis(Volume(np.zeros((9, 9, 9)))) == 0
    assert slice_axis(Volume(np.zeros((9, 9, 1)))) == 2
    assert slice_axis(Volume(np.zeros((1, 9, 9)), affine_from_spacing((1.0, 3.0, 1.0)))) == 0


def test_another_window_shows_another_image(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    ask(segmenter, prepared, CLICK)
    before = prepared.sight(0).view.pixels(3)
    prepared.show(Window(0.0, 2000.0))
    assert prepared.sight(0).features.encoded == 0
    assert not torch.equal(prepared.sight(0).view.pixels(3), before)
    kept = prepared.sight(0)
    prepared.show(Window(0.0, 2000.0))
    assert prepared.sight(0) is kept, "the same window costs nothing"


# Propagation


def seed_of(segmenter: Sam2Segmenter, prepared: Sam2Prepared, prompt: Prompt, key: int) -> Seed:
    return Seed(ask(segmenter, prepared, prompt), (key,))


def test_masks_go_up_and_then_down_and_leave_key_slices(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    seeds = {1: seed_of(segmenter, prepared, BOX, 3)}
    steps = list(propagate(segmenter, prepared, seeds, Route(), Task()))
    assert [step.index for step in steps] == [4, 5, 6, 2, 1, 0]
    for step in steps:
        assert set(step.masks) == {1}
        assert planes(step.masks[1], 0) in ([], [step.index])
    assert any(step.masks[1] for step in steps)


def test_a_second_object_and_a_second_run_pay_no_encoder(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    first = seed_of(segmenter, prepared, BOX, 3)
    one = list(propagate(segmenter, prepared, {1: first}, Route(), Task()))
    features = prepared.sight(0).features
    assert features.encoded == SHAPE[0]
    second = seed_of(segmenter, prepared, Point((2.0, 10.0, 40.0)), 2)
    both = list(propagate(segmenter, prepared, {1: first, 2: second}, Route(), Task()))
    assert features.encoded == SHAPE[0]
    together = {step.index: step.masks[1] for step in both if 1 in step.masks}
    for step in one:
        alone, shared = (mask.full(SHAPE) for mask in (step.masks[1], together[step.index]))
        assert (alone != shared).sum() <= 2  # sums in another order may move a voxel at the rim


def test_a_correction_on_another_slice_stays_and_is_followed(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    mask = ask(segmenter, prepared, BOX)
    first = {s.index: s.masks[1] for s in propagate(segmenter, prepared, {1: Seed(mask, (3,))}, Route(), Task())}
    corrected = Region((5, 30, 40), np.ones((1, 8, 10), dtype=bool))
    both = Region.of(mask.full(SHAPE) | corrected.full(SHAPE))
    again = {s.index: s.masks[1] for s in propagate(segmenter, prepared, {1: Seed(both, (3, 5))}, Route(), Task())}
    assert set(first) - set(again) == {5}
    assert not np.array_equal(first[6].full(SHAPE), again[6].full(SHAPE))


def test_stop_slices_bound_it(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    seeds = {1: seed_of(segmenter, prepared, BOX, 3)}
    steps = propagate(segmenter, prepared, seeds, Route(first=2, last=4), Task())
    assert [step.index for step in steps] == [4, 2]


def test_along_another_axis(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    seeds = {1: seed_of(segmenter, prepared, Box((1, 20, 10), (6, 21, 40)), 20)}
    steps = list(propagate(segmenter, prepared, seeds, Route(axis=1, first=18, last=22), Task()))
    assert [step.index for step in steps] == [21, 22, 19, 18]
    assert all(planes(step.masks[1], 1) in ([], [step.index]) for step in steps)


def test_cancelling_between_slices_keeps_what_came(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    task = Task()
    steps = propagate(segmenter, prepared, {1: seed_of(segmenter, prepared, BOX, 3)}, Route(), task)
    assert next(steps).index == 4
    task.cancel()
    with pytest.raises(Cancelled):
        next(steps)


def test_close_up_looks_at_a_region_of_interest(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    small = Region((3, 20, 30), np.ones((1, 4, 4), dtype=bool))
    steps = list(propagate(segmenter, prepared, {1: Seed(small, (3,))}, Route(close_up=True), Task()))
    assert [step.index for step in steps] == [4, 5, 6, 2, 1, 0]
    found = [step.masks[1] for step in steps if step.masks[1]]
    assert found
    for mask in found:
        assert min(mask.lower[1:]) >= 12, "eight voxels around the mask are looked at"
        assert mask.upper[1] <= 32
        assert mask.upper[2] <= 42


def test_without_a_mask_there_is_nothing_to_propagate(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    with pytest.raises(PromptError, match="one slice first"):
        next(propagate(segmenter, prepared, {1: Seed(Region.empty(), (3,))}, Route(), Task()))


# Memory


@pytest.fixture
def full_memory(model: Any) -> Iterator[dict[str, int]]:
    """Memory attention finds no memory for more objects than ``most``."""
    limit = {"most": 1}

    def refuse(_: Any, args: tuple[Any, ...]) -> None:
        if len(args[0]) > limit["most"]:
            torch.empty(1 << 60)  # more than any computer has: the allocator itself raises

    handle = model.memory_attention.layer_norm.register_forward_pre_hook(refuse)
    yield limit
    handle.remove()


def test_objects_are_answered_apart_where_memory_is_too_small_for_all(
    segmenter: Sam2Segmenter, prepared: Sam2Prepared, full_memory: dict[str, int]
) -> None:
    mask = ask(segmenter, prepared, BOX)
    seeds = {id_: Seed(mask, (3,)) for id_ in (1, 2, 3)}
    apart = list(propagate(segmenter, prepared, seeds, Route(), Task()))
    full_memory["most"] = 3
    together = list(propagate(segmenter, prepared, seeds, Route(), Task()))
    for one, other in zip(apart, together, strict=True):
        assert set(one.masks) == {1, 2, 3}
        assert (one.masks[2].full(SHAPE) != other.masks[2].full(SHAPE)).sum() <= 2


def test_too_little_memory_for_anything_is_said(
    segmenter: Sam2Segmenter, prepared: Sam2Prepared, full_memory: dict[str, int]
) -> None:
    full_memory["most"] = 0
    with pytest.raises(ImageError, match="too little memory"):
        list(propagate(segmenter, prepared, {1: seed_of(segmenter, prepared, BOX, 3)}, Route(), Task()))


def test_what_happens_when_a_gpu_has_no_memory(
    segmenter: Sam2Segmenter, prepared: Sam2Prepared, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = {1: seed_of(segmenter, prepared, BOX, 3)}
    expected = list(propagate(segmenter, prepared, seeds, Route(), Task()))
    # Without a GPU the processor plays it, and torch's own error is raised once, half-way.
    monkeypatch.setattr(segmenter, "_device", torch.device("cuda"))
    calls: list[None] = []

    def refuse_once(_: Any, __: Any) -> None:
        calls.append(None)
        if len(calls) == 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    told: list[str] = []
    handle = model.memory_encoder.register_forward_pre_hook(refuse_once)
    try:
        task = Task(lambda _, message: told.append(message))
        steps = list(propagate(segmenter, prepared, seeds, Route(), task))
    finally:
        handle.remove()
    assert "The memory of the GPU is full: the processor goes on, more slowly" in told
    assert segmenter.info.device == "cpu"
    assert [step.index for step in steps][-len(expected) :] == [step.index for step in expected], "all of it again"
    for step, other in zip(steps[-len(expected) :], expected, strict=True):
        assert np.array_equal(step.masks[1].full(SHAPE), other.masks[1].full(SHAPE))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_without_memory_hands_over_to_the_processor(volume: Volume) -> None:
    weights = Sam2Weights(lively_sam2(image_size=SIZE), "2.1", "tiny", SIZE, "0" * 64)
    segmenter = Sam2Segmenter(weights, "sam2:lively", "Lively", "Apache-2.0", device="cuda")

    def refuse(module: Any, _: Any) -> None:
        if next(module.parameters()).is_cuda:
            torch.empty(1 << 50, device="cuda")

    weights.model.memory_attention.layer_norm.register_forward_pre_hook(refuse)
    prepared = segmenter.prepare(volume, Task())
    seeds = {1: seed_of(segmenter, prepared, BOX, 3)}
    assert segmenter.info.device == "cuda"
    assert len(list(propagate(segmenter, prepared, seeds, Route(), Task()))) == SHAPE[0] - 1
    assert segmenter.info.device == "cpu"


# Everything on a slice, and ahead of the user


@pytest.fixture
def sure(model: Any) -> Iterator[None]:
    """The model is sure of all it says, and its logits are large."""
    decoder = model.mask_decoder
    changed = [
        decoder.iou_prediction_head.proj_out.bias,
        *(h.proj_out.weight for h in decoder.output_hypernetworks_mlps),
    ]
    kept = [parameter.detach().clone() for parameter in changed]
    with torch.no_grad():
        changed[0].fill_(10.0)
        for weight in changed[1:]:
            weight.mul_(100)
    yield
    with torch.no_grad():
        for parameter, value in zip(changed, kept, strict=True):
            parameter.copy_(value)


@pytest.mark.usefixtures("sure")
def test_everything_on_a_slice(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    found = segmenter.everything(prepared, 0, 2, Task())
    assert found
    sizes = [one.region.count for one in found]
    assert sizes == sorted(sizes, reverse=True)
    assert all(planes(one.region, 0) == [2] and one.confidence > 0.8 for one in found)
    masks = [one.region.full(SHAPE) for one in found]
    for i, one in enumerate(masks):
        assert all((one & other).sum() < 0.75 * (one | other).sum() for other in masks[:i])


def test_everything_is_nothing_where_the_model_is_not_sure(segmenter: Sam2Segmenter, prepared: Sam2Prepared) -> None:
    assert segmenter.everything(prepared, 0, 2, Task()) == []


def test_nothing_is_encoded_ahead_while_somebody_waits(prepared: Sam2Prepared) -> None:
    task, ready = Task(), threading.Event()
    seen: list[int] = []

    def work() -> None:
        for index in prepared.encode_ahead(0, 3, task):
            seen.append(index)
            ready.set()

    with prepared.in_use():
        thread = threading.Thread(target=work)
        thread.start()
        assert not ready.wait(0.3)
    thread.join()
    assert seen == [3, 4, 2, 5, 1, 6, 0]


# By name, in a session


@pytest.fixture(scope="module")
def checkpoint(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "lively.pt"
    torch.save({"model": model.state_dict()}, path)
    write_card(path, Card(family="sam2", title="Lively", image_size=SIZE, licence="Apache-2.0"))
    return path


@pytest.fixture
def places(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_MEDSAM_MODELS", str(checkpoint.parent))
    monkeypatch.setenv("NAPARI_MEDSAM_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("places")
def test_it_is_found_by_name_by_file_and_by_folder(checkpoint: Path) -> None:
    assert "sam2:lively.pt" in segmenter_names()
    for which in ("lively.pt", "lively", str(checkpoint), str(checkpoint.parent)):
        info = load_segmenter(f"sam2:{which}", device="cpu").info
        assert (info.name, info.title, info.licence) == ("sam2:lively.pt", "Lively", "Apache-2.0")


@pytest.mark.usefixtures("places")
def test_what_is_not_there_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="models download medsam2-latest"):
        load_segmenter("sam2:medsam2-latest")
    with pytest.raises(WeightsError, match="models list"):
        load_segmenter("sam2:nothing")
    with pytest.raises(WeightsError, match="no bundled weights"):
        load_segmenter("sam2")
    with pytest.raises(WeightsError, match="holds 0 weights files"):
        load_segmenter(f"sam2:{tmp_path}")


@pytest.mark.usefixtures("places")
def test_a_session_with_it_and_its_recovery(volume: Volume, tmp_path: Path) -> None:
    journal = tmp_path / "session.journal"
    with Session(volume, load_segmenter("sam2:lively", device="cpu"), journal) as session:
        item = session.add_object("organ")
        session.prompt(BOX, item.id)
        session.prompt(Point((3.0, 12.0, 14.0), positive=False), item.id)
        mask = session.mask(item.id)
        assert planes(mask, 0) == [3]
    with Session.recover(journal, volume) as again:
        assert np.array_equal(again.mask(item.id).full(SHAPE), mask.full(SHAPE))
    assert list((tmp_path / "cache").iterdir()), "the embeddings outlast the session"
