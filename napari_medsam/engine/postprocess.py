"""Holes and islands of a mask: the tidying after a prediction, and the functions behind the tidying buttons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.region import BoolArray, Edit, Region
from napari_medsam.engine.volume import Index3

# A hole of two voxels along each axis: below what anyone outlines by hand, above what resampling leaves behind.
SPECK = 8


def fill_holes(mask: BoolArray) -> BoolArray:
    """Fill all background that the mask encloses.

    Parameters
    ----------
    mask : numpy.ndarray
        Bool ``(z, y, x)``.

    Returns
    -------
    numpy.ndarray
        A new bool array. Holes are 6-connected background that reaches no face of the array, as in
        `scipy.ndimage.binary_fill_holes`.
    """
    labels, count = ndimage.label(~mask)
    fill = np.ones(count + 1, dtype=bool)
    fill[0] = False
    for axis in range(3):
        for face in (0, -1):
            fill[np.take(labels, face, axis=axis)] = False
    return np.asarray(mask | fill[labels])


def fill_specks(mask: BoolArray, largest: int, keep_open: BoolArray) -> BoolArray:
    """Fill the holes of at most ``largest`` voxels.

    A voxel of such a hole lies in a short run of background along x. Only those voxels are looked at, so that a mask
    without specks costs little more than a copy.

    Parameters
    ----------
    mask : numpy.ndarray
        Bool ``(z, y, x)``.
    largest : int
        Voxels.
    keep_open : numpy.ndarray
        Bool ``(z, y, x)``; a hole with one of these voxels stays open.

    Returns
    -------
    numpy.ndarray
        A new bool array; holes are those of `fill_holes`.
    """
    out = mask.copy()
    padded = np.pad(mask, 1)
    _, height, width = padded.shape
    flat = padded.ravel()
    voxels = _short_runs(flat, width, largest)
    if not voxels.size:
        return out
    is_open = np.pad(keep_open, 1).ravel()[voxels]
    links = []
    for step in (1, width, height * width):
        for neighbour in (voxels - step, voxels + step):
            place = np.minimum(np.searchsorted(voxels, neighbour), voxels.size - 1)
            is_voxel = voxels[place] == neighbour
            is_open |= ~flat[neighbour] & ~is_voxel
            links.append(np.stack([np.flatnonzero(is_voxel), place[is_voxel]]))
    first, second = np.concatenate(links, axis=1)
    graph = sparse.coo_array((np.ones(first.size, dtype=bool), (first, second)), shape=(voxels.size, voxels.size))
    count, piece = sparse.csgraph.connected_components(graph, directed=False)
    fill = np.bincount(piece, minlength=count) <= largest
    fill[piece[is_open]] = False
    z, y, x = np.unravel_index(voxels[fill[piece]], padded.shape)
    out[z - 1, y - 1, x - 1] = True
    return out


def remove_islands(mask: BoolArray, smallest: int) -> BoolArray:
    """A new bool array ``(z, y, x)`` without the 6-connected pieces of fewer than ``smallest`` voxels."""
    labels, count = ndimage.label(mask)
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= smallest
    keep[0] = False
    return np.asarray(keep[labels])


def keep_touching(mask: BoolArray, points: Iterable[Index3]) -> BoolArray:
    """A new bool array with the 6-connected pieces of ``mask`` that hold one of the voxels ``(z, y, x)``."""
    labels, count = ndimage.label(mask)
    keep = np.zeros(count + 1, dtype=bool)
    for point in points:
        keep[labels[point]] = True
    keep[0] = False
    return np.asarray(keep[labels])


def tidy(predicted: Region, previous: Region, prompts: Sequence[Prompt], shape: Index3) -> Region:
    """The prediction with specks of background inside it filled, where it changed.

    Only holes of at most `SPECK` voxels, and only those without a voxel of a negative prompt. Islands stay: an object
    may have several parts, and a lesion of a few voxels is what somebody looks for.

    Parameters
    ----------
    predicted, previous : Region
        The object's mask after and before.
    prompts : sequence of Prompt
        All prompts of the object.
    shape : tuple of int
        Size ``(z, y, x)`` of the image.
    """
    change = Edit.between(previous, predicted)
    if not change:
        return predicted
    # One voxel more, so that a hole at the edge of the changed box has its wall inside.
    lower = _index(np.maximum(np.subtract(change.lower, 1), 0))
    upper = _index(np.minimum(np.add(change.upper, 1), shape))
    refused = np.zeros(np.subtract(upper, lower), dtype=bool)
    for prompt in prompts:
        if not prompt.positive:
            refused |= prompt.region(shape).inside(lower, upper)
    before = predicted.inside(lower, upper)
    after = fill_specks(before, SPECK, refused)
    return Edit(lower, after & ~before, np.zeros_like(before)).apply(predicted)


def _short_runs(flat: BoolArray, width: int, longest: int) -> npt.NDArray[np.intp]:
    """Indices, ascending, of background in runs of at most ``longest`` between foreground, in rows padded by one."""
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts, ends = edges[1:-1:2], edges[2::2]
    short = ends - starts <= longest
    starts, lengths = starts[short], (ends - starts)[short]
    voxels = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    # A run over the end of a row has its two voxels of padding in it, which are outside and not background.
    column = voxels % width
    return np.asarray(voxels[(column > 0) & (column < width - 1)])


def _index(values: npt.NDArray[np.int_]) -> Index3:
    z, y, x = values.tolist()
    return z, y, x
