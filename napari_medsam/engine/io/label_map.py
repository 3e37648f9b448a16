"""Objects composed into one label map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_medsam.engine.errors import SaveError
from napari_medsam.engine.io.saved_object import SavedObject
from napari_medsam.engine.io.values import Array
from napari_medsam.engine.volume import Index3


def composed(objects: Sequence[SavedObject], shape: Index3) -> Array:
    """The label map ``(z, y, x)`` of objects that do not overlap, in 8 or 16 bits as their values need.

    Raises
    ------
    SaveError
        If two objects share a voxel: one voxel of a label map has one value.
    """
    labels: Array = np.zeros(shape, dtype=label_type(objects))
    for item in objects:
        box, mask = labels[item.region.slices], item.region.voxels
        taken = box[mask]
        if taken.any():
            values = set(np.unique(taken).tolist())
            shared = " and ".join(f"'{other.name}'" for other in objects if other.value in values)
            raise SaveError(
                f"'{item.name}' shares {np.count_nonzero(taken)} voxels with {shared}, and a label map holds one "
                "object for each voxel: save as .seg.nrrd, or take the overlap away first."
            )
        box[mask] = item.value
    return labels


def label_type(objects: Sequence[SavedObject]) -> type[np.uint8 | np.uint16]:
    """The smallest type that holds every label value."""
    return np.uint8 if max((item.value for item in objects), default=0) < 256 else np.uint16
