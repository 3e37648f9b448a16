"""NIfTI through nibabel. Its RAS affines become ours here and nowhere else."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError

from napari_medsam.engine.errors import ImageError, SaveError
from napari_medsam.engine.io.affines import EXACT_MM, farthest, from_ras, to_ras
from napari_medsam.engine.io.guard import DEFLATE_RATIO, require_plausible
from napari_medsam.engine.io.opened import Opened
from napari_medsam.engine.io.values import Array, native, rescaled
from napari_medsam.engine.volume import FloatArray

_MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_DAMAGE = (
    ImageFileError, HeaderDataError, HeaderTypeError, OSError, EOFError, ValueError, OverflowError,
    struct.error, zlib.error,
)  # fmt: skip
_SCANNER = 1
_LONGEST = 32767


def read_nifti(path: Path) -> Opened:
    """Read a NIfTI-1 or NIfTI-2 file.

    The affine is the sform where its code is set, else the qform, else the voxel sizes alone, as nibabel decides. ITK
    decides otherwise in two cases: of a qform from the scanner and an sform to an atlas that disagree it takes the
    qform, and it takes the voxel sizes of the header even where the sform has others. What `write_nifti` writes leaves
    no choice.

    Raises
    ------
    ImageError
        If the file is not NIfTI, damaged, cut short, or holds vectors or complex numbers.
    """
    try:
        image = nib.load(path, mmap=False)
        shape, stored = image.shape, image.dataobj
        dtype, offset = np.dtype(stored.dtype), int(stored.offset)
        unit = _MILLIMETRES[image.header.get_xyzt_units()[0]]
    except (*_DAMAGE, KeyError) as error:
        raise ImageError(f"{path.name} is not a NIfTI image, or its header is damaged.") from error
    if any(n > 1 for n in shape[4:]):
        raise ImageError(f"{path.name} holds {np.prod(shape[4:])} numbers for each voxel; an image with one is needed.")
    shape = (*shape, 1, 1, 1, 1)[:4]
    if dtype.kind == "c":
        raise ImageError(f"{path.name} holds complex numbers; save their magnitude as an image and open that.")
    declared = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
    compressed = path.name.lower().endswith(".gz")
    held = path.stat().st_size - (0 if compressed else offset)
    require_plausible(path, declared, held, DEFLATE_RATIO if compressed else 1)
    slope, intercept = float(stored.slope), float(stored.inter)
    affine = from_ras(image.affine)
    affine[:3] *= unit

    def load(first: int, last: int) -> Array:
        # A proxy of our own, because nibabel's turns integers into float64 when it applies the scaling.
        proxy = ArrayProxy(str(path), (shape, dtype, offset), mmap=False)
        try:
            voxels = np.asarray(proxy) if (first, last) == (0, shape[3]) else np.asarray(proxy[..., first:last])
        except _DAMAGE as error:
            raise ImageError(f"{path.name} is damaged or cut short: its voxels cannot be read.") from error
        return rescaled(_plain(voxels), slope, intercept)

    return Opened(affine, shape[3], load)


def write_nifti(path: Path, labels: Array, affine: FloatArray) -> None:
    """Write a label map ``(z, y, x)``; the sform keeps any affine.

    The qform cannot hold shear (a tilted gantry) and loses up to a tenth of a millimetre for rotations near 180
    degrees, as it is three float32 numbers of a quaternion. It is set only where it places every voxel as the sform
    does; otherwise its code is 0, so that no reader prefers it. A sheared sform is read by nibabel as it is; ITK
    straightens it with a warning, so for such images NRRD and MetaImage, which ITK reads exactly, travel better.

    Raises
    ------
    SaveError
        If NIfTI cannot hold the size of the image.
    """
    z, y, x = labels.shape
    if max(z, y, x) > _LONGEST:
        raise SaveError(
            f"NIfTI holds {_LONGEST} voxels along an axis and this image has {max(z, y, x)}: save as .nrrd."
        )
    ras = to_ras(affine)
    image = nib.Nifti1Image(labels.T, ras, dtype=labels.dtype)
    image.header.set_xyzt_units("mm")
    image.set_sform(ras, _SCANNER)
    image.set_qform(ras, _SCANNER, strip_shears=True)
    if farthest((z, y, x), from_ras(image.header.get_qform()), affine) > EXACT_MM / 2:
        image.header["qform_code"] = 0
    # A stream of ours, because nibabel leaves its own open when the disk is full.
    with path.open("wb") as file:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, filename="", mtime=0) as compressed:
                image.to_stream(compressed)
        else:
            image.to_stream(file)


def _plain(voxels: Array) -> Array:
    """Frames ``(t, z, y, x)`` or ``(t, z, y, x, 3)`` of an array indexed ``(i, j, k, t)``."""
    if voxels.dtype.names is None:
        return native(voxels.T)
    bands: list[Any] = [voxels[name].T for name in voxels.dtype.names[:3]]
    return np.stack(bands, axis=-1)
