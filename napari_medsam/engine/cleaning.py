"""The three ways to clean a mask that people ask for: fill its holes, drop small islands, keep the largest piece."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_medsam.engine import postprocess
from napari_medsam.engine.errors import MaskError
from napari_medsam.engine.region import BoolArray, Region
from napari_medsam.engine.volume import Volume

# Relative: as many voxels as fill a volume exactly are not one more for the sake of rounding.
_ROUNDING = 1e-9


class CleaningKind(enum.Enum):
    """What is cleaned away."""

    FILL_HOLES = "fill_holes"
    REMOVE_ISLANDS = "remove_islands"
    KEEP_LARGEST = "keep_largest"


@dataclass(frozen=True)
class Cleaning:
    """One way to clean masks.

    Parameters
    ----------
    kind : CleaningKind
        What is cleaned away.
    smallest : float
        For islands: the volume, in cubic millimetres, from which on a piece stays.

    Raises
    ------
    MaskError
        If ``smallest`` is no volume.
    """

    kind: CleaningKind
    smallest: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smallest < math.inf:
            raise MaskError(f"The smallest island is a volume in mm³, not {self.smallest}.")

    def apply(self, mask: Region, volume: Volume) -> Region:
        """The mask after cleaning.

        Holes are background without a way out of the mask, step by step through faces of voxels; in a mask of one
        slice, along whatever axis, without a way out within the slice. Pieces hang together through faces. The largest
        piece is no island, however small: cleaning never makes an object vanish.
        """
        if not mask:
            return mask
        if self.kind is CleaningKind.FILL_HOLES:
            return Region(mask.lower, _filled(mask.voxels))
        largest = postprocess.keep_largest(mask.voxels)
        if self.kind is CleaningKind.KEEP_LARGEST:
            return Region.of(largest, mask.lower)
        fewest = math.ceil(self.smallest / voxel_volume(volume) * (1 - _ROUNDING))
        return Region.of(postprocess.remove_islands(mask.voxels, fewest) | largest, mask.lower)

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return {"kind": self.kind.value, "smallest": self.smallest}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Cleaning:
        """Inverse of `to_json`."""
        return cls(CleaningKind(record["kind"]), float(record["smallest"]))


def voxel_volume(volume: Volume) -> float:
    """Cubic millimetres of one voxel."""
    return float(abs(np.linalg.det(volume.affine[:3, :3])))


def _filled(voxels: BoolArray) -> BoolArray:
    for axis, size in enumerate(voxels.shape):
        if size == 1:
            return postprocess.fill_holes_in_slice(voxels, axis)
    return postprocess.fill_holes(voxels)
