"""The image being segmented: voxels indexed (z, y, x) and their place in the patient."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import ImageError

Index3 = tuple[int, int, int]
Vec3 = tuple[float, float, float]
FloatArray = npt.NDArray[np.float64]


def index3(values: npt.ArrayLike) -> Index3:
    """Three numbers, whole ones or to be cut off to such, as an index ``(z, y, x)``."""
    z, y, x = (int(v) for v in np.asarray(values))
    return z, y, x


def vec3(values: npt.ArrayLike) -> Vec3:
    """Three numbers as a place or lengths ``(z, y, x)``."""
    z, y, x = (float(v) for v in np.asarray(values))
    return z, y, x


@dataclass(frozen=True, eq=False)
class Volume:
    """One 3D image (2D images have one slice) with its affine.

    Parameters
    ----------
    data : numpy.ndarray
        ``(z, y, x)`` of any real dtype, or ``(z, y, x, 3)`` uint8 for colour pictures. Treated as read-only.
    affine : numpy.ndarray
        ``(4, 4)`` float64. Maps homogeneous voxel indices ``(z, y, x, 1)``, in the order in which the array is
        indexed and with integers at voxel centres, to world millimetres ``(x, y, z, 1)`` in LPS as in DICOM and ITK.
    source : pathlib.Path, optional
        File or folder the voxels were read from.
    frame : int
        Which volume of a 4D series this is; 0 for a 3D image.
    modality : str
        DICOM modality code where it is known (``"CT"``, ``"MR"``, ``"PT"``, ``"US"``), else ``""``.

    Raises
    ------
    ImageError
        If the array is not a 3D image, holds nothing, or the affine is not invertible.
    """

    data: npt.NDArray[Any]
    affine: FloatArray = field(default_factory=lambda: affine_from_spacing((1.0, 1.0, 1.0)))
    source: Path | None = None
    frame: int = 0
    modality: str = ""

    def __post_init__(self) -> None:
        shape = self.data.shape
        if not (self.data.ndim == 3 or (self.data.ndim == 4 and shape[3] == 3)):
            raise ImageError(f"An image needs three axes (z, y, x), this one has the shape {shape}.")
        if 0 in shape:
            raise ImageError(f"The image has no voxels (shape {shape}).")
        if self.data.dtype.kind not in "buif":
            raise ImageError(f"Voxels of type {self.data.dtype} are not supported; real numbers are needed.")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise ImageError("The image has no valid geometry: its affine is not an invertible 4 x 4 matrix.")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> Index3:
        """Number of voxels along ``(z, y, x)``."""
        z, y, x = self.data.shape[:3]
        return z, y, x

    @property
    def is_colour(self) -> bool:
        """Whether voxels are RGB triplets."""
        return self.data.ndim == 4

    @property
    def spacing(self) -> Vec3:
        """Millimetres between voxel centres along ``(z, y, x)``."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return z, y, x

    def to_world(self, index: npt.ArrayLike) -> FloatArray:
        """World LPS millimetres ``(..., 3)`` of voxel coordinates ``(..., 3)`` given as ``(z, y, x)``."""
        points = np.asarray(index, dtype=np.float64)
        return np.asarray(points @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, world: npt.ArrayLike) -> FloatArray:
        """Voxel coordinates ``(..., 3)`` as ``(z, y, x)`` of world LPS millimetres ``(..., 3)``."""
        points = np.asarray(world, dtype=np.float64)
        return np.asarray(np.linalg.solve(self.affine[:3, :3], (points - self.affine[:3, 3])[..., None])[..., 0])

    def contains(self, index: npt.ArrayLike) -> bool:
        """Whether the voxel coordinate ``(z, y, x)`` rounds to a voxel of the image."""
        point = np.asarray(index, dtype=np.float64)
        return bool(np.all(point >= -0.5) and np.all(point < np.array(self.shape) - 0.5))

    @cached_property
    def hash(self) -> str:
        """Hex blake2b (32 bytes) over shape, dtype, affine and voxels: names the image in journals and caches."""
        digest = hashlib.blake2b(digest_size=32)
        data = np.ascontiguousarray(self.data)
        digest.update(repr((data.shape, data.dtype.str)).encode())
        digest.update(np.ascontiguousarray(self.affine, dtype="<f8").tobytes())
        digest.update(data.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()


def affine_from_spacing(spacing: Vec3) -> FloatArray:
    """Affine of an axis-aligned image with its first voxel at the world origin; ``spacing`` is ``(z, y, x)`` in mm."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = spacing
    affine[3, 3] = 1.0
    return affine
