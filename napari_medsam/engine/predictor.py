"""A segmenter at work on one volume: prepared once, asked by one thread at a time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from napari_medsam.engine.errors import Cancelled, MedSamError, PromptError
from napari_medsam.engine.objects import (
    CleanUp,
    HandEdit,
    Overlap,
    Propagation,
    SegmentedObject,
    Step,
    are_prompts,
    prompts_of,
)
from napari_medsam.engine.overlap import settle
from napari_medsam.engine.postprocess import tidy
from napari_medsam.engine.prompts import Box, Prompt
from napari_medsam.engine.propagation import Growing, PropagatedSlice, Route, Seed, key_slices, propagate
from napari_medsam.engine.region import Edit, Region
from napari_medsam.engine.segmenters.base import ObjectFinder, Prediction, Prepared, Reconsidering, Segmenter
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume
from napari_medsam.engine.window import Window, Windowed


@dataclass(frozen=True)
class Propagated:
    """How far a propagation came.

    Parameters
    ----------
    masks : mapping of int to Region
        Whole masks by object.
    answered : int
        Slices that were answered.
    stopped_by : MedSamError, Cancelled or None
        What ended it early; None if it went to its end.
    """

    masks: Mapping[int, Region]
    answered: int
    stopped_by: MedSamError | Cancelled | None


class Predictor:
    """Answers the prompts of every object of a session with one `Prepared`."""

    def __init__(self, segmenter: Segmenter, volume: Volume) -> None:
        self.segmenter = segmenter
        self.volume = volume
        self._prepared: Prepared | None = None
        self._window: Window | None = None
        self._busy = threading.Lock()

    @property
    def window(self) -> Window | None:
        """The window the model sees the image in, where one was chosen."""
        return self._window

    def show(self, window: Window | None, task: Task) -> None:
        """Choose the window for what is asked from now on; None lets the model choose. Waits for what is under way."""
        with self._turn(task):
            self._window = window
            if isinstance(self._prepared, Windowed):
                self._prepared.show(window)

    @property
    def prepared(self) -> Prepared | None:
        """What predictions share, once it was computed."""
        return self._prepared

    def prepare(self, task: Task) -> None:
        """Compute what all predictions share, if that was not done yet. Raises what `Segmenter.prepare` raises."""
        with self._turn(task):
            self._prepare(task)

    def check(self, prompt: Prompt) -> None:
        """Raise `PromptError` if a prompt lies outside the image, is empty, or the model does not take its kind."""
        info = self.segmenter.info
        if prompt.kind not in info.prompts:
            kinds = ", ".join(sorted(info.prompts))
            raise PromptError(f"{info.title} takes no {prompt.kind}; it takes {kinds}.")
        if isinstance(prompt, Box):
            prompt.clipped(self.volume.shape)
        else:
            prompt.region(self.volume.shape)

    def answer(self, prompts: tuple[Prompt, ...], previous: Region, task: Task, is_answer: bool = False) -> Prediction:
        """Predict and tidy. Takes and raises what `Segmenter.predict` does.

        With ``is_answer`` nothing but the earlier prompts made ``previous``, and the model may reconsider it.
        """
        known = previous
        if (
            is_answer
            and isinstance(self.segmenter, Reconsidering)
            and self.segmenter.reconsiders(prompts, previous, self.volume)
        ):
            known = Region.empty()
        with self._turn(task):
            prediction = self.segmenter.predict(self._prepare(task), prompts, known, task)
        start = time.perf_counter()
        region = tidy(prediction.region, known, prompts, self.volume.shape)
        seconds = {**prediction.seconds, "tidy": time.perf_counter() - start}
        return replace(prediction, region=region, seconds=seconds)

    def everything(self, axis: int, index: int, task: Task) -> list[Region]:
        """What the model finds on a slice by itself, the largest first.

        Raises
        ------
        PromptError
            If it needs prompts.
        ImageError, Cancelled
            As `Segmenter.prepare`.
        """
        if not isinstance(self.segmenter, ObjectFinder):
            raise PromptError(f"{self.segmenter.info.title} finds nothing by itself: give it a prompt.")
        with self._turn(task):
            found = self.segmenter.everything(self._prepare(task), axis, index, task)
        return [one.region for one in found]

    def seed(self, steps: tuple[Step, ...], mask: Region, axis: int) -> Seed:
        """Where the propagation of an object starts: key slices are those of its prompts, and those changed by hand."""
        keys = set(key_slices(prompts_of(steps), mask, axis, self.volume.shape))
        for step in steps:
            if isinstance(step, HandEdit):
                edit = Edit.from_json(step.packed)
                others = tuple(a for a in range(3) if a != axis)
                changed = (edit.added | edit.removed).any(axis=others)
                keys.update(edit.lower[axis] + int(i) for i in np.flatnonzero(changed))
        return Seed(mask, tuple(sorted(keys)))

    def propagate(
        self,
        seeds: Mapping[int, Seed],
        route: Route,
        task: Task,
        on_slice: Callable[[PropagatedSlice], None] = lambda _: None,
        limit: int | None = None,
    ) -> Propagated:
        """Carry masks through the volume, as far as ``limit`` answered slices; what ends it early keeps what is there.

        Raises
        ------
        PromptError
            If an object has no mask to begin with.
        ImageError, Cancelled
            If no slice was answered.
        """
        growing = {id_: Growing(seed.mask, self.volume, route.axis) for id_, seed in seeds.items()}
        answered = 0
        stopped_by: MedSamError | Cancelled | None = None
        with self._turn(task):
            steps = propagate(self.segmenter, self._prepare(task), seeds, route, task)
            try:
                for step in islice(steps, limit):
                    for id_, mask in step.masks.items():
                        growing[id_].put(step.index, mask)
                    answered += 1
                    on_slice(step)
            except (MedSamError, Cancelled) as error:
                if not answered:
                    raise
                stopped_by = error
        return Propagated({id_: one.region() for id_, one in growing.items()}, answered, stopped_by)

    def retrace(
        self,
        steps: tuple[Step, ...],
        objects: Mapping[int, SegmentedObject],
        object_id: int,
        overlap: Overlap,
        task: Task,
    ) -> Region:
        """The mask of an object made anew from its steps, beside the other objects as they are.

        Raises what `Segmenter.predict` raises.
        """
        mask = Region.empty()
        given: tuple[Prompt, ...] = ()
        for number, step in enumerate(steps):
            task.progress(number / len(steps), "Predicting again")
            if isinstance(step, HandEdit):
                mask = step.apply(mask)
            elif isinstance(step, CleanUp):
                region = step.cleaning.apply(mask, self.volume)
                mask = settle(objects, object_id, region, mask, overlap)[object_id]
            elif isinstance(step, Propagation):
                if not mask:
                    continue
                seeds = {object_id: self.seed(steps[:number], mask, step.route.axis)}
                result = self.propagate(seeds, step.route, task, limit=step.answered)
                if result.stopped_by is not None:
                    raise result.stopped_by
                mask = settle(objects, object_id, result.masks[object_id], mask, overlap)[object_id]
            else:
                given += step
                region = self.answer(given, mask, task, are_prompts(steps[:number])).region
                mask = settle(objects, object_id, region, mask, overlap)[object_id]
        return mask

    def _prepare(self, task: Task) -> Prepared:
        if self._prepared is None:
            self._prepared = self.segmenter.prepare(self.volume, task)
            if isinstance(self._prepared, Windowed):
                self._prepared.show(self._window)
        return self._prepared

    @contextlib.contextmanager
    def _turn(self, task: Task) -> Iterator[None]:
        # Segmenters are called from one thread at a time; waiting for one's turn must stay cancellable.
        while not self._busy.acquire(timeout=0.05):
            task.check()
        try:
            yield
        finally:
            self._busy.release()
