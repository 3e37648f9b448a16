"""What an object looks like beside its surroundings, to tell on another slice what is still of it.

A network that is shown a neighbour's mask believes in it, and goes on drawing an object that ended slices ago. Grey
values know better: each voxel is asked whether values like its own were more frequent in the object or around it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medsam.engine import masks
from napari_medsam.engine.region import BoolArray

RING = 6
"""Voxels around the object that count as its surroundings."""

_BINS = 16
_SMOOTHING = 1.0  # voxels and bins: single voxels are noise
_SMALLEST_PIECE = 0.2  # of the largest; smaller ones are specks
_FEWEST = 4  # voxels of an object
_ROUNDING = 1e-9  # of evidence: where nothing speaks for either side, it may be the object


@dataclass(frozen=True, eq=False)
class Appearance:
    """Grey values of an object and of what is around it.

    Parameters
    ----------
    edges : numpy.ndarray
        ``(bins + 1,)`` grey values.
    evidence : numpy.ndarray
        ``(bins,)``: logarithm of how much more frequent values of the bin are inside than outside.
    """

    edges: npt.NDArray[np.float64]
    evidence: npt.NDArray[np.float64]

    @classmethod
    def of(cls, grey: npt.NDArray[Any], mask: BoolArray) -> Appearance:
        """Of the object ``mask`` on a slice ``grey``, both ``(rows, columns)``; the mask is not empty."""
        ring = ndimage.binary_dilation(mask, iterations=RING) & ~mask
        low, high = np.percentile(grey[mask | ring], (1, 99))
        edges = np.linspace(low, max(high, np.nextafter(low, np.inf)), _BINS + 1)
        # Half a voxel in every bin: a value never seen is no proof.
        least = 0.5 / int((mask | ring).sum())
        inside, outside = (_frequencies(np.clip(grey[part], low, high), edges, least) for part in (mask, ring))
        return cls(edges, np.log(inside / outside))

    def like(self, grey: npt.NDArray[Any]) -> BoolArray:
        """Where a slice does not look more like the surroundings than like the object."""
        bins = np.clip(np.digitize(grey, self.edges) - 1, 0, _BINS - 1)
        alike: BoolArray = ndimage.gaussian_filter(self.evidence[bins], _SMOOTHING) >= -_ROUNDING
        return alike


def trimmed(mask: BoolArray, alike: BoolArray) -> BoolArray:
    """What of a mask looks like the object, without specks and holes; empty when hardly anything does."""
    kept = ndimage.binary_opening(mask & alike)
    largest = int(np.count_nonzero(masks.keep_largest(kept, connectivity=4)))
    kept = masks.remove_islands(kept, math.ceil(_SMALLEST_PIECE * largest), connectivity=4)
    kept = masks.fill_holes(kept)
    result: BoolArray = kept if kept.sum() >= _FEWEST else np.zeros_like(mask)
    return result


def _frequencies(values: npt.NDArray[Any], edges: npt.NDArray[np.float64], least: float) -> npt.NDArray[np.float64]:
    counts = ndimage.gaussian_filter1d(np.histogram(values, edges)[0].astype(np.float64), _SMOOTHING)
    frequencies: npt.NDArray[np.float64] = counts / max(len(values), 1) + least
    return frequencies
