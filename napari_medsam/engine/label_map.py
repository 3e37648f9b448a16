"""Object ids in an array, composed from sparse masks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import MedSamError
from napari_medsam.engine.objects import SegmentedObject
from napari_medsam.engine.volume import Index3

_LARGEST_ID = int(np.iinfo(np.uint16).max)


def check_id(object_id: int) -> None:
    """Raise `MedSamError` if no array of labels can hold the id of an object."""
    if object_id > _LARGEST_ID:
        raise MedSamError(f"A session holds at most {_LARGEST_ID} objects: save this one and start another.")


def compose_labels(objects: Iterable[SegmentedObject], lower: Index3, upper: Index3) -> npt.NDArray[np.uint16]:
    """Object ids in the box ``[lower, upper)``: uint16 ``(z, y, x)``, 0 for none; later objects cover earlier ones.

    One type for any number of objects, so that a layer made from it never has to change.
    """
    out = np.zeros([max(u - low, 0) for low, u in zip(lower, upper, strict=True)], dtype=np.uint16)
    for item in objects:
        mask = item.mask
        low, high = np.maximum(lower, mask.lower), np.minimum(upper, mask.upper)
        if np.all(high > low):
            target = out[tuple(slice(a - o, b - o) for a, b, o in zip(low, high, lower, strict=True))]
            inside = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, mask.lower, strict=True))
            target[mask.voxels[inside]] = item.id
    return out
