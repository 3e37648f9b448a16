"""Sparse masks: the voxels of one object inside a box, and the difference between two of them."""

from __future__ import annotations

import base64
import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.volume import Index3, index3

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Region:
    """A mask that is False everywhere outside a box.

    Parameters
    ----------
    lower : tuple of int
        First voxel ``(z, y, x)`` of the box.
    voxels : numpy.ndarray
        Bool ``(z, y, x)``: the mask inside the box. Treated as read-only.
    """

    lower: Index3
    voxels: BoolArray

    @classmethod
    def empty(cls) -> Region:
        """The mask with no voxel."""
        return cls((0, 0, 0), np.zeros((0, 0, 0), dtype=bool))

    @classmethod
    def of(cls, mask: npt.NDArray[Any], lower: Index3 = (0, 0, 0)) -> Region:
        """Smallest region that holds the non-zero voxels of ``mask``, whose first voxel lies at ``lower``."""
        mask = np.asarray(mask, dtype=bool)
        # Along y and x from one projection: reducing the whole array once for each axis costs four times as much.
        projection: BoolArray = np.asarray(mask.any(axis=0))
        slices = []
        for hits in (mask.any(axis=(1, 2)), projection.any(axis=1), projection.any(axis=0)):
            hit = np.flatnonzero(hits)
            if hit.size == 0:
                return cls.empty()
            slices.append(slice(int(hit[0]), int(hit[-1]) + 1))
        z, y, x = (int(low + s.start) for low, s in zip(lower, slices, strict=True))
        return cls((z, y, x), mask[tuple(slices)].copy())

    @property
    def upper(self) -> Index3:
        """One past the last voxel of the box."""
        z, y, x = (low + n for low, n in zip(self.lower, self.voxels.shape, strict=True))
        return z, y, x

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index into a full volume."""
        z, y, x = (slice(low, up) for low, up in zip(self.lower, self.upper, strict=True))
        return z, y, x

    @property
    def count(self) -> int:
        """Number of voxels in the mask."""
        return int(np.count_nonzero(self.voxels))

    def __bool__(self) -> bool:
        return bool(self.voxels.any())

    def inside(self, lower: Index3, upper: Index3) -> BoolArray:
        """A new bool array of the mask in the box ``[lower, upper)``, which may reach beyond this one."""
        out = np.zeros([max(u - low, 0) for low, u in zip(lower, upper, strict=True)], dtype=bool)
        low = np.maximum(lower, self.lower)
        high = np.minimum(upper, self.upper)
        if np.all(high > low):
            target = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, lower, strict=True))
            origin = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, self.lower, strict=True))
            out[target] = self.voxels[origin]
        return out

    def full(self, shape: Index3) -> BoolArray:
        """The mask as a bool array of the whole volume."""
        return self.inside((0, 0, 0), shape)

    def to_json(self) -> dict[str, Any]:
        """JSON form: box and packed, compressed voxels."""
        return {"lower": list(self.lower), "shape": list(self.voxels.shape), "bits": _pack(self.voxels)}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Region:
        """Inverse of `to_json`. Raises `ValueError` if the bits are damaged."""
        return cls(index3(record["lower"]), _unpack(record["bits"], index3(record["shape"])))


@dataclass(frozen=True, eq=False)
class Edit:
    """One change of one object's mask: the voxels added and removed inside a box.

    Parameters
    ----------
    lower : tuple of int
        First voxel ``(z, y, x)`` of the changed box.
    added, removed : numpy.ndarray
        Bool ``(z, y, x)`` of one shape, disjoint.
    """

    lower: Index3
    added: BoolArray
    removed: BoolArray

    @classmethod
    def between(cls, before: Region, after: Region) -> Edit:
        """The edit that turns ``before`` into ``after``, in the smallest box."""
        used = [region for region in (before, after) if region.voxels.size]
        if not used:
            return cls.nothing()
        z, y, x = np.min([region.lower for region in used], axis=0).tolist()
        low: Index3 = (z, y, x)
        z, y, x = np.max([region.upper for region in used], axis=0).tolist()
        high: Index3 = (z, y, x)
        old, new = before.inside(low, high), after.inside(low, high)
        changed = Region.of(old != new, low)
        if not changed:
            return cls.nothing()
        new, old = after.inside(changed.lower, changed.upper), before.inside(changed.lower, changed.upper)
        return cls(changed.lower, new & ~old, old & ~new)

    @classmethod
    def nothing(cls) -> Edit:
        """The edit that changes no voxel."""
        none = np.zeros((0, 0, 0), dtype=bool)
        return cls((0, 0, 0), none, none)

    @property
    def upper(self) -> Index3:
        """One past the last voxel of the changed box."""
        return Region(self.lower, self.added).upper

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The changed box as an index into a full volume."""
        return Region(self.lower, self.added).slices

    def __bool__(self) -> bool:
        return bool(self.added.any() or self.removed.any())

    def inverse(self) -> Edit:
        """The edit that takes this one back."""
        return Edit(self.lower, self.removed, self.added)

    def apply(self, region: Region) -> Region:
        """The mask after the edit."""
        if not self.added.size:
            return region
        if not region.voxels.size:
            return Region.of(self.added, self.lower)
        z, y, x = np.minimum(self.lower, region.lower).tolist()
        low: Index3 = (z, y, x)
        z, y, x = np.maximum(self.upper, region.upper).tolist()
        out = region.inside(low, (z, y, x))
        box = out[tuple(slice(a - o, b - o) for a, b, o in zip(self.lower, self.upper, low, strict=True))]
        box |= self.added
        box &= ~self.removed
        return Region.of(out, low)

    def to_json(self) -> dict[str, Any]:
        """JSON form: box and packed, compressed bits."""
        return {
            "lower": list(self.lower),
            "shape": list(self.added.shape),
            "added": _pack(self.added),
            "removed": _pack(self.removed),
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Edit:
        """Inverse of `to_json`. Raises `ValueError` if the bits are damaged."""
        shape = index3(record["shape"])
        return cls(index3(record["lower"]), _unpack(record["added"], shape), _unpack(record["removed"], shape))


def _pack(bits: BoolArray) -> str:
    # Level 1: the field's wire measurements show packed bits shrink well at once and hardly more with effort.
    return base64.b64encode(zlib.compress(np.packbits(bits).tobytes(), 1)).decode("ascii")


def _unpack(text: str, shape: Index3) -> BoolArray:
    size = math.prod(shape)
    try:
        # Never more than the box needs, so that a forged record cannot fill the memory.
        packed = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size // 8 + 1)
    except zlib.error as error:
        raise ValueError(f"These are no packed bits: {error}.") from error
    if min(shape) < 0 or len(packed) < (size + 7) // 8:
        raise ValueError(f"There are fewer bits than a box of {shape} voxels has.")
    return np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=size).view(np.bool_).reshape(shape)
