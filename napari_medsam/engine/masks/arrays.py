"""NumPy arrays as masks: what can be used without a copy, what not and why."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import MaskError

Array = npt.NDArray[Any]
Box = tuple[tuple[int, ...], tuple[int, ...]]


def check_mask(mask: Array, dims: int, threshold: float | None) -> None:
    """Raise `MaskError` unless ``mask`` is bool or uint8 without a threshold, or float32 with one, and large enough."""
    check_kind(str(mask.dtype), mask.ndim, dims, threshold)
    if not mask.dtype.isnative or not mask.flags.aligned:
        raise MaskError("The scores are not float32 as this machine has it: convert them with astype(numpy.float32).")


def check_kind(dtype: str, ndim: int, dims: int, threshold: float | None) -> None:
    """The part of `check_mask` that holds for arrays and tensors alike; ``dtype`` is its bare name."""
    is_mask = dtype in ("bool", "uint8")
    if threshold is None and not is_mask:
        advice = "give a threshold" if "float" in dtype else "compare it first, as in mask > 0"
        raise MaskError(f"A mask is bool or uint8, not {dtype}: {advice}.")
    if threshold is not None and is_mask:
        raise MaskError(f"A threshold is for scores; a mask of {dtype} has none.")
    if threshold is not None and dtype not in ("float32", ">f4", "<f4"):
        raise MaskError(f"Scores are float32, not {dtype}: convert them first.")
    if ndim < dims:
        raise MaskError(f"A {dims}D mask has {dims} axes or more; this array has {ndim}.")


def check_out(out: Array, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
    """Raise `MaskError` unless a result of this shape and type can be written into ``out``."""
    if out.shape != shape or out.dtype != dtype:
        wanted = f"{np.dtype(dtype).name} of shape {shape}"
        raise MaskError(f"The result is {wanted}, so it does not fit into {out.dtype.name} of shape {out.shape}.")
    if not out.flags.writeable:
        raise MaskError("The result cannot be written: the array is read-only.")
    if not out.dtype.isnative or not out.flags.aligned:
        raise MaskError("The result cannot be written: the array is not laid out as this machine needs it.")
    if overlaps_itself(out.shape, out.strides, out.itemsize):
        raise MaskError("The result cannot be written: several voxels of the array share their memory.")


def check_apart(mask: Array, out: Array) -> None:
    """Raise `MaskError` if the two may share memory; one and the same array is no matter for this."""
    # Bounds only: whether two interlaced views really share a byte can take for ever to find out.
    if np.may_share_memory(mask, out):
        raise MaskError("The result overlaps the mask in memory: use the mask itself, or an array apart from it.")


def is_same(mask: Array, out: Array) -> bool:
    """Whether both are the same voxels: the work is done in place. Raises `MaskError` if ``out`` is no array."""
    if not isinstance(out, np.ndarray):
        raise MaskError(f"The result cannot be written into a {type(out).__name__}: give an array like the mask.")
    return out is mask or (
        out.dtype == mask.dtype
        and out.shape == mask.shape
        and out.strides == mask.strides
        and out.__array_interface__["data"] == mask.__array_interface__["data"]
    )


def overlaps_itself(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    """Whether two elements may share memory: an axis steps by less than what the smaller ones cover."""
    if 0 in shape:
        return False
    covered = itemsize
    for step, length in sorted((abs(step), length) for step, length in zip(strides, shape, strict=True) if length > 1):
        if step < covered:
            return True
        covered += step * (length - 1)
    return False


def as_batch(array: Array, dims: int) -> Array:
    """The array as ``(n, z, y, x)`` without a copy; in 2D ``z`` is 1. It has at least one element.

    Raises
    ------
    MaskError
        If the axes of the batch cannot be taken as one without a copy.
    """
    lead = array.ndim - dims
    if dims == 2:
        array = np.expand_dims(array, -3)
    if lead == 0:
        return array[np.newaxis]
    if lead == 1:
        return array
    axes = zip(array.strides[:lead], array.shape[:lead], strict=True)
    steps = [(step, length) for step, length in axes if length > 1]
    if any(outer != inner * length for (outer, _), (inner, length) in pairwise(steps)):
        raise MaskError("The axes of the batch cannot be taken as one without a copy: give a contiguous array.")
    return array.reshape(-1, *array.shape[lead:])


def check_region(region: Box | None, shape: tuple[int, ...], dims: int) -> None:
    """Raise `MaskError` unless the region is a box of the last axes, within the array."""
    if region is None:
        return
    lower, upper = region
    if len(lower) != len(upper) or not dims <= len(lower) <= len(shape):
        raise MaskError(f"A region is (lower, upper) with an index for each of the last {dims} axes or more.")
    for low, high, length in zip(lower, upper, shape[len(shape) - len(lower) :], strict=True):
        if not 0 <= low <= length or not 0 <= high <= length:
            raise MaskError(
                f"The region from {tuple(lower)} to {tuple(upper)} is not inside an array of shape {shape}."
            )


def slices_of(region: Box) -> tuple[Any, ...]:
    """The region as an index into the array."""
    return (..., *(slice(low, high) for low, high in zip(*region, strict=True)))
