"""Slices of a result as files: label arrays, and pictures of the image beside the same with its objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from napari_medsam.engine.io import write_aside
from napari_medsam.engine.volume import Volume

_CT_WINDOW = (-160.0, 240.0)
_TINT = 0.35
_GAP = 4


def write_arrays(folder: Path, labels: npt.NDArray[np.uint16], axis: int) -> None:
    """Write every slice along an axis as ``NNNN.npy``, its labels as uint16 in the two axes that are left.

    Raises
    ------
    SaveError
        If the system refuses.
    """
    for index, plane in enumerate(np.moveaxis(labels, axis, 0)):
        with write_aside(folder / f"{index:04d}.npy") as aside:
            np.save(aside, np.ascontiguousarray(plane), allow_pickle=False)


def write_pictures(
    folder: Path,
    volume: Volume,
    labels: npt.NDArray[np.uint16],
    axis: int,
    colours: Mapping[int, tuple[int, int, int]],
) -> None:
    """Write ``NNNN.png`` for every slice that shows an object: the image, and the image with tints and outlines.

    Pixels are square in millimetres.

    Raises
    ------
    SaveError
        If the system refuses.
    """
    grey = np.moveaxis(_shown(volume), axis, 0)
    rows, columns = (volume.spacing[a] for a in range(3) if a != axis)
    for index, plane in enumerate(np.moveaxis(labels, axis, 0)):
        if not plane.any():
            continue
        plain = np.broadcast_to(grey[index], (*plane.shape, 3))
        height, width = plane.shape
        finest = min(rows, columns)
        size = max(round(width * columns / finest), 1), max(round(height * rows / finest), 1)
        marked = plain.copy()
        for value in np.unique(plane[plane > 0]).tolist():
            inside = plane == value
            outline = inside & ~ndimage.binary_erosion(inside)
            colour = np.asarray(colours[value])
            marked[inside] = ((1 - _TINT) * marked[inside] + _TINT * colour).astype(np.uint8)
            marked[outline] = colour
        sheet = Image.new("RGB", (2 * size[0] + _GAP, size[1]))
        sheet.paste(Image.fromarray(np.ascontiguousarray(plain)).resize(size, Image.Resampling.BILINEAR), (0, 0))
        sheet.paste(Image.fromarray(marked).resize(size, Image.Resampling.NEAREST), (size[0] + _GAP, 0))
        with write_aside(folder / f"{index:04d}.png") as aside:
            sheet.save(aside, format="PNG")


def _shown(volume: Volume) -> npt.NDArray[np.uint8]:
    """The image ``(z, y, x, 1 or 3)`` as it is shown: colours as they are, CT in a soft-tissue window."""
    if volume.is_colour:
        return volume.data
    data = volume.data.astype(np.float32)
    low, high = _CT_WINDOW if volume.modality == "CT" else np.percentile(data[np.isfinite(data)], (0.5, 99.5))
    scaled = np.nan_to_num(np.clip((data - low) / max(float(high - low), 1e-6), 0, 1))
    return (scaled * 255).astype(np.uint8)[..., None]
