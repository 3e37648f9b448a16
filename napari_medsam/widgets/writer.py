"""napari writer of labels layers, on the grid of the image they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import SaveError
from napari_medsam.engine.region import Region
from napari_medsam.widgets.layer_volume import labels_volume


def write_labels(path: str, data: npt.ArrayLike, meta: dict[str, Any]) -> list[str]:
    """Write a labels layer; the format follows the ending (see `engine.io.save_objects`).

    Parameters
    ----------
    path : str
        Where to.
    data : array
        Labels ``(y, x)`` or ``(z, y, x)``.
    meta : dict
        The layer's attributes: its metadata hold the `Volume` when this package made it, otherwise its scale and affine
        say where the voxels lie.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    SaveError
        If it cannot be written; what was there before is untouched.
    """
    from napari_medsam.engine.io import SavedObject, save_objects

    labels = np.asarray(data)
    if labels.ndim == 4:
        raise SaveError("A series of label maps cannot be saved as one file: save each frame from the Segment widget.")
    volume = labels_volume(labels, meta)
    if labels.ndim == 2:
        labels = labels[None]
    names, colours = _names(meta), _colours(meta, labels)
    objects = [
        SavedObject(names.get(value, f"Label {value}"), colour, Region.of(labels == value), value)
        for value, colour in colours.items()
    ]
    if not objects:
        raise SaveError("There is nothing to save: the layer has no label.")
    save_objects(Path(path), volume, objects)
    return [path]


def _names(meta: dict[str, Any]) -> dict[int, str]:
    features = meta.get("features")
    if features is None or not {"index", "name"} <= set(features):
        return {}
    return {int(i): str(n) for i, n in zip(features["index"], features["name"], strict=True)}


def _colours(meta: dict[str, Any], labels: npt.NDArray[Any]) -> dict[int, tuple[int, int, int]]:
    values = [int(v) for v in np.unique(labels) if v > 0]
    colormap = meta.get("colormap")
    if not values or colormap is None:
        from napari_medsam.engine.objects import colour_for

        return {value: colour_for(value) for value in values}
    rgba = np.asarray(colormap.map(np.array(values)))
    colours = {}
    for value, row in zip(values, rgba, strict=True):
        red, green, blue = (int(c) for c in np.rint(row[:3] * 255))
        colours[value] = (red, green, blue)
    return colours
