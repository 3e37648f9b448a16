"""A named, coloured mask as files hold it."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from napari_medsam.engine.io.values import Array
from napari_medsam.engine.region import Region

Colour = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class SavedObject:
    """One object of a segmentation file.

    Parameters
    ----------
    name : str
        Shown to the user.
    colour : tuple of int
        Red, green, blue, from 0 to 255.
    region : Region
        The mask, in voxels of the image.
    value : int
        Label value, from 1.
    """

    name: str
    colour: Colour
    region: Region
    value: int


def objects_of(labels: Array) -> list[SavedObject]:
    """The objects of a label map without names: one for each value but 0, named after it."""
    values = np.unique(labels[labels != 0]).tolist()
    return [
        SavedObject(f"Label {value}", colour_of(i), Region.of(labels == value), value) for i, value in enumerate(values)
    ]


def colour_of(index: int) -> Colour:
    """A colour for the ``index``-th object, far from those of its neighbours: hues a golden angle apart."""
    red, green, blue = colorsys.hsv_to_rgb((index * 0.618034) % 1.0, 0.75, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
