"""Labels of one file brought onto the grid of an image, voxel by voxel, never by interpolation."""

from __future__ import annotations

import numpy as np

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io.values import Array
from napari_medsam.engine.volume import FloatArray, Volume

# How far, in voxels, grids written by different programs may differ and still be one grid.
_SAME_VOXEL = 0.05


def placed(labels: Array, affine: FloatArray, like: Volume, name: str) -> Array:
    """``labels`` ``(z, y, x)`` on the grid of ``like``.

    Programs reorder and flip axes, and crop a segmentation to what it holds. Such a grid has the same voxels, so each
    label is put back where it was. Any other grid is refused.

    Raises
    ------
    ImageError
        If the voxels do not coincide, or labels lie outside the image.
    """
    if labels.shape == like.shape and np.abs(affine - like.affine).max() < 1e-6:
        return labels
    steps = np.linalg.solve(like.affine, affine)
    for axis in np.flatnonzero(np.array(labels.shape) == 1):
        # The thickness of a single slice places no voxel, so it need not agree.
        steps[:3, axis] /= np.abs(steps[:3, axis]).max()
    turn, start = np.rint(steps[:3, :3]).astype(int), np.rint(steps[:3, 3]).astype(int)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in labels.shape], indexing="ij")).reshape(3, -1)
    exact = steps[:3, :3] @ corners + steps[:3, 3:]
    whole = turn @ corners + start[:, None]
    one_to_one = (np.abs(turn).sum(axis=0) == 1).all() and (np.abs(turn).sum(axis=1) == 1).all()
    if not one_to_one or np.abs(exact - whole).max() > _SAME_VOXEL:
        raise ImageError(
            f"{name} has another geometry than the image ({_size(labels.shape)} voxels against {_size(like.shape)}): "
            "resample it to the image first."
        )
    axes = np.abs(turn).argmax(axis=1)
    signs = turn[np.arange(3), axes]
    # Row r of ``turn`` says which axis of the labels runs along axis r of the image, and which way.
    moved = labels.transpose(axes)[tuple(slice(None, None, int(sign)) for sign in signs)]
    first = whole.min(axis=1)
    if moved.shape == like.shape and not first.any():
        return np.ascontiguousarray(moved)
    low, high = np.maximum(first, 0), np.minimum(first + moved.shape, like.shape)
    out = np.zeros(like.shape, dtype=labels.dtype)
    inside = tuple(slice(max(int(a), 0), max(int(b), 0)) for a, b in zip(low - first, high - first, strict=True))
    if np.all(high > low):
        out[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))] = moved[inside]
    if np.count_nonzero(out) < np.count_nonzero(moved):
        raise ImageError(f"{name} has labels outside the image: it belongs to another image.")
    return out


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
