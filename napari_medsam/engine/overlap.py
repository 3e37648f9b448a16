"""Where a new mask meets other objects: who keeps the voxels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from napari_medsam.engine.objects import Overlap, SegmentedObject
from napari_medsam.engine.region import Edit, Region


def settle(
    objects: Mapping[int, SegmentedObject], object_id: int, mask: Region, previous: Region, overlap: Overlap
) -> dict[int, Region]:
    """Masks after an object was given a new one.

    Parameters
    ----------
    objects : mapping
        All objects by id; the mask of ``object_id`` itself is not looked at.
    object_id : int
        The object with the new mask.
    mask, previous : Region
        Its new mask and the one before. What it had before it keeps, shared or not.
    overlap : Overlap
        Who gives way.

    Returns
    -------
    dict
        `Region` by id: of ``object_id``, and of every other object that lost voxels.
    """
    others = [item for item in objects.values() if item.id != object_id]
    if not mask or overlap is Overlap.ALLOW:
        return {object_id: mask}
    if overlap is Overlap.REPLACE:
        masks = {object_id: mask}
        for other in others:
            lost = other.mask.inside(mask.lower, mask.upper) & mask.voxels
            if lost.any():
                masks[other.id] = Edit(mask.lower, np.zeros_like(lost), lost).apply(other.mask)
        return masks
    taken = np.zeros_like(mask.voxels)
    for other in others:
        taken |= other.mask.inside(mask.lower, mask.upper)
    if not taken.any():
        return {object_id: mask}
    taken &= ~previous.inside(mask.lower, mask.upper)
    return {object_id: Region.of(mask.voxels & ~taken, mask.lower)}


def settle_all(
    objects: Mapping[int, SegmentedObject], masks: Mapping[int, Region], overlap: Overlap
) -> dict[int, Region]:
    """Masks after several objects were given new ones, one after the other by id; takes and returns as `settle`."""
    now, settled = dict(objects), {}
    for object_id in sorted(masks):
        for id_, mask in settle(now, object_id, masks[object_id], objects[object_id].mask, overlap).items():
            now[id_] = now[id_].remade(mask)
            settled[id_] = mask
    return settled
