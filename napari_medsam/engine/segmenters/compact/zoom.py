"""Which crops of the volume the network looks at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.region import BoolArray, Region
from napari_medsam.engine.segmenters.compact.patch import PatchGrid
from napari_medsam.engine.volume import Index3, Vec3

PATCH = 64
"""Cells a side of a patch, where the model card does not say otherwise."""

MARGIN = 1.5
"""The patch is this many times as long as the object's box, so that the object fills two thirds of it."""

MAX_STRETCH = 4.0
"""No side of a patch is shorter, in millimetres, than the longest side divided by this: cells keep some shape."""

MIN_SIDE = 8.0
"""Voxels a patch covers at least along each axis: less is interpolation, not image."""

COARSE = 1.6
"""Voxels per cell from which on the outline is looked at again, closer."""

OUTLINED = 2.5
"""Patch length over the length of an object that was outlined in one slice, at most: it is hardly deeper than wide."""

MAX_TILES = 4
"""Closer looks per answer, the most of the outline first: what fits into a second on two CPU cores."""

Edges = npt.NDArray[np.float64]
Extent = tuple[Edges, Edges]
"""First and last voxel edge ``(z, y, x)`` of something."""


def extent_of(regions: Sequence[Region], others: Sequence[Extent] = ()) -> Extent:
    """Smallest extent that holds all that is given; at least one must not be empty."""
    lows = [np.asarray(r.lower, dtype=np.float64) for r in regions if r.voxels.size] + [low for low, _ in others]
    highs = [np.asarray(r.upper, dtype=np.float64) for r in regions if r.voxels.size] + [high for _, high in others]
    return np.min(lows, axis=0), np.max(highs, axis=0)


def patch_for(
    lower: npt.ArrayLike, upper: npt.ArrayLike, spacing: Vec3, cells: Index3, margin: float = MARGIN
) -> PatchGrid:
    """The patch for an object that spans the voxel edges from ``lower`` to ``upper``.

    Parameters
    ----------
    lower, upper : array_like
        Extent ``(z, y, x)`` in voxel edges, ``upper`` exclusive.
    spacing : tuple of float
        Millimetres per voxel ``(z, y, x)``.
    cells : tuple of int
        Cells of the patch; an axis with one cell keeps exactly the extent (a slice).
    margin : float
        Patch length over object length.
    """
    low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
    mm = np.asarray(spacing, dtype=np.float64)
    deep = np.asarray(cells) > 1
    side = np.where(deep, np.maximum((high - low) * margin, MIN_SIDE), high - low)
    side = np.where(deep, np.maximum(side, (side * mm)[deep].max() / MAX_STRETCH / mm), side)
    centre = (low + high) / 2
    return PatchGrid.around(centre - side / 2, centre + side / 2, cells)


def search_sides(shape: Index3, spacing: Vec3, marked: Extent, is_outlined: bool = False) -> list[float]:
    """Patch sides in millimetres to try when the object's size is unknown, small to large.

    They grow by factors of two from a few voxels, or from what was marked, to the size of the volume; to `OUTLINED`
    times what was marked where that is the object's outline in a slice.
    """
    mm = np.asarray(spacing)
    whole = float((np.asarray(shape) * mm).max())
    in_plane = np.sort(mm)[:2].max() if shape[0] > 1 else mm[1:].max()
    length = float(((marked[1] - marked[0]) * mm).max())
    smallest = max(16 * float(in_plane), length * 1.2)
    count = max(1, int(np.ceil(np.log2(max(whole / smallest, 1.0)))) + 1)
    sides = [min(smallest * 2.0**k, max(whole, smallest)) for k in range(min(count, 6))]
    return [side for side in sides if not is_outlined or side <= OUTLINED * length] or sides[:1]


def tiles_along(
    coarse: PatchGrid, mask: BoolArray, first: Sequence[Region], within: Extent | None = None
) -> list[PatchGrid]:
    """Closer patches, twice as fine as ``coarse``, over the outline of ``mask`` (on its cells).

    Those that hold the newest prompts ``first`` come first, then those with the most outline; at most `MAX_TILES`.
    With ``within`` the outline elsewhere does not count: nothing changes there.
    """
    deep = np.asarray(coarse.cells) > 1
    if not np.any((coarse.step > COARSE) & deep):
        return []
    outline = np.zeros_like(mask)
    for axis in np.flatnonzero(deep):
        change = np.diff(mask, axis=axis)
        after = [slice(None)] * 3
        after[axis] = slice(1, None)
        outline[tuple(after)] |= change
    cells = np.argwhere(outline)
    if within is not None:
        low, high = (np.floor((edge - coarse.start) / coarse.step) for edge in within)
        cells = cells[np.all((cells >= low) & (cells <= high), axis=1)]
    half = np.where(deep, np.asarray(coarse.cells) // 2, np.asarray(coarse.cells))
    tiles: list[PatchGrid] = []
    wanted = [(np.asarray(coarse.to_cell(r.lower)) + coarse.to_cell(np.subtract(r.upper, 1))) / 2 for r in first]
    while len(cells) and len(tiles) < MAX_TILES:
        middle = wanted.pop() if wanted and first else _densest(cells, half)
        start = np.clip(np.round(middle - half / 2), 0, np.asarray(coarse.cells) - half)
        covered = np.all((cells >= start) & (cells < start + half), axis=1)
        if not covered.any():
            continue
        low = np.asarray(coarse.start) + start * coarse.step
        tiles.append(PatchGrid.around(low, low + half * coarse.step, coarse.cells))
        cells = cells[~covered]
    return tiles


def closer_at(mark: Region, step: Edges, cells: Index3) -> list[PatchGrid]:
    """Patches round a mark, each twice as fine as the one before, down to cells no coarser than `COARSE`.

    Parameters
    ----------
    mark : Region
        What they lie round.
    step : numpy.ndarray
        Voxels per cell ``(z, y, x)`` that the mark has been looked at with.
    cells : tuple of int
        Cells of each patch.
    """
    deep = np.asarray(cells) > 1
    centre = np.add(mark.lower, mark.upper) / 2
    grids: list[PatchGrid] = []
    while np.any((step > COARSE) & deep):
        step = np.where(deep, np.maximum(step / 2, np.minimum(step, 1.0)), step)
        grids.append(PatchGrid.around(centre - step * cells / 2, centre + step * cells / 2, cells))
    return grids


def _densest(cells: npt.NDArray[np.int64], side: npt.NDArray[np.int64]) -> Edges:
    """Centre of the candidate window of ``side`` cells that holds most of ``cells``."""
    candidates = cells[:: max(1, len(cells) // 64)]
    inside = np.all(np.abs(cells[None] - candidates[:, None]) < side / 2, axis=2)
    best: Edges = candidates[inside.sum(axis=1).argmax()].astype(np.float64)
    return best
