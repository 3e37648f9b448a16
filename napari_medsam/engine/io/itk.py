"""NRRD and MetaImage, read through SimpleITK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io.affines import from_itk
from napari_medsam.engine.io.guard import DEFLATE_RATIO, require_plausible
from napari_medsam.engine.io.itk_text import data_file, read_meta_text, read_nrrd_text
from napari_medsam.engine.io.opened import Opened
from napari_medsam.engine.io.values import Array
from napari_medsam.engine.volume import FloatArray

_BYTES = {"8-bit": 1, "16-bit": 2, "32-bit": 4, "64-bit": 8}


def read_nrrd(path: Path) -> Opened:
    """Read a NRRD image (``.nrrd``, ``.nhdr``).

    Raises
    ------
    ImageError
        If it is not NRRD, damaged or cut short.
    """
    fields = read_nrrd_text(path)
    encoding = fields.get("encoding", "raw").lower()
    ratio = {"raw": 1, "gzip": DEFLATE_RATIO, "gz": DEFLATE_RATIO}.get(encoding)
    return _read(path, "NrrdImageIO", fields, ratio)


def read_meta(path: Path) -> Opened:
    """Read a MetaImage (``.mha``, ``.mhd``).

    Raises
    ------
    ImageError
        If it is not MetaImage, damaged or cut short.
    """
    fields = read_meta_text(path)
    compressed = fields.get("CompressedData", "False").lower() == "true"
    text = fields.get("BinaryData", "True").lower() == "false"
    return _read(path, "MetaImageIO", fields, None if text else DEFLATE_RATIO if compressed else 1)


def _read(path: Path, kind: str, fields: dict[str, str], ratio: int | None) -> Opened:
    voxels = data_file(path, fields)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(kind)
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size, parts = reader.GetSize(), reader.GetNumberOfComponents()
        type_ = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
        each = next(count for word, count in _BYTES.items() if word in type_)
    except (RuntimeError, StopIteration) as error:
        raise ImageError(f"{path.name} is damaged, or of a kind that cannot be read.") from error
    if len(size) > 4 or "complex" in type_:
        raise ImageError(
            f"{path.name} has {len(size)} axes of {type_}; three axes of real numbers, or four, are needed."
        )
    held = None if voxels is None or ratio is None else voxels.stat().st_size
    require_plausible(path, int(np.prod(size, dtype=object)) * parts * each, held, ratio or 1)
    if len(size) == 4 and parts > 1:
        raise ImageError(f"{path.name} holds {parts} numbers for each voxel of a series; one is needed.")
    colour = parts == 3 and each == 1 and fields.get("kinds", "").split()[:1] != ["list"]
    count = 1 if colour else size[3] if len(size) == 4 else parts

    def load(first: int, last: int) -> Array:
        try:
            array: Array = SimpleITK.GetArrayFromImage(reader.Execute())
        except RuntimeError as error:
            raise ImageError(f"{path.name} is damaged or cut short: its voxels cannot be read.") from error
        if len(size) == 2:
            array = array[None]
        if len(size) == 4:
            frames = array
        elif colour or parts == 1:
            frames = array[None]
        else:
            return np.ascontiguousarray(np.moveaxis(array, -1, 0)[first:last])
        return frames[first:last].copy() if last - first < len(frames) else frames

    return Opened(_affine(reader), int(count), load)


def _affine(reader: SimpleITK.ImageFileReader) -> FloatArray:
    axes = reader.GetDimension()
    origin, spacing, direction = np.zeros(3), np.ones(3), np.eye(3)
    used = min(axes, 3)
    origin[:used] = reader.GetOrigin()[:used]
    spacing[:used] = reader.GetSpacing()[:used]
    direction[:used, :used] = np.reshape(reader.GetDirection(), (axes, axes))[:used, :used]
    return from_itk(origin, spacing, direction)
