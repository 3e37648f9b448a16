"""SAM 2 as a segmenter: prompts on a slice make the mask there, propagation carries it through the volume."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_medsam.engine.errors import ImageError, PromptError
from napari_medsam.engine.prompts import Box, Lasso, MaskPrompt, Point, Prompt, Scribble
from napari_medsam.engine.propagation import PropagatedSlice, Route, Seed, sweeps
from napari_medsam.engine.region import BoolArray, Region
from napari_medsam.engine.segmenters.base import Prediction, Prepared, SegmenterInfo
from napari_medsam.engine.segmenters.compact.answer import obeyed, replaced
from napari_medsam.engine.segmenters.sam2.decoding import MASK_LOGIT
from napari_medsam.engine.segmenters.sam2.encoding import Positions, Sam2Model
from napari_medsam.engine.segmenters.sam2.everything import masks_of_everything
from napari_medsam.engine.segmenters.sam2.out_of_memory import is_out_of_memory
from napari_medsam.engine.segmenters.sam2.prepared import Sam2Prepared, Sight, precision
from napari_medsam.engine.segmenters.sam2.slice_prompts import (
    Place,
    SliceClicks,
    is_area,
    is_fulfilled,
    places_of,
    plane_of,
    slice_axis,
)
from napari_medsam.engine.segmenters.sam2.slices import crop_around
from napari_medsam.engine.segmenters.sam2.tracker import Tracker
from napari_medsam.engine.segmenters.sam2.windowing import window_for
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Index3, Volume

if TYPE_CHECKING:
    from napari_medsam.engine.segmenters.sam2.checkpoints import Sam2Weights

QUICK_REACH = 3
"""Tracked slices remembered in a quick propagation instead of six: a tenth less time at a size of 512, more at 1024."""

_ONLY = 0  # a tracker here follows one object when it answers clicks


class Sam2Segmenter:
    """SAM 2, or a model fine-tuned from it, behind the `Segmenter` protocol.

    A prediction answers the slices that prompts lie on and leaves the others as they are; `propagate` does the rest.
    Where the memory of a GPU is full, the processor goes on, for good.

    Parameters
    ----------
    weights : Sam2Weights
        The model; see `load_sam2`.
    name, title : str
        Registered name, and name for people.
    licence : str
        SPDX identifier of the weights' licence.
    device : str
        Torch device, or ``"auto"`` for CUDA where there is one.
    cache : pathlib.Path, optional
        Folder for embeddings that outlast the session; without it they are kept in memory only.
    """

    def __init__(
        self,
        weights: Sam2Weights,
        name: str,
        title: str,
        licence: str,
        device: str = "auto",
        cache: Path | None = None,
    ) -> None:
        self._device = torch.device(device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
        model: Sam2Model = weights.model
        self._model = model.requires_grad_(False).to(self._device)
        self._positions = Positions.of(self._model)
        self._cache = cache
        self._info = SegmenterInfo(
            name=name,
            title=title,
            licence=licence,
            weights_hash=weights.sha256,
            prompts=frozenset(kind.kind for kind in (Point, Box, Scribble, Lasso, MaskPrompt)),
            device=str(self._device),
        )

    @property
    def info(self) -> SegmenterInfo:
        """What the model is and takes."""
        return self._info

    def prepare(self, volume: Volume, task: Task) -> Sam2Prepared:
        """Choose the window of a volume; slices are encoded when they are asked for, or by `Sam2Prepared.encode_ahead`.

        Raises
        ------
        ImageError
            If there is nothing to segment: no finite voxel, or all of one value.
        Cancelled
            If ``task`` was cancelled.
        """
        task.progress(0.0, "Preparing the image")
        return Sam2Prepared(volume, window_for(volume), self._model, self._info.weights_hash, self._cache)

    def predict(self, prepared: Prepared, prompts: Sequence[Prompt], previous: Region, task: Task) -> Prediction:
        """Answer the slices that the newest prompt lies on, and others whose prompts the mask does not fulfil yet.

        The mask so far on a slice is what its prompts correct. Lassos, masks and negative boxes are taken as they are;
        clicked voxels always end on the side they were given for. See `Segmenter.predict`.
        """
        prepared = _ours(prepared)
        with prepared.in_use():
            try:
                return self._predict(prepared, prompts, previous, task)
            except (RuntimeError, MemoryError) as error:
                self._go_on_without_gpu(error, prepared, task)
            return self._predict(prepared, prompts, previous, task)

    def propagate(
        self, prepared: Prepared, seeds: Mapping[int, Seed], route: Route, task: Task
    ) -> Iterator[PropagatedSlice]:
        """Carry masks through the volume; see `napari_medsam.engine.propagation.propagate`."""
        prepared = _ours(prepared)
        with prepared.in_use():
            try:
                yield from self._propagate(prepared, seeds, route, task)
                return
            except (RuntimeError, MemoryError) as error:
                self._go_on_without_gpu(error, prepared, task)
            # From the start: what the tracker remembered was in the memory of the GPU.
            yield from self._propagate(prepared, seeds, route, task)

    def everything(self, prepared: Prepared, axis: int, index: int, task: Task) -> list[Prediction]:
        """All objects the model sees on a slice, without a prompt; see `masks_of_everything`.

        Parameters
        ----------
        prepared : Prepared
            From `prepare` of this segmenter.
        axis, index : int
            The slice.
        task : Task
            Progress and cancellation.

        Returns
        -------
        list of Prediction
            One for each, one voxel thick, the largest first.

        Raises
        ------
        Cancelled
            If ``task`` was cancelled.
        """
        prepared = _ours(prepared)
        with prepared.in_use(), precision(self._model):
            sight = prepared.sight(axis)
            logits, ious = masks_of_everything(self._model, self._positions, sight.features(index), task)
            found = [
                Prediction(sight.view.region_of(sight.view.from_model(one[None]), index), _dice(float(iou)))
                for one, iou in zip(logits, ious, strict=True)
            ]
        return sorted((one for one in found if one.region), key=lambda one: -one.region.count)

    def _predict(self, prepared: Sam2Prepared, prompts: Sequence[Prompt], previous: Region, task: Task) -> Prediction:
        seconds = {"encode": 0.0, "decode": 0.0}
        region, confidence = previous, float("nan")
        for (axis, index), here in _waiting(prompts, previous, prepared.volume).items():
            task.check()
            sight = prepared.sight(axis)
            before = sight.view.mask_of(region, index)
            after = _with_areas(before, here, sight, index)
            if after is None:
                with precision(self._model):
                    begun = time.perf_counter()
                    sight.features(index)
                    task.check()
                    encoded = time.perf_counter()
                    after, confidence = self._decode(sight, index, here, before)
                    seconds["encode"] += encoded - begun
                    seconds["decode"] += time.perf_counter() - encoded
            lower, upper = sight.view.box_of(index)
            region = replaced(region, sight.view.region_of(after, index), lower, upper)
        return Prediction(obeyed(region, prompts, prepared.volume.shape), confidence, seconds)

    def _propagate(
        self, prepared: Sam2Prepared, seeds: Mapping[int, Seed], route: Route, task: Task
    ) -> Iterator[PropagatedSlice]:
        bounds = route.bounds(prepared.volume.shape)
        masks = [seed.mask for seed in seeds.values()]
        crop = crop_around(masks, prepared.volume, route.axis) if route.close_up else None
        sight = prepared.sight(route.axis, crop)
        reach = QUICK_REACH if route.quick else None
        tracker = Tracker(self._model, sight.features, sight.view.count, reach, self._positions)
        for id_, seed in seeds.items():
            for key in seed.keys:
                task.check()
                with precision(self._model):
                    tracker.give_mask(id_, key, sight.view.to_model(sight.view.mask_of(seed.mask, key)))
        ways = sweeps(seeds, bounds)
        total, done = max(sum(len(way) for way, _ in ways), 1), 0
        for way, begin in ways:
            answers = tracker.propagate(way, begin, route.patience, task)
            while True:
                # The mode must not be left on while the caller looks at a slice.
                with precision(self._model):
                    step = next(answers, None)
                if step is None:
                    break
                index, found = step
                done += 1
                task.progress(done / total, f"Propagating: slice {index}")
                # What a mask shows at the image's resolution is what the decoder says at a quarter of the model's.
                shown = {
                    id_: sight.view.region_of(sight.view.from_model(answer.logits), index)
                    for id_, answer in found.items()
                    if index not in seeds[id_].keys
                }
                if shown:
                    yield PropagatedSlice(index, shown)

    def _go_on_without_gpu(self, error: Exception, prepared: Sam2Prepared, task: Task) -> None:
        if not is_out_of_memory(error):
            raise error
        if self._device.type == "cpu":
            raise ImageError(
                "There is too little memory for this model: close other programs, or choose a smaller one."
            ) from error
        task.progress(0.0, "The memory of the GPU is full: the processor goes on, more slowly")
        self._device = torch.device("cpu")
        self._model.to(self._device)
        self._positions = Positions.of(self._model)
        prepared.forget()
        self._info = replace(self._info, device=str(self._device))

    def _decode(
        self, sight: Sight, index: int, prompts: Sequence[Prompt], before: BoolArray
    ) -> tuple[BoolArray, float]:
        clicks = SliceClicks.of(prompts, sight.view, index)
        if not before.any() and not (clicks.labels > 0).any():
            raise PromptError("Mark something inside the object first: there is nothing yet to take away from.")
        previous = None
        if before.any():
            mask = sight.view.to_model(before)[None, None].to(self._device)
            logits = (2 * mask - 1) * MASK_LOGIT
            previous = functional.interpolate(
                logits, scale_factor=0.25, mode="bilinear", align_corners=False, antialias=True
            )
        tracker = Tracker(self._model, sight.features, sight.view.count, positions=self._positions)
        answer = tracker.click(_ONLY, index, clicks.places, clicks.labels, previous)
        return sight.view.from_model(answer.logits), _dice(float(answer.iou))


def _dice(iou: float) -> float:
    iou = min(max(iou, 0.0), 1.0)
    return 2 * iou / (1 + iou)


def _ours(prepared: Prepared) -> Sam2Prepared:
    if not isinstance(prepared, Sam2Prepared):
        raise TypeError("prepared by another segmenter")
    return prepared


def _waiting(prompts: Sequence[Prompt], mask: Region, volume: Volume) -> dict[Place, list[Prompt]]:
    """Slices that wait for an answer, with all the prompts on each."""
    shape: Index3 = volume.shape
    planes = [plane for prompt in reversed(prompts) if (plane := plane_of(prompt, shape)) is not None]
    axis = planes[0] if planes else slice_axis(volume)
    by_place: dict[Place, list[Prompt]] = {}
    waiting: set[Place] = set()
    for prompt in prompts:
        places = places_of(prompt, axis, shape)
        for place in places:
            by_place.setdefault(place, []).append(prompt)
        if prompt is prompts[-1] or not is_fulfilled(prompt, mask, shape):
            waiting.update(places)
    return {place: here for place, here in by_place.items() if place in waiting}


def _with_areas(before: BoolArray, prompts: Sequence[Prompt], sight: Sight, index: int) -> BoolArray | None:
    """The mask on a slice when the newest prompt there says it voxel by voxel; None when the model must be asked."""
    if not is_area(prompts[-1]):
        return None
    area = sight.view.mask_of(prompts[-1].region(sight.view.volume.shape), index)
    after: BoolArray = before | area if prompts[-1].positive else before & ~area
    return np.ascontiguousarray(after)
