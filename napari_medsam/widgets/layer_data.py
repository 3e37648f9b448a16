"""Volumes as napari layer data, upright as a radiologist expects them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from napari_medsam.engine.volume import FloatArray, Volume
from napari_medsam.widgets.layer_volume import METADATA_KEY

LayerData = tuple[npt.NDArray[Any], dict[str, Any], str]

# napari draws later rows lower and later columns further right. The world axes it is given here therefore run towards
# the feet, the back and the patient's left: the radiological view, head and face up.
_DOWN_BACK_LEFT = np.array([-1.0, 1.0, 1.0])
_SAMPLES = 100_000
_PERCENTILES = (0.5, 99.5)
_SOFT_TISSUE_HU = (-160.0, 240.0)
"""The usual abdominal window of CT: width 400, level 40."""


def placement(volume: Volume) -> dict[str, Any]:
    """Scale, translation, units and axis labels that show a volume upright, in millimetres.

    The scale is the spacing, negative along array axes that run the other way on the screen. Rotation is left out,
    because napari cannot slice rotated data in 2D: an oblique volume is shown along its own axes with its centre where
    it is in the patient, and volumes along the patient's axes lie exactly over each other. The true affine stays with
    the `Volume` in the layer's metadata, and masks are saved with it.
    """
    # Columns: array axes (z, y, x); rows: patient axes, in the order down, back, left.
    directions = (volume.affine[:3, :3] / np.array(volume.spacing))[::-1] * _DOWN_BACK_LEFT[:, None]
    patient_axis, array_axis = linear_sum_assignment(-np.abs(directions))
    nearest = np.empty(3, dtype=int)
    nearest[array_axis] = patient_axis
    signs = np.sign(directions[nearest, range(3)])
    middle = (np.array(volume.shape) - 1) / 2
    centre = (volume.to_world(middle)[::-1] * _DOWN_BACK_LEFT)[nearest]
    scale: FloatArray = signs * np.array(volume.spacing)
    return {
        "scale": scale.tolist(),
        "translate": (centre - scale * middle).tolist(),
        "units": ("mm",) * 3,
        "axis_labels": ("z", "y", "x"),
    }


def contrast_limits(volume: Volume) -> tuple[float, float]:
    """Display window from a sample of the voxels: the soft-tissue window for CT, percentiles for anything else."""
    if volume.modality == "CT":
        return _SOFT_TISSUE_HU
    step = max(1, round((volume.data.size / _SAMPLES) ** (1 / 3)))
    sample = np.asarray(volume.data[::step, ::step, ::step], dtype=np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(sample, _PERCENTILES))
    return (low, high) if high > low else (low, low + 1.0)


def image_layer(volumes: Sequence[Volume], name: str) -> LayerData:
    """One image layer of one volume, or of a series of them as ``(frame, z, y, x)``; a single slice becomes 2D."""
    first = volumes[0]
    meta: dict[str, Any] = {"name": name, **placement(first)}
    if first.is_colour:
        meta["rgb"] = True
    else:
        meta["contrast_limits"] = contrast_limits(volumes[len(volumes) // 2])
    data = first.data
    if len(volumes) > 1:
        data = _stacked(volumes)
        # The frames become views of the stack, so that the series is in memory once.
        volumes = [replace(volume, data=frame) for volume, frame in zip(volumes, data, strict=True)]
        _prepend_axis(meta)
    elif first.shape[0] == 1:
        data = data[0]
        _drop_axis(meta)
    meta["metadata"] = {METADATA_KEY: tuple(volumes)}
    return data, meta, "image"


def labels_layer(labels: npt.NDArray[Any], volume: Volume, name: str, names: dict[int, str] | None = None) -> LayerData:
    """A labels layer on the grid of a volume."""
    meta: dict[str, Any] = {"name": name, **placement(volume), "metadata": {METADATA_KEY: (volume,)}}
    if names:
        features = {"index": [0, *names], "name": ["background", *names.values()]}
        meta["features"] = features
    if volume.shape[0] == 1:
        labels = labels[0]
        _drop_axis(meta)
    return labels, meta, "labels"


def _stacked(volumes: Sequence[Volume]) -> npt.NDArray[Any]:
    base = volumes[0].data.base
    shape = (len(volumes), *volumes[0].data.shape)
    if isinstance(base, np.ndarray) and base.shape == shape and all(v.data.base is base for v in volumes):
        return base
    return np.stack([volume.data for volume in volumes])


def _prepend_axis(meta: dict[str, Any]) -> None:
    meta["scale"] = [1.0, *meta["scale"]]
    meta["translate"] = [0.0, *meta["translate"]]
    meta["units"] = ("pixel", *meta["units"])
    meta["axis_labels"] = ("frame", *meta["axis_labels"])


def _drop_axis(meta: dict[str, Any]) -> None:
    for key in ("scale", "translate", "units", "axis_labels"):
        meta[key] = meta[key][1:]
