"""How a session gets answers: the model works on a snapshot, and its answer counts only if that is still current."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from napari_medsam.engine.errors import Cancelled, MedSamError, PromptError
from napari_medsam.engine.journal import now
from napari_medsam.engine.label_map import check_id
from napari_medsam.engine.ledger import Ledger
from napari_medsam.engine.objects import Propagation, SegmentedObject, Step, colour_for
from napari_medsam.engine.overlap import settle, settle_all
from napari_medsam.engine.predictor import Predictor
from napari_medsam.engine.prompts import MaskPrompt
from napari_medsam.engine.propagation import PropagatedSlice, Route
from napari_medsam.engine.region import Edit, Region
from napari_medsam.engine.task import Task
from napari_medsam.engine.window import Window


def predict_pending(ledger: Ledger, predictor: Predictor, object_id: int, task: Task) -> Edit:
    """See `Session.predict`."""
    task.check()
    if any(entry.object_id == object_id for entry in ledger.snapshot()[1]):
        ledger.recorder.begin_ahead()
    while True:
        with ledger.changing() as events:
            old = ledger.document.objects.get(object_id)
            given = [entry for entry in ledger.snapshot()[1] if entry.object_id == object_id]
            if old is None or not given:
                return Edit.nothing()
            ledger.write_down(given, events)
        task.check()
        window = predictor.window
        new = tuple(entry.prompt for entry in given)
        try:
            prediction = predictor.answer((*old.prompts, *new), old.mask, task, old.is_answer)
        except PromptError:
            with ledger.changing() as events:
                ledger.drop(new[-1].id, events)
            raise
        task.check()
        with ledger.changing() as events:
            objects, entries = ledger.snapshot()
            current = objects.get(object_id)
            is_fresh = current is not None and current.mask is old.mask and current.steps == old.steps
            is_fresh = is_fresh and predictor.window == window
            if not is_fresh or not {entry.prompt.id for entry in entries}.issuperset(prompt.id for prompt in new):
                continue
            overlap = ledger.overlap
            masks = settle(objects, object_id, prediction.region, old.mask, overlap)
            details = {
                "overlap": overlap.value,
                "confidence": None if math.isnan(prediction.confidence) else float(prediction.confidence),
                "seconds": {stage: float(seconds) for stage, seconds in prediction.seconds.items()},
            } | _shown_in(window)
            changed = with_masks(objects, masks, object_id, (*old.steps, new))
            return ledger.do("predict", changed, events, details).changes[object_id].edit


def predict_without(ledger: Ledger, predictor: Predictor, prompt_id: str, task: Task) -> Edit:
    """See `Session.remove_prompt`."""
    with ledger.changing() as events:
        if ledger.drop(prompt_id, events):
            return Edit.nothing()
        if _with_prompt(ledger.document.objects, prompt_id) is None:
            raise MedSamError("There is no such prompt in this session.")
    while True:
        objects, overlap, window = ledger.document.objects, ledger.overlap, predictor.window
        old = _with_prompt(objects, prompt_id)
        if old is None:
            return Edit.nothing()
        steps = _without(old.steps, prompt_id)
        mask = predictor.retrace(steps, objects, old.id, overlap, task)
        task.check()
        with ledger.changing() as events:
            current = ledger.document.objects
            # The others count, too: under KEEP each step of the way stopped at their voxels.
            if [(i.id, id(i.mask)) for i in objects.values()] != [(i.id, id(i.mask)) for i in current.values()]:
                continue
            if current[old.id].steps != old.steps or ledger.overlap is not overlap or predictor.window != window:
                continue
            masks = settle(current, old.id, mask, Region.empty(), overlap)
            changed = with_masks(current, masks, old.id, steps)
            details = {"overlap": overlap.value} | _shown_in(window)
            command = ledger.do("remove_prompt", changed, events, details)
            return command.changes[old.id].edit


def propagate_objects(
    ledger: Ledger,
    predictor: Predictor,
    object_ids: Iterable[int],
    route: Route,
    task: Task,
    on_slice: Callable[[PropagatedSlice], None],
) -> dict[int, Edit]:
    """See `Session.propagate`."""
    task.check()
    old = {id_: ledger.find(id_) for id_ in sorted(set(object_ids))}
    seeds = {id_: predictor.seed(item.steps, item.mask, route.axis) for id_, item in old.items()}
    window = predictor.window

    def check_fresh() -> None:
        if predictor.window != window:
            raise Cancelled
        now = ledger.document.objects
        for id_, item in old.items():
            current = now.get(id_)
            if current is None or current.mask is not item.mask or current.steps != item.steps:
                raise Cancelled

    def pass_on(step: PropagatedSlice) -> None:
        check_fresh()
        on_slice(step)

    start = time.perf_counter()
    result = predictor.propagate(seeds, route, task, pass_on)
    seconds = time.perf_counter() - start
    with ledger.changing() as events:
        check_fresh()
        objects, overlap = ledger.document.objects, ledger.overlap
        masks = settle_all(objects, result.masks, overlap)
        edits = {id_: Edit.between(old[id_].mask, masks[id_]) for id_ in old}
        if any(edits.values()) or masks.keys() != old.keys():
            is_complete = result.stopped_by is None
            step = Propagation(ledger.document.next_number, route, None if is_complete else result.answered)
            changed: dict[int, SegmentedObject | None] = {id_: objects[id_].remade(mask) for id_, mask in masks.items()}
            changed |= {id_: objects[id_].remade(masks[id_], (*item.steps, step)) for id_, item in old.items()}
            details = {
                "overlap": overlap.value,
                "route": asdict(route),
                "keys": {str(id_): list(seed.keys) for id_, seed in seeds.items()},
                "answered": result.answered,
                "complete": is_complete,
                "seconds": {"propagate": seconds},
            } | _shown_in(window)
            ledger.do("propagate", changed, events, details)
    if result.stopped_by is not None:
        raise result.stopped_by
    return edits


def find_everything(ledger: Ledger, predictor: Predictor, axis: int, index: int, task: Task) -> tuple[int, ...]:
    """See `Session.segment_everything`."""
    window = predictor.window
    found = predictor.everything(axis, index, task)
    task.check()
    ledger.recorder.begin_ahead()
    with ledger.changing() as events:
        masks = _beside(found, [item.mask for item in ledger.document.objects.values()])
        first = ledger.document.next_id
        check_id(first + len(masks) - 1)
        new = {}
        for id_, mask in enumerate(masks, first):
            prompt = MaskPrompt(mask)
            ledger.recorder.add("prompt", object=id_, given=now(), prompt=prompt.to_json())
            new[id_] = SegmentedObject(id_, f"Object {id_}", colour_for(id_), ((prompt,),), mask)
        if new:
            ledger.flush(events)
            ledger.do("everything", new, events, {"axis": axis, "index": index} | _shown_in(window))
    return tuple(new)


def _beside(found: Sequence[Region], others: Sequence[Region]) -> list[Region]:
    """What is left of masks, the largest first, beside others and the small among them; scraps are left out."""
    taken, kept = list(others), []
    for mask in reversed(found):
        free = mask.voxels.copy()
        for other in taken:
            free &= ~other.inside(mask.lower, mask.upper)
        taken.append(mask)
        if 2 * np.count_nonzero(free) > mask.count:
            kept.append(Region.of(free, mask.lower))
    return kept[::-1]


def _shown_in(window: Window | None) -> dict[str, object]:
    return {} if window is None else {"window": [window.low, window.high]}


def with_masks(
    objects: Mapping[int, SegmentedObject], masks: Mapping[int, Region], object_id: int, steps: tuple[Step, ...]
) -> dict[int, SegmentedObject | None]:
    """The objects of ``masks`` with these masks, and the one that was worked on with its new steps."""
    new: dict[int, SegmentedObject | None] = {id_: objects[id_].remade(mask) for id_, mask in masks.items()}
    new[object_id] = objects[object_id].remade(masks[object_id], steps)
    return new


def _with_prompt(objects: Mapping[int, SegmentedObject], prompt_id: str) -> SegmentedObject | None:
    return next((item for item in objects.values() if any(p.id == prompt_id for p in item.prompts)), None)


def _without(steps: tuple[Step, ...], prompt_id: str) -> tuple[Step, ...]:
    left = [tuple(p for p in s if p.id != prompt_id) if isinstance(s, tuple) else s for s in steps]
    return tuple(step for step in left if step)
