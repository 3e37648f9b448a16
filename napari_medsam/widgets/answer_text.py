"""What the user is told when a prompt was answered."""

from __future__ import annotations

from napari_medsam.engine.cleaning import voxel_volume
from napari_medsam.engine.objects import SegmentedObject
from napari_medsam.engine.prompts import Box
from napari_medsam.engine.volume import Volume


def answer_text(item: SegmentedObject, volume: Volume, box: Box | None) -> str:
    """How large an object of an image is now, and what to do next.

    Parameters
    ----------
    item : SegmentedObject
        The object as it was answered.
    volume : Volume
        The image.
    box : Box or None
        The object's newest box, where it can still be extended.
    """
    if not item.mask:
        return f"{item.name}: nothing was found there. Add a prompt, or undo."
    millilitres = item.mask.count * voxel_volume(volume) / 1000
    hint = "Click to correct it, or start the next object."
    if box is not None and box.is_flat and min(volume.shape) > 1:
        hint = "Propagate it to the other slices, or scroll to the object's other end and extend the box."
    return f"{item.name}: {millilitres:.3g} ml. {hint}"
