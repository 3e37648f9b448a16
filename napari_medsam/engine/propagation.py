"""Masks carried from the slices a user has settled to the others, one slice at a time.

What the user sees is what is carried: propagation starts from the masks on key slices, however they came about (a
prompt, a correction, a brush), and never changes them. So it depends on the image and on those masks only: it can be
cancelled at any slice, run again after a correction, and replayed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from napari_medsam.engine.errors import PromptError
from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.region import BoolArray, Region
from napari_medsam.engine.segmenters.base import Prepared, Segmenter
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Index3, Volume


@dataclass(frozen=True, eq=False)
class Seed:
    """Where the propagation of one object starts.

    Parameters
    ----------
    mask : Region
        The object's mask now.
    keys : tuple of int
        Slices on which it is taken as the truth, and kept; one where the mask is empty says: the object is not here.
    """

    mask: Region
    keys: tuple[int, ...]


@dataclass(frozen=True)
class Route:
    """How to propagate.

    Parameters
    ----------
    axis : int
        Axis of the voxels ``(z, y, x)`` along which slices follow each other.
    first, last : int
        Slices not to go beyond, both included; ``last`` counts from the end when negative, as an index does.
    patience : int or None
        Slices in a row without the object after which it is no longer looked for; None to go on to the end.
    close_up : bool
        Look at a region of interest around the masks instead of whole slices: for small structures.
    quick : bool
        Remember fewer slices, for a faster answer that follows changes of shape less well.
    """

    axis: int = 0
    first: int = 0
    last: int = -1
    patience: int | None = 3
    close_up: bool = False
    quick: bool = False

    def bounds(self, shape: Index3) -> range:
        """The slices of a volume of ``shape`` that may change."""
        count = shape[self.axis]
        last = self.last + count if self.last < 0 else self.last
        return range(max(self.first, 0), min(last, count - 1) + 1)


@dataclass(frozen=True, eq=False)
class PropagatedSlice:
    """The answer on one slice.

    Parameters
    ----------
    index : int
        The slice.
    masks : mapping of int to Region
        By object, one voxel thick along the axis; empty where the object is not on this slice.
    """

    index: int
    masks: Mapping[int, Region]


@runtime_checkable
class Propagator(Protocol):
    """A segmenter with a way of its own to propagate; the others are led from neighbour to neighbour."""

    def propagate(
        self, prepared: Prepared, seeds: Mapping[int, Seed], route: Route, task: Task
    ) -> Iterator[PropagatedSlice]:
        """See `propagate`."""
        ...


def propagate(
    segmenter: Segmenter, prepared: Prepared, seeds: Mapping[int, Seed], route: Route, task: Task
) -> Iterator[PropagatedSlice]:
    """Carry masks through the volume, upwards from each object's first key slice and then downwards from it.

    Parameters
    ----------
    segmenter : Segmenter
        Any; with `Propagator` it does it its own way.
    prepared : Prepared
        From this segmenter.
    seeds : mapping of int to Seed
        By object.
    route : Route
        Axis, limits and options.
    task : Task
        Progress, and cancellation between slices: what was yielded until then stands.

    Yields
    ------
    PropagatedSlice
        Each slice that was answered, never a key slice of the object. A slice may come twice, with different objects.

    Raises
    ------
    PromptError
        If an object has no key slice with a mask.
    Cancelled
        If ``task`` was cancelled.
    """
    for seed in seeds.values():
        if not any(slice_of(seed.mask, key, route.axis) for key in seed.keys):
            raise PromptError("Segment the object on one slice first: there is nothing yet to propagate.")
    if isinstance(segmenter, Propagator):
        yield from segmenter.propagate(prepared, seeds, route, task)
        return
    # Imported here because it needs this module's words.
    from napari_medsam.engine.neighbour_propagation import propagate_by_neighbour

    yield from propagate_by_neighbour(segmenter, prepared.volume, seeds, route, task)


def sweeps(seeds: Mapping[int, Seed], bounds: range) -> list[tuple[range, dict[int, int]]]:
    """The ways to go: upwards and downwards, each with the objects that take part and the slice where each begins.

    An object begins at its first key slice; those between key slices are answered on the way up.
    """
    begin = {id_: min(seed.keys) for id_, seed in seeds.items()}
    lowest, highest = min(begin.values()), max(begin.values())
    up = range(max(lowest, bounds.start), bounds.stop)
    down = range(min(highest, bounds.stop - 1), bounds.start - 1, -1)
    return [(way, begin) for way in (up, down) if way]


def key_slices(prompts: Sequence[Prompt], mask: Region, axis: int, shape: Index3) -> tuple[int, ...]:
    """Slices that the user has settled: those with prompts in them, as far as the mask there was made from them.

    A prompt that spans many slices settles one: a box its middle, anything else the slice of its largest part. Without
    prompts it is the slice where the mask is largest.

    Parameters
    ----------
    prompts : sequence of Prompt
        All prompts of the object.
    mask : Region
        Its mask.
    axis : int
        The slice axis.
    shape : Index3
        Shape of the volume.
    """
    keys = {_settled(prompt.region(shape), axis) for prompt in prompts}
    if not any(slice_of(mask, key, axis) for key in keys) and mask:
        keys.add(_settled(mask, axis))
    return tuple(sorted(keys))


def slice_of(mask: Region, index: int, axis: int) -> bool:
    """Whether a mask has voxels on slice ``index``."""
    inside = index - mask.lower[axis]
    return 0 <= inside < mask.voxels.shape[axis] and bool(np.take(mask.voxels, inside, axis=axis).any())


class Growing:
    """A mask that grows slice by slice: what a session keeps of a propagation, cancelled or not.

    Parameters
    ----------
    mask : Region
        The object's mask before.
    volume : Volume
        The image.
    axis : int
        The slice axis.
    """

    def __init__(self, mask: Region, volume: Volume, axis: int) -> None:
        self._voxels: BoolArray = mask.full(volume.shape)
        self._axis = axis

    def put(self, index: int, mask: Region) -> None:
        """Replace slice ``index`` by a mask one voxel thick."""
        place = tuple(index if axis == self._axis else slice(None) for axis in range(3))
        self._voxels[place] = False
        self._voxels[mask.slices] = mask.voxels

    def region(self) -> Region:
        """The mask now."""
        return Region.of(self._voxels)


def _settled(region: Region, axis: int) -> int:
    areas = region.voxels.sum(axis=tuple(a for a in range(3) if a != axis))
    largest = np.flatnonzero(areas == areas.max())
    return int(region.lower[axis] + largest[len(largest) // 2])
