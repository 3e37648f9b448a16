"""How a session cleans masks: worked out on a snapshot, then one command for all objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from napari_medsam.engine.cleaning import Cleaning
from napari_medsam.engine.ledger import Ledger
from napari_medsam.engine.objects import CleanUp, SegmentedObject
from napari_medsam.engine.overlap import settle_all
from napari_medsam.engine.region import Edit, Region
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume


def clean_objects(
    ledger: Ledger, volume: Volume, object_ids: Iterable[int], cleaning: Cleaning, task: Task
) -> dict[int, Edit]:
    """See `Session.clean`."""
    ids = sorted(set(object_ids))
    while True:
        old = {id_: ledger.find(id_) for id_ in ids}
        cleaned = cleaned_masks(old, cleaning, volume, task)
        with ledger.changing() as events:
            objects, overlap = ledger.document.objects, ledger.overlap
            if any(id_ not in objects or objects[id_].mask is not item.mask for id_, item in old.items()):
                continue
            masks = settle_all(objects, cleaned, overlap)
            edits = {id_: Edit.between(item.mask, masks.get(id_, item.mask)) for id_, item in old.items()}
            if any(edits.values()):
                step = CleanUp(ledger.document.next_number, cleaning)
                changed: dict[int, SegmentedObject | None] = {
                    id_: objects[id_].remade(mask, (*objects[id_].steps, step) if id_ in cleaned else None)
                    for id_, mask in masks.items()
                }
                details = {"overlap": overlap.value, "cleaning": cleaning.to_json()}
                ledger.do("clean", changed, events, details)
            return edits


def cleaned_masks(
    objects: Mapping[int, SegmentedObject], cleaning: Cleaning, volume: Volume, task: Task
) -> dict[int, Region]:
    """Masks by id of the objects that cleaning changes. Raises `Cancelled` between two of them."""
    cleaned = {}
    for place, (id_, item) in enumerate(objects.items()):
        task.progress(place / len(objects), "Cleaning")
        mask = cleaning.apply(item.mask, volume)
        if Edit.between(item.mask, mask):
            cleaned[id_] = mask
    task.check()
    return cleaned
