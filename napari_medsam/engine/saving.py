"""Objects of a session into a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from napari_medsam.engine.errors import SaveError
from napari_medsam.engine.objects import SegmentedObject
from napari_medsam.engine.volume import Volume


def save_masks(path: Path, volume: Volume, objects: Iterable[SegmentedObject]) -> list[int]:
    """Write all objects that have voxels, each with its id as its value, and return the ids.

    Raises
    ------
    SaveError
        If there is nothing to save or it cannot be written; what was there before is untouched.
    """
    # Imported here: writers of medical formats take long to import, and most clicks save nothing.
    from napari_medsam.engine.io import SavedObject, save_objects

    saved = [SavedObject(item.name, item.colour, item.mask, item.id) for item in objects if item.mask]
    if not saved:
        raise SaveError("There is nothing to save yet: no object has a voxel.")
    save_objects(path, volume, saved)
    return [item.value for item in saved]
