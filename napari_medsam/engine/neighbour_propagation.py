"""Propagation with any model that answers on a single slice: the neighbour's mask is the prompt.

Each slice is shown to the model as an image of its own, with a box around the neighbour's mask and that mask as what
was there before; of its answer stays what looks as the object did on the key slice. So the mode is there with the
bundled model, from the first minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.appearance import Appearance, trimmed
from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.prompts import Box
from napari_medsam.engine.propagation import PropagatedSlice, Route, Seed, sweeps
from napari_medsam.engine.region import BoolArray, Region
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Index3, Volume, affine_from_spacing

MARGIN = 1
"""Voxels by which an object may grow from a slice to the next along each side."""

DOUBT = 0.6
"""Below this expected Dice an answer means: there is nothing here that looks like the neighbour's object."""

ALIKE = 0.4
"""Part of an answer that must look like the object; below, the model goes on drawing what has ended.

Where an object has ended it is mostly below 0.1; where it only shrinks, from one thick slice to the next, about a half.
"""


def propagate_by_neighbour(
    segmenter: Segmenter, volume: Volume, seeds: Mapping[int, Seed], route: Route, task: Task
) -> Iterator[PropagatedSlice]:
    """See `napari_medsam.engine.propagation.propagate`."""
    slices = _Slices(volume, route.axis)
    ways = sweeps(seeds, route.bounds(volume.shape))
    total, done = max(sum(len(way) for way, _ in ways), 1), 0
    for way, begin in ways:
        nearest: dict[int, BoolArray] = {}
        looks: dict[int, Appearance] = {}
        missing = dict.fromkeys(seeds, 0)
        for index in way:
            done += 1
            task.progress(done / total, f"Propagating: slice {index}")
            shown: dict[int, Region] = {}
            for id_, seed in seeds.items():
                if (index - begin[id_]) * way.step < 0:
                    continue
                key = index if index in seed.keys else begin[id_] if id_ not in nearest else None
                if key is not None:  # stop-slices may lie beyond the slice where it begins
                    nearest[id_], missing[id_] = slices.mask_of(seed.mask, key), 0
                    if nearest[id_].any():
                        looks[id_] = Appearance.of(slices.grey(key), nearest[id_])
                if index in seed.keys:
                    continue
                is_sought = id_ in looks and (route.patience is None or missing[id_] < route.patience)
                found = _follow(segmenter, slices, index, nearest[id_], looks[id_]) if is_sought else None
                missing[id_] = 0 if found is not None else missing[id_] + 1
                if found is not None:
                    nearest[id_] = found
                shown[id_] = Region.empty() if found is None else slices.region_of(found, index)
            if shown:
                yield PropagatedSlice(index, shown)


def _follow(
    segmenter: Segmenter, slices: _Slices, index: int, neighbour: BoolArray, looks: Appearance
) -> BoolArray | None:
    """The object on a slice, given its mask on the neighbour; None where it is not there."""
    before = Region.of(neighbour[None])
    if not before:
        return None
    image = slices.image(index)
    (_, top, left), (_, bottom, right) = before.lower, before.upper
    low: Index3 = (0, top - MARGIN, left - MARGIN)
    box = Box(low, (1, bottom + MARGIN, right + MARGIN)).clipped(image.shape)
    try:
        # How far a slice is would be taken for how far the propagation is.
        silent = Task()
        prediction = segmenter.predict(segmenter.prepare(image, silent), [box], before, silent)
    except ImageError:  # a blank slice
        return None
    # Confidence that is no number is none given: then the mask alone decides.
    if not prediction.region or prediction.confidence < DOUBT:
        return None
    answer: BoolArray = prediction.region.full(image.shape)[0]
    alike = looks.like(slices.grey(index))
    if alike[answer].mean() < ALIKE:
        return None
    found = trimmed(answer, alike)
    return found if found.any() else None


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

    def grey(self, index: int) -> npt.NDArray[np.float64]:
        values = np.take(self._volume.data, index, axis=self._axis).astype(np.float64)
        grey: npt.NDArray[np.float64] = np.nan_to_num(values.mean(axis=-1) if self._volume.is_colour else values)
        return grey

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
