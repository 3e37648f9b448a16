"""Voxel values: byte order, rescaling without waste, and what tells a label map from an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.volume import Volume

Array = npt.NDArray[Any]

_SIGNED = (np.int16, np.int32, np.int64)


def native(data: Array) -> Array:
    """The array in the byte order of this machine."""
    return data.astype(data.dtype.newbyteorder("="), copy=False)


def rescaled(data: Array, slope: float, intercept: float) -> Array:
    """``data * slope + intercept`` in the smallest type that holds it.

    Integers stay integers where slope and intercept are whole; otherwise they become float32, or float64 where float32
    cannot tell neighbouring values apart. The array given is not changed.
    """
    if (slope, intercept) == (1.0, 0.0):
        return data
    if data.dtype.kind == "f":
        return np.asarray(data * data.dtype.type(slope) + data.dtype.type(intercept))
    low, high = int(data.min()), int(data.max())
    if float(slope).is_integer() and float(intercept).is_integer():
        factor, offset = int(slope), int(intercept)
        ends = (low * factor + offset, high * factor + offset, factor, offset)
        for kind in _SIGNED:
            if np.iinfo(kind).min <= min(ends) and max(ends) <= np.iinfo(kind).max:
                # Products that leave the type wrap around and the sum brings them back, as the results fit.
                return _scaled(data, np.dtype(kind), factor, offset)
    real = np.float32 if max(abs(low), abs(high)) < 2**24 else np.float64
    return _scaled(data, np.dtype(real), slope, intercept)


def _scaled(data: Array, dtype: np.dtype[Any], slope: float, intercept: float) -> Array:
    out: Array = data.astype(dtype)
    np.multiply(out, dtype.type(slope), out=out)
    np.add(out, dtype.type(intercept), out=out)
    return out


def require_numbers(data: Array, name: str) -> None:
    """Refuse an image none of whose voxels is a number.

    Raises
    ------
    ImageError
        If every voxel is NaN or infinite.
    """
    if data.dtype.kind == "f" and not any(np.isfinite(plane).any() for plane in data):
        raise ImageError(f"{name} holds no numbers: every voxel is NaN or infinite.")


def as_labels(data: Array, name: str) -> npt.NDArray[np.integer[Any]]:
    """Voxels of a label map ``(z, y, x)`` as integers: unsigned in the smallest type, signed where some are negative.

    Raises
    ------
    ImageError
        If the voxels are colours or not whole numbers.
    """
    if data.ndim == 4:
        if (data != data[..., :1]).any():
            raise ImageError(f"{name} is a colour picture, not a label map: each voxel of a label map is one number.")
        data = data[..., 0]
    low, high = data.min(), data.max()
    if data.dtype.kind == "f":
        if not (np.isfinite(low) and np.isfinite(high)) or (data != np.rint(data)).any():
            raise ImageError(f"{name} is not a label map: some of its voxels are not whole numbers.")
        if max(abs(low), abs(high)) >= 2**31:
            raise ImageError(f"{name} is not a label map: it holds values as large as {high:g}.")
    kinds = (np.uint8, np.uint16, np.uint32, np.uint64) if low >= 0 else _SIGNED
    smallest = next(kind for kind in kinds if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return np.asarray(data.astype(smallest, copy=False))


def looks_like_labels(volume: Volume) -> bool:
    """Whether an image is probably a label map: few whole values, and areas of one value.

    Judged on at most 24 slices, which takes a tenth of a second for a volume of 512 x 512 x 300. A label map has at
    least two values, no more than 300, and at least three in four pairs of neighbours with a label have the same one;
    in an image noise makes neighbours differ.
    """
    if volume.is_colour:
        return False
    data = volume.data
    filled = np.flatnonzero([bool((plane[::4, ::4] != data.flat[0]).any()) for plane in data])
    if not len(filled):
        filled = np.arange(len(data))
    sample = data[filled[np.linspace(0, len(filled) - 1, min(len(filled), 24)).astype(int)]]
    if sample.dtype.kind == "f" and not (np.isfinite(sample).all() and (sample == np.rint(sample)).all()):
        return False
    values, counts = _distinct(sample)
    if not 2 <= len(values) <= 300:
        return False
    background = values[np.argmax(counts)]
    axis = int(np.argmax(sample.shape[1:])) + 1
    if sample.shape[axis] < 2:
        return False
    one = sample.take(range(sample.shape[axis] - 1), axis=axis)
    other = sample.take(range(1, sample.shape[axis]), axis=axis)
    labelled = (one != background) & (other != background)
    same = labelled & (one == other)
    pairs = np.count_nonzero(labelled)
    return bool(pairs > 0 and np.count_nonzero(same) >= 0.75 * pairs)


def _distinct(sample: Array) -> tuple[Array, Array]:
    # Half a million voxels tell as much as all of them, and sorting is what takes the time.
    step = max(1, int((sample.size / 500_000) ** 0.5))
    return np.unique(sample[:, ::step, ::step], return_counts=True)
