"""How a session takes what people do without a model: a new object, a mask changed by hand."""

from __future__ import annotations

import numpy as np

from napari_medsam.engine.answering import with_masks
from napari_medsam.engine.errors import MedSamError
from napari_medsam.engine.label_map import check_id
from napari_medsam.engine.ledger import Ledger
from napari_medsam.engine.objects import Colour, HandEdit, SegmentedObject, colour_for
from napari_medsam.engine.overlap import settle
from napari_medsam.engine.region import Edit, Region
from napari_medsam.engine.volume import Index3


def add_object(ledger: Ledger, name: str | None, colour: Colour | None, number: int | None) -> SegmentedObject:
    """See `Session.add_object`."""
    with ledger.changing() as events:
        id_ = ledger.document.next_id if number is None else number
        check_id(id_)
        if id_ in ledger.document.objects:
            raise MedSamError(f"There is an object {id_} in this session already.")
        new = SegmentedObject(id_, name or f"Object {id_}", colour or colour_for(id_))
        ledger.do("add", {id_: new}, events)
    return new


def edit_mask(ledger: Ledger, shape: Index3, object_id: int, mask: Region) -> Edit:
    """See `Session.edit`; ``shape`` is that of the image, ``(z, y, x)``."""
    lower, upper = np.maximum(mask.lower, 0), np.minimum(mask.upper, shape)
    if np.any(lower != mask.lower) or np.any(upper != mask.upper):
        mask = Region.of(mask.full(shape))
    with ledger.changing() as events:
        objects, overlap = ledger.document.objects, ledger.overlap
        old = ledger.find(object_id)
        masks = settle(objects, object_id, mask, old.mask, overlap)
        edit = Edit.between(old.mask, masks[object_id])
        if edit or len(masks) > 1:
            step = HandEdit(ledger.document.next_number, edit.to_json())
            changed = with_masks(objects, masks, object_id, (*old.steps, step))
            ledger.do("edit", changed, events, {"overlap": overlap.value})
    return edit
