"""The borders between our affines, (z, y, x) to LPS, and those of NIfTI (RAS) and ITK (origin, spacing, direction)."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.volume import FloatArray, Index3

EXACT_MM = 1e-4
"""Two affines that place every voxel within this distance of each other are the same geometry."""

_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_REVERSED = [2, 1, 0, 3]


def from_ras(affine: npt.ArrayLike) -> FloatArray:
    """Our affine of a NIfTI one, which maps ``(i, j, k, 1)`` to RAS millimetres."""
    return np.asarray((_LPS_RAS @ np.asarray(affine, dtype=np.float64))[:, _REVERSED])


def to_ras(affine: FloatArray) -> FloatArray:
    """The NIfTI affine, ``(i, j, k, 1)`` to RAS millimetres, of ours."""
    return np.asarray(_LPS_RAS @ affine[:, _REVERSED])


def from_itk(origin: npt.ArrayLike, spacing: npt.ArrayLike, direction: npt.ArrayLike) -> FloatArray:
    """Our affine of ITK's origin, spacing ``(x, y, z)`` and direction (9 cosines, row by row)."""
    affine = np.eye(4)
    axes = np.asarray(direction, dtype=np.float64).reshape(3, 3) * np.asarray(spacing, dtype=np.float64)
    affine[:3, :3] = axes[:, ::-1]
    affine[:3, 3] = origin
    return affine


def axes_xyz(affine: FloatArray) -> FloatArray:
    """Steps in LPS millimetres ``(3, 3)``: one row for each of the axes x, y and z, as NRRD lists them."""
    return affine[:3, 2::-1].T.copy()


def farthest(shape: Index3, one: FloatArray, other: FloatArray) -> float:
    """Largest distance in mm between the places that two affines give to a voxel of a grid of ``shape``."""
    # The difference of two affine maps is largest at a corner.
    corners = np.array([(*corner, 1) for corner in product(*((0, n - 1) for n in shape))], dtype=np.float64)
    return float(np.linalg.norm(corners @ (one - other)[:3].T, axis=1).max())
