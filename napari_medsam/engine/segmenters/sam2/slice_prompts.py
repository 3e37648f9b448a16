"""The prompts of one object sorted by slice, in the words the model knows: points, a box, a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_medsam.engine.prompts import Box, Lasso, MaskPrompt, Point, Prompt, Scribble
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.sam2.slices import SliceView
from napari_medsam.engine.volume import Index3, Volume

STROKE_POINTS = 6
"""Points that stand for a stroke on a slice; SAM 2 was trained with at most eight clicks on one."""

Place = tuple[int, int]
"""Axis and index of a slice."""


def slice_axis(volume: Volume) -> int:
    """The axis along which a volume was acquired in slices: the coarsest, or the first when all are equal."""
    deep = [axis for axis in range(3) if volume.shape[axis] > 1]
    if len(deep) < 3:
        return next(axis for axis in range(3) if axis not in deep)
    return max(range(3), key=lambda axis: (round(volume.spacing[axis], 3), -axis))


def plane_of(prompt: Prompt, shape: Index3) -> int | None:
    """The axis across the plane a prompt was drawn in, None where it does not tell."""
    if isinstance(prompt, Lasso):
        return prompt.axis
    if isinstance(prompt, Box):
        flat = [a for a in range(3) if prompt.upper[a] - prompt.lower[a] == 1 and shape[a] > 1]
        return flat[0] if len(flat) == 1 else None
    return None


def places_of(prompt: Prompt, axis: int, shape: Index3) -> list[Place]:
    """Slices that a prompt speaks of: all it touches, of a thick box the middle one, in its own plane if it has one."""
    plane = plane_of(prompt, shape)
    axis = axis if plane is None else plane
    region = prompt.region(shape)
    low, high = region.lower[axis], region.upper[axis]
    if isinstance(prompt, Box):
        return [(axis, (low + high - 1) // 2)]
    others = tuple(a for a in range(3) if a != axis)
    return [(axis, low + int(i)) for i in np.flatnonzero(region.voxels.any(axis=others))]


def is_fulfilled(prompt: Prompt, mask: Region, shape: Index3) -> bool:
    """Whether a mask does what a prompt asks for, so that no slice waits for an answer to it."""
    region = prompt.region(shape)
    held = mask.inside(region.lower, region.upper)[region.voxels]
    if isinstance(prompt, Box) and prompt.positive:
        return bool(held.any())
    return bool(held.mean() > 0.5) == prompt.positive


@dataclass(frozen=True, eq=False)
class SliceClicks:
    """Points and corners on a slice for `Tracker.click`; ``places`` ``(n, 2)``, ``labels`` ``(n,)``."""

    places: Tensor
    labels: Tensor

    @classmethod
    def of(cls, prompts: Sequence[Prompt], view: SliceView, index: int) -> SliceClicks:
        """Those of the prompts on one slice: the newest box first, as in training, then points and strokes."""
        shape = view.volume.shape
        voxels: list[tuple[float, ...]] = []
        labels: list[int] = []
        boxes = [prompt.clipped(shape) for prompt in prompts if isinstance(prompt, Box) and prompt.positive]
        if boxes:
            # Corners at the centres of the outermost voxels, as SAM 2 takes boxes from masks in training.
            voxels += [boxes[-1].lower, tuple(u - 1 for u in boxes[-1].upper)]
            labels += [2, 3]
        for prompt in prompts:
            if isinstance(prompt, Point):
                voxels.append(prompt.position)
                labels.append(int(prompt.positive))
            elif isinstance(prompt, Scribble):
                spots = _along(prompt.region(shape), view.axis, index)
                voxels += spots
                labels += [int(prompt.positive)] * len(spots)
        places = view.places(voxels) if voxels else torch.zeros(0, 2)
        return cls(places, torch.tensor(labels, dtype=torch.int32))


def is_area(prompt: Prompt) -> bool:
    """Whether a prompt says voxel by voxel what is inside, so that it is taken as it is."""
    return isinstance(prompt, Lasso | MaskPrompt) or (isinstance(prompt, Box) and not prompt.positive)


def _along(region: Region, axis: int, index: int) -> list[tuple[float, ...]]:
    voxels = np.argwhere(region.voxels) + region.lower
    voxels = voxels[voxels[:, axis] == index]
    chosen = np.unique(np.linspace(0, len(voxels) - 1, STROKE_POINTS).round().astype(int))
    return [tuple(voxel) for voxel in voxels[chosen].tolist()]
