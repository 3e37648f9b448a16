"""Labelled 2D images: slices of volumes, and the lists of pictures of the SA-Med2D layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import Index3, Volume


def largest_picture(volume: Volume, truth: Region) -> tuple[Volume, Region]:
    """The slice that shows most of a structure, as an image of its own, and the structure in it.

    Slices lie across the axis with the largest voxels, the first of equals: the plane the image is read in.
    """
    spacing = np.asarray(volume.spacing)
    axis = int(np.argmax(spacing > 0.99 * spacing.max()))
    order = (axis, *(a for a in range(3) if a != axis))
    voxels = truth.voxels.transpose(order)
    place = int(np.count_nonzero(voxels, axis=(1, 2)).argmax())
    level = truth.lower[axis] + place
    data = np.take(volume.data, [level], axis=axis)
    data = data.transpose(*order, 3) if volume.is_colour else data.transpose(order)
    affine = volume.affine[:, [*order, 3]].copy()
    affine[:3, 3] += level * affine[:3, 0]
    _, y, x = (truth.lower[a] for a in order)
    lower: Index3 = (0, y, x)
    return Volume(data, affine, modality=volume.modality), Region.of(voxels[place : place + 1], lower)


def picture_entries(listed: Mapping[str, Any], path: Path) -> Iterator[dict[str, Any]]:
    """Entries as in a list of cases from an ``image2label`` or ``label2image`` list, one for each mask.

    Such a list names its files from a folder that holds the list somewhere inside.

    Raises
    ------
    ValueError
        If it is no such list.
    """
    for key, value in listed.items():
        pairs = [(value, key)] if isinstance(value, str) else [(key, label) for label in value]
        for image, label in pairs:
            if not isinstance(label, str):
                raise ValueError(f"the masks of {key} must be file names")
            root = next((folder for folder in path.resolve().parents if (folder / image).exists()), path.parent)
            yield {
                "id": Path(label).stem,
                "dataset": path.parent.name,
                "image": str(root / image),
                "label": str(root / label),
                "values": [[255]],
            }
