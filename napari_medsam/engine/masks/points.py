"""Points the user clicked, as indices into a batch of masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import MaskError
from napari_medsam.engine.masks.arrays import Box

Points = Iterable[Sequence[int]] | npt.NDArray[np.integer[Any]]


def as_indices(points: Points, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Points as int64 ``(k, ndim)``.

    Raises
    ------
    MaskError
        If they are no indices into an array of this shape; negative ones are none.
    """
    listed = points if isinstance(points, np.ndarray) else list(points)
    if len(listed) == 0:
        return np.zeros((0, len(shape)), dtype=np.int64)
    try:
        indices = np.asarray(listed)
    except ValueError:
        indices = np.empty(0)
    if indices.ndim != 2 or indices.shape[1] != len(shape) or indices.dtype.kind not in "iu":
        raise MaskError(f"Points are whole numbers, {len(shape)} for each point of an array of shape {shape}.")
    outside = ((indices < 0) | (indices >= np.asarray(shape))).any(axis=1)
    if outside.any():
        point = tuple(indices[outside][0].tolist())
        raise MaskError(f"The point {point} is outside the array of shape {shape}.")
    return indices.astype(np.int64)


def in_batch(
    indices: npt.NDArray[np.int64], shape: tuple[int, ...], region: Box | None, dims: int
) -> npt.NDArray[np.int64]:
    """Points inside the region, as indices ``(n, z, y, x)`` into the batch that `arrays.as_batch` makes of it."""
    lower = np.zeros(len(shape), dtype=np.int64)
    size = np.asarray(shape, dtype=np.int64)
    if region is not None:
        lower[len(shape) - len(region[0]) :] = region[0]
        size[len(shape) - len(region[0]) :] = np.subtract(region[1], region[0])
    local = indices - lower
    local = local[((local >= 0) & (local < size)).all(axis=1)]
    lead = len(shape) - dims
    out = np.zeros((len(local), 4), dtype=np.int64)
    for axis in range(lead):
        out[:, 0] = out[:, 0] * size[axis] + local[:, axis]
    out[:, 4 - dims :] = local[:, lead:]
    return out
