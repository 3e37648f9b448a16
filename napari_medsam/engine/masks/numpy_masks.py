"""Orders carried out on NumPy arrays, by the fast path or the slow one."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import MaskError
from napari_medsam.engine.masks import arrays
from napari_medsam.engine.masks.arrays import Array
from napari_medsam.engine.masks.compiled import core
from napari_medsam.engine.masks.core_path import CorePath
from napari_medsam.engine.masks.order import Order
from napari_medsam.engine.masks.plan import Copying
from napari_medsam.engine.masks.points import in_batch
from napari_medsam.engine.masks.scipy_path import ScipyPath

# From here on glibc takes fresh memory from the system, which is zero already: what a mask does not use is never
# touched. Caches are smaller too, so that a copy into memory of the caller's had better go around them.
_LARGE = 32 << 20
# Fewer voxels than this for a thread are done sooner than a second thread wakes up.
_VOXELS_PER_THREAD = 1 << 19


def clean(mask: Array, order: Order, out: Array | None) -> Array:
    """Carry out an order; ``out`` is returned where it is given. Raises `MaskError` for what cannot be used."""
    arrays.check_mask(mask, order.dims, order.threshold)
    arrays.check_region(order.region, mask.shape, order.dims)
    dtype = _result_dtype(mask, order)
    in_place = out is not None and arrays.is_same(mask, out)
    if out is not None:
        arrays.check_out(out, mask.shape, dtype)
        if not in_place:
            arrays.check_apart(mask, out)
    points = np.zeros((0, 4), np.int64)
    if order.points is not None:
        points = in_batch(order.points, mask.shape, order.region, order.dims)
    plan = order.plan(mask.shape, points, _threads(mask, order))
    copying = Copying.NONE
    if not in_place:
        if order.region is not None or order.score is not None:
            out = _copied(mask, order, out, dtype)
        else:
            copying = _copying(mask, out)
            if out is None:
                out = np.zeros(mask.shape, dtype) if copying is Copying.SET_ONLY else np.empty(mask.shape, dtype)
    assert out is not None
    source, target = mask, out
    if order.region is not None:
        source, target = (array[arrays.slices_of(order.region)] for array in (source, target))
    if source.size:
        batch = arrays.as_batch(source, order.dims)
        _path().clean(batch, arrays.as_batch(target, order.dims), replace(plan, copying=copying))
    return out


def label(mask: Array, order: Order, out: Array | None) -> tuple[Array, npt.NDArray[np.int32]]:
    """Labels and their number for each mask. Raises `MaskError` for what cannot be used."""
    arrays.check_mask(mask, order.dims, order.threshold)
    is_zero = False
    if out is None:
        is_zero = mask.size * 4 >= _LARGE
        out = (np.zeros if is_zero else np.empty)(mask.shape, np.int32)
    else:
        if arrays.is_same(mask, out):
            raise MaskError("Labels do not fit into the mask itself.")
        arrays.check_out(out, mask.shape, np.int32)
        arrays.check_apart(mask, out)
    lead = mask.shape[: mask.ndim - order.dims]
    if not mask.size:
        return out, np.zeros(lead, np.int32)
    plan = order.plan(mask.shape, np.zeros((0, 4), np.int64), _threads(mask, order))
    batch = arrays.as_batch(mask, order.dims)
    counts = _path().label(batch, arrays.as_batch(out, order.dims), plan, is_zero)
    return out, counts.reshape(lead)


@cache
def _path() -> CorePath | ScipyPath:
    module = core()
    return ScipyPath() if module is None else CorePath(module)


@cache
def _cores() -> int:
    module = core()
    return 1 if module is None else int(module.usable_cores())


def _threads(mask: Array, order: Order) -> int:
    voxels = mask.size
    if order.region is not None:
        voxels = math.prod(max(0, high - low) for low, high in zip(*order.region, strict=True))
    return order.threads or min(_cores(), max(1, voxels // _VOXELS_PER_THREAD))


def _result_dtype(mask: Array, order: Order) -> np.dtype[Any]:
    if order.threshold is None or order.score is not None:
        return mask.dtype
    return np.dtype(bool)


def _copying(mask: Array, out: Array | None) -> Copying:
    if mask.size < _LARGE:
        return Copying.ALL
    return Copying.SET_ONLY if out is None else Copying.STREAMED


def _copied(mask: Array, order: Order, out: Array | None, dtype: np.dtype[Any]) -> Array:
    """The result as it is where nothing is turned over."""
    if out is None:
        out = np.empty(mask.shape, dtype)
    if order.threshold is not None and order.score is None:
        return np.greater(mask, np.float32(order.threshold), out=out)
    np.copyto(out, mask)
    return out
