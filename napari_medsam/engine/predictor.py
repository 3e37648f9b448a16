"""A segmenter at work on one volume: prepared once, asked by one thread at a time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from napari_medsam.engine.objects import HandEdit, Overlap, SegmentedObject, Step
from napari_medsam.engine.overlap import settle
from napari_medsam.engine.postprocess import tidy
from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Prediction, Prepared, Segmenter
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume


class Predictor:
    """Answers the prompts of every object of a session with one `Prepared`."""

    def __init__(self, segmenter: Segmenter, volume: Volume) -> None:
        self.segmenter = segmenter
        self.volume = volume
        self._prepared: Prepared | None = None
        self._busy = threading.Lock()

    def prepare(self, task: Task) -> None:
        """Compute what all predictions share, if that was not done yet. Raises what `Segmenter.prepare` raises."""
        with self._turn(task):
            self._prepare(task)

    def answer(self, prompts: tuple[Prompt, ...], previous: Region, task: Task) -> Prediction:
        """Predict and tidy. Takes and raises what `Segmenter.predict` does."""
        with self._turn(task):
            prediction = self.segmenter.predict(self._prepare(task), prompts, previous, task)
        start = time.perf_counter()
        region = tidy(prediction.region, previous, prompts, self.volume.shape)
        seconds = {**prediction.seconds, "tidy": time.perf_counter() - start}
        return replace(prediction, region=region, seconds=seconds)

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
            else:
                given += step
                region = self.answer(given, mask, task).region
                mask = settle(objects, object_id, region, mask, overlap)[object_id]
        return mask

    def _prepare(self, task: Task) -> Prepared:
        if self._prepared is None:
            self._prepared = self.segmenter.prepare(self.volume, task)
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
