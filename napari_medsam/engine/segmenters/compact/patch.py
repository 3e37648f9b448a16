"""Zoomed crops: a box of a volume resampled to a small grid of cells, and answers on that grid brought back to voxels.

The grid is aligned with the voxel axes, so resampling is separable: one small matrix per axis, three matrix products.
Downsampling uses a triangle filter as wide as a cell (no aliasing), upsampling is linear, beyond the border the
outermost voxel repeats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_medsam.engine.volume import Index3, Vec3, index3, vec3

Edges = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PatchGrid:
    """Where a patch lies in a volume.

    Coordinates are voxel edges: voxel ``i`` covers ``[i, i + 1)``, unlike prompts, whose integers are voxel centres.

    Parameters
    ----------
    start : tuple of float
        First edge of the patch ``(z, y, x)``; may lie outside the volume.
    size : tuple of float
        Extent in voxels.
    cells : tuple of int
        Cells along each axis.
    """

    start: Vec3
    size: Vec3
    cells: Index3

    @classmethod
    def around(cls, lower: npt.ArrayLike, upper: npt.ArrayLike, cells: Index3) -> PatchGrid:
        """The patch that covers the edges from ``lower`` to ``upper``."""
        low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
        return cls(vec3(low), vec3(high - low), cells)

    @property
    def step(self) -> Edges:
        """Voxels per cell along each axis."""
        step: Edges = np.asarray(self.size, dtype=np.float64) / np.asarray(self.cells)
        return step

    def to_cell(self, index: npt.ArrayLike) -> Edges:
        """Continuous cell coordinate (integers at cell centres) of a voxel coordinate (integers at voxel centres)."""
        cells: Edges = (np.asarray(index, dtype=np.float64) + 0.5 - self.start) / self.step - 0.5
        return cells

    def voxel_box(self, shape: Index3) -> tuple[Index3, Index3]:
        """The voxels of a volume of ``shape`` whose centres lie in the patch, as ``lower <= index < upper``."""
        low = np.clip(np.ceil(np.asarray(self.start) - 0.5), 0, shape).astype(int)
        high = np.clip(np.ceil(np.asarray(self.start) + self.size - 0.5), low, shape).astype(int)
        return index3(low), index3(high)

    def field(self, shape: Index3) -> Tensor:
        """One on the cells whose centres lie in a volume of ``shape``, zero on the others: float32 ``cells``."""
        inside = []
        for axis in range(3):
            centres = self.start[axis] + (np.arange(self.cells[axis]) + 0.5) * self.step[axis]
            inside.append(torch.from_numpy(((centres > 0) & (centres < shape[axis])).astype(np.float32)))
        z, y, x = inside
        return z[:, None, None] * y[:, None] * x

    def sample(self, data: npt.NDArray[Any]) -> Tensor:
        """Resample ``data`` ``(z, y, x)`` to the cells: float32 ``cells``. Reads only the voxels the patch covers."""
        slices = []
        matrices = []
        for axis in range(3):
            step = self.step[axis]
            centres = self.start[axis] + (np.arange(self.cells[axis]) + 0.5) * step
            low = int(np.clip(np.floor(centres[0] - step), 0, data.shape[axis] - 1))
            high = int(np.clip(np.ceil(centres[-1] + step), low + 1, data.shape[axis]))
            # Two samples a cell are plenty for the triangle filter; large objects would otherwise read every voxel.
            stride = max(1, int(step // 2))
            slices.append(slice(low, high, stride))
            matrices.append(_triangle(centres, np.arange(low, high, stride) + 0.5, max(step, stride)))
        return _apply(matrices, torch.from_numpy(np.require(data[tuple(slices)], np.float32, ["C", "W"])))

    def to_voxels(self, cells: Tensor, lower: Index3, upper: Index3) -> Tensor:
        """Interpolate values on the cells ``(z, y, x)`` at the voxels ``lower <= index < upper``, float32."""
        matrices = []
        for axis in range(3):
            step = self.step[axis]
            centres = self.start[axis] + (np.arange(self.cells[axis]) + 0.5) * step
            matrices.append(_triangle(np.arange(lower[axis], upper[axis]) + 0.5, centres, max(step, 1.0)))
        return _apply(matrices, cells.float())


def _triangle(targets: npt.NDArray[Any], sources: npt.NDArray[Any], width: float) -> Tensor:
    """Row-normalised triangle weights ``(targets, sources)``; a target with no source in reach takes the nearest."""
    distance = np.abs(targets[:, None] - sources[None, :])
    weights = np.maximum(1.0 - distance / width, 0.0)
    alone = weights.sum(axis=1) <= 1e-9
    weights[alone] = np.eye(len(sources))[distance[alone].argmin(axis=1)]
    weights /= weights.sum(axis=1, keepdims=True)
    return torch.from_numpy(weights.astype(np.float32))


def _apply(matrices: list[Tensor], values: Tensor) -> Tensor:
    z, y, x = matrices
    values = values @ x.T
    values = torch.matmul(y, values)
    out: Tensor = torch.tensordot(z, values, dims=1)
    return out
