"""NRRD and MetaImage, written without ITK, which does not notice a disk that fills up while it writes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from napari_medsam.engine.io.affines import axes_xyz
from napari_medsam.engine.io.values import Array
from napari_medsam.engine.volume import FloatArray

_NRRD_TYPES = {"uint8": "unsigned char", "uint16": "unsigned short"}
_META_TYPES = {"uint8": "MET_UCHAR", "uint16": "MET_USHORT"}
# Label maps shrink hundredfold at any level; the lowest is the fastest.
_LEVEL = 1


def write_nrrd(path: Path, labels: Array, affine: FloatArray, pairs: Mapping[str, str] | None = None) -> None:
    """Write a label map ``(z, y, x)``, or layers of them ``(z, y, x, layer)``, with key/value ``pairs``.

    Layers come first in the file, as a list axis: the layout of 3D Slicer's ``.seg.nrrd``.
    """
    layered = labels.ndim == 4
    vectors = [_vector(axis) for axis in axes_xyz(affine)]
    header = [
        "NRRD0005" if layered else "NRRD0004",
        f"type: {_NRRD_TYPES[labels.dtype.name]}",
        f"dimension: {labels.ndim}",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(n) for n in labels.shape[::-1]),
        "space directions: " + " ".join((["none"] if layered else []) + vectors),
        "kinds: " + " ".join((["list"] if layered else []) + ["domain"] * 3),
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(affine[:3, 3])}",
    ]
    header += [f"{key}:={_escaped(value)}" for key, value in (pairs or {}).items()]
    with path.open("wb") as file:
        file.write("\n".join([*header, "", ""]).encode())
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_LEVEL, filename="", mtime=0) as voxels:
            voxels.write(_little(labels))


def write_meta(path: Path, labels: Array, affine: FloatArray) -> None:
    """Write a label map ``(z, y, x)`` as a MetaImage in one file."""
    voxels = zlib.compress(_little(labels), _LEVEL)
    steps = axes_xyz(affine)
    spacing = np.linalg.norm(steps, axis=1)
    header = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        f"CompressedDataSize = {len(voxels)}",
        f"TransformMatrix = {_numbers((steps / spacing[:, None]).ravel())}",
        f"Offset = {_numbers(affine[:3, 3])}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {_numbers(spacing)}",
        "DimSize = " + " ".join(str(n) for n in labels.shape[::-1]),
        f"ElementType = {_META_TYPES[labels.dtype.name]}",
        "ElementDataFile = LOCAL",
    ]
    with path.open("wb") as file:
        file.write("\n".join([*header, ""]).encode())
        file.write(voxels)


def _little(labels: Array) -> memoryview:
    return np.ascontiguousarray(labels, dtype=labels.dtype.newbyteorder("<")).data.cast("B")


def _vector(values: FloatArray) -> str:
    return "(" + ",".join(_exact(v) for v in values) + ")"


def _numbers(values: FloatArray) -> str:
    return " ".join(_exact(v) for v in values)


def _exact(value: float) -> str:
    # repr gives the shortest text that reads back as the same float64; adding 0 turns -0.0 into 0.0.
    return repr(float(value) + 0.0)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
