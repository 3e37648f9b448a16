"""Holes and islands of a mask: the tidying after a prediction, and the functions behind the tidying buttons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.region import BoolArray, Edit, Region
from napari_medsam.engine.volume import Index3

# A hole of two voxels along each axis: below what anyone outlines by hand, above what resampling leaves behind.
SPECK = 8
# Labelling costs about 20 ns a voxel (benchmarks of the field put 300 x 512 x 512 at 1.7 s and more); a box above this
# would take longer to tidy than to predict, and a few unfilled specks do not matter at that size.
LARGEST_TIDIED_BOX = 8_000_000


def fill_holes(mask: BoolArray, largest: int | None = None, keep_open: BoolArray | None = None) -> BoolArray:
    """Fill background that the mask encloses.

    Parameters
    ----------
    mask : numpy.ndarray
        Bool ``(z, y, x)``.
    largest : int, optional
        Holes of more voxels stay open; all are filled by default.
    keep_open : numpy.ndarray, optional
        Bool ``(z, y, x)``; a hole with one of these voxels stays open.

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
    if largest is not None:
        fill &= np.bincount(labels.ravel(), minlength=count + 1) <= largest
    if keep_open is not None:
        fill[labels[keep_open]] = False
    return np.asarray(mask | fill[labels])


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
    if not change or change.added.size > LARGEST_TIDIED_BOX:
        return predicted
    # One voxel more, so that a hole at the edge of the changed box has its wall inside.
    lower = _index(np.maximum(np.subtract(change.lower, 1), 0))
    upper = _index(np.minimum(np.add(change.upper, 1), shape))
    refused = np.zeros(np.subtract(upper, lower), dtype=bool)
    for prompt in prompts:
        if not prompt.positive:
            refused |= prompt.region(shape).inside(lower, upper)
    before = predicted.inside(lower, upper)
    after = fill_holes(before, largest=SPECK, keep_open=refused)
    return Edit(lower, after & ~before, np.zeros_like(before)).apply(predicted)


def _index(values: npt.NDArray[np.int_]) -> Index3:
    z, y, x = values.tolist()
    return z, y, x
