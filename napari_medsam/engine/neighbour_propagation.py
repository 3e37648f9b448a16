"""Propagation with any model that answers on a single slice: the neighbour's mask is the prompt.

Each slice is shown to the model as an image of its own, with a box around the neighbour's mask and that mask as what
was there before. So the mode is there with the bundled model, from the first minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.prompts import Box
from napari_medsam.engine.propagation import PropagatedSlice, Route, Seed, sweeps
from napari_medsam.engine.region import BoolArray, Region
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Index3, Volume, affine_from_spacing

MARGIN = 2
"""Voxels by which an object may grow from a slice to the next along each side."""

DOUBT = 0.6
"""Below this expected Dice an answer means: there is nothing here that looks like the neighbour's object."""


def propagate_by_neighbour(
    segmenter: Segmenter, volume: Volume, seeds: Mapping[int, Seed], route: Route, task: Task
) -> Iterator[PropagatedSlice]:
    """See `napari_medsam.engine.propagation.propagate`."""
    slices = _Slices(volume, route.axis)
    ways = sweeps(seeds, route.bounds(volume.shape))
    total, done = max(sum(len(way) for way, _ in ways), 1), 0
    for way, begin in ways:
        nearest: dict[int, BoolArray] = {}
        missing = dict.fromkeys(seeds, 0)
        for index in way:
            done += 1
            task.progress(done / total, f"Propagating: slice {index + 1}")
            shown: dict[int, Region] = {}
            for id_, seed in seeds.items():
                if (index - begin[id_]) * way.step < 0:
                    continue
                if index in seed.keys:
                    nearest[id_], missing[id_] = slices.mask_of(seed.mask, index), 0
                    continue
                if id_ not in nearest:  # stop-slices may lie beyond the slice where it begins
                    nearest[id_] = slices.mask_of(seed.mask, begin[id_])
                is_sought = route.patience is None or missing[id_] < route.patience
                found = _follow(segmenter, slices.image(index), nearest[id_], task) if is_sought else None
                missing[id_] = 0 if found is not None else missing[id_] + 1
                if found is not None:
                    nearest[id_] = found
                shown[id_] = Region.empty() if found is None else slices.region_of(found, index)
            if shown:
                yield PropagatedSlice(index, shown)


def _follow(segmenter: Segmenter, image: Volume, neighbour: BoolArray, task: Task) -> BoolArray | None:
    """The object on a slice, given its mask on the neighbour; None where it is not there."""
    before = Region.of(neighbour[None])
    if not before:
        return None
    (_, top, left), (_, bottom, right) = before.lower, before.upper
    low: Index3 = (0, top - MARGIN, left - MARGIN)
    box = Box(low, (1, bottom + MARGIN, right + MARGIN)).clipped(image.shape)
    try:
        prediction = segmenter.predict(segmenter.prepare(image, task), [box], before, task)
    except ImageError:  # a blank slice
        return None
    # Confidence that is no number is none given: then the mask alone decides.
    if not prediction.region or prediction.confidence < DOUBT:
        return None
    found: BoolArray = prediction.region.full(image.shape)[0]
    return found


class _Slices:
    """Slices of a volume along an axis, each as an image of its own."""

    def __init__(self, volume: Volume, axis: int) -> None:
        self._volume = volume
        self._axis = axis
        rows, columns = (volume.spacing[a] for a in range(3) if a != axis)
        self._affine = affine_from_spacing((1.0, rows, columns))

    def image(self, index: int) -> Volume:
        data = np.take(self._volume.data, [index], axis=self._axis)
        return replace(self._volume, data=np.moveaxis(data, self._axis, 0), affine=self._affine)

    def mask_of(self, region: Region, index: int) -> BoolArray:
        lower, upper = [0, 0, 0], list(self._volume.shape)
        lower[self._axis], upper[self._axis] = index, index + 1
        z, y, x = lower
        depth, height, width = upper
        mask: BoolArray = region.inside((z, y, x), (depth, height, width)).squeeze(self._axis)
        return mask

    def region_of(self, mask: BoolArray, index: int) -> Region:
        lower = [0, 0, 0]
        lower[self._axis] = index
        z, y, x = lower
        return Region.of(np.expand_dims(mask, self._axis), (z, y, x))
