"""DICOM series, classic or enhanced, read through pydicom; what it cannot decode, through ITK's own decoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.pixels import get_decoder, pixel_array

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io.dicom_files import describe, find_series
from napari_medsam.engine.io.dicom_order import Stack, stacked
from napari_medsam.engine.io.dicom_slices import Slice, slices_of
from napari_medsam.engine.io.guard import require_plausible
from napari_medsam.engine.io.opened import Opened
from napari_medsam.engine.io.values import Array, native, rescaled

_IMPLICIT = pydicom.uid.ImplicitVRLittleEndian


def read_dicom(path: Path) -> Opened:
    """Read the series that a folder holds or a file belongs to.

    Raises
    ------
    ImageError
        If it is no series of one grid, is damaged, or its pixels cannot be decoded here.
    """
    files = find_series(path)
    stack = stacked(slices_of(files), describe(files))
    header = files[0].header
    if header.get("PhotometricInterpretation") == "PALETTE COLOR":
        raise ImageError(f"{files[0].path.name} is a picture in palette colours; export it as grey values or RGB.")
    parts = int(header.get("SamplesPerPixel") or 1) * (int(header.get("BitsAllocated") or 16) + 7) // 8
    rows, columns = stack.frames[0][0].size
    for file in files:
        frames = int(file.header.get("NumberOfFrames") or 1)
        if not file.header.file_meta.get("TransferSyntaxUID", _IMPLICIT).is_compressed:
            require_plausible(file.path, rows * columns * parts * frames, file.path.stat().st_size)
    require_plausible(path, rows * columns * parts * sum(len(frame) for frame in stack.frames))

    def load(first: int, last: int) -> Array:
        voxels = _voxels([s for frame in stack.frames[first:last] for s in frame])
        return voxels.reshape(last - first, -1, *voxels.shape[1:])

    return Opened(stack.affine, len(stack.frames), load, str(header.get("Modality") or ""))


def stack_of(path: Path) -> Stack:
    """The images of a series in the order in which they make the volumes, for writing what refers to them.

    Raises
    ------
    ImageError
        As `read_dicom`.
    """
    files = find_series(path)
    return stacked(slices_of(files), describe(files))


def _voxels(slices: list[Slice]) -> Array:
    files: dict[Path, list[int]] = {}
    for i, s in enumerate(slices):
        files.setdefault(s.path, []).append(i)
    out: Array | None = None
    scales = np.empty((len(slices), 2))
    for path, places in files.items():
        frames, scaled = _pixels(path)
        if out is None:
            out = np.empty((len(slices), *frames.shape[1:]), frames.dtype)
        elif frames.dtype != out.dtype:
            out = out.astype(np.result_type(out, frames))
        if frames.shape[1:] != out.shape[1:]:
            raise ImageError(f"{path.name} does not hold the pixels its header declares.")
        for i in places:
            out[i] = frames[slices[i].frame or 0]
            scales[i] = (1, 0) if scaled else (slices[i].slope, slices[i].intercept)
    assert out is not None
    if (scales == scales[0]).all():
        return rescaled(out, float(scales[0, 0]), float(scales[0, 1]))
    # PET: each slice has a slope of its own.
    real = out.astype(np.float32)
    factors = scales.astype(np.float32).reshape(-1, 2, *[1] * (out.ndim - 1))
    real *= factors[:, 0]
    real += factors[:, 1]
    return real


def _pixels(path: Path) -> tuple[Array, bool]:
    """Pixels ``(frames, rows, columns)`` or ``(frames, rows, columns, 3)`` of a file, and whether they are rescaled."""
    try:
        file = pydicom.dcmread(path, force=True)
        syntax = file.file_meta.get("TransferSyntaxUID", _IMPLICIT)
        if syntax.is_compressed and not _decodes(syntax):
            return _pixels_by_itk(path, syntax.name), True
        pixels = native(np.asarray(pixel_array(file)))
        flat = pixels.ndim == (2 if int(file.get("SamplesPerPixel") or 1) == 1 else 3)
    except ImageError:
        raise
    # Decoders of several libraries stand behind this call, each with errors of its own.
    except Exception as error:
        raise ImageError(
            f"The pixels of {path.name} are damaged, cut short or of a kind that cannot be decoded."
        ) from error
    return (pixels[None] if flat else pixels), False


def _decodes(syntax: Any) -> bool:
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _pixels_by_itk(path: Path, compression: str) -> Array:
    import SimpleITK

    try:
        return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO="GDCMImageIO")))
    except RuntimeError as error:
        raise ImageError(
            f"{path.name} is compressed as {compression}, which cannot be decoded here; export it uncompressed."
        ) from error
