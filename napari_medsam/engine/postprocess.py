"""Holes and islands of a mask: the tidying after a prediction, and the functions behind the tidying buttons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from napari_medsam.engine import masks
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
    return masks.fill_holes(mask)


def fill_holes_in_slice(mask: BoolArray, axis: int) -> BoolArray:
    """Fill all background that the mask encloses within the slices across an axis.

    Parameters
    ----------
    mask : numpy.ndarray
        Bool ``(z, y, x)``.
    axis : int
        0, 1 or 2.

    Returns
    -------
    numpy.ndarray
        A new bool array. Holes are 4-connected background of a slice that reaches no edge of it.
    """
    return np.moveaxis(masks.fill_holes(np.moveaxis(mask, axis, 0), dims=2), 0, axis)


def fill_specks(mask: BoolArray, largest: int, keep_open: BoolArray) -> BoolArray:
    """Fill the holes of at most ``largest`` voxels.

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
    return masks.fill_holes_up_to(mask, largest, spare=np.argwhere(keep_open))


def remove_islands(mask: BoolArray, smallest: int) -> BoolArray:
    """A new bool array ``(z, y, x)`` without the 6-connected pieces of fewer than ``smallest`` voxels."""
    return masks.remove_islands(mask, smallest, connectivity=6)


def keep_largest(mask: BoolArray) -> BoolArray:
    """A new bool array ``(z, y, x)`` with the largest 6-connected piece only; of equals, the first in raster order."""
    return masks.keep_largest(mask, connectivity=6)


def keep_touching(mask: BoolArray, points: Iterable[Index3]) -> BoolArray:
    """A new bool array with the 6-connected pieces of ``mask`` that hold one of the voxels ``(z, y, x)``."""
    return masks.keep_touching(mask, points, connectivity=6)


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


def _index(values: npt.NDArray[np.int_]) -> Index3:
    z, y, x = values.tolist()
    return z, y, x
