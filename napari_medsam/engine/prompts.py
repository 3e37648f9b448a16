"""User gestures in voxel coordinates: immutable, each with an id, each able to say which voxels it touches.

Continuous coordinates put integers at voxel centres (as napari does), so voxel ``i`` covers ``[i - 0.5, i + 0.5)``.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from skimage.draw import polygon2mask

from napari_medsam.engine.errors import PromptError
from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import Index3, Vec3, index3, vec3


def _new_id() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What every gesture has: a polarity and an id that never changes."""

    kind: ClassVar[str]
    positive: bool = True
    id: str = field(default_factory=_new_id)

    def region(self, shape: Index3) -> Region:
        """The voxels the gesture touches in a volume of ``shape``.

        Raises
        ------
        PromptError
            If it touches none.
        """
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """JSON form, read back by `prompt_from_json`."""
        raise NotImplementedError

    def _header(self) -> dict[str, Any]:
        return {"kind": self.kind, "id": self.id, "positive": self.positive}


@dataclass(frozen=True)
class Point(Prompt):
    """A click: one voxel, given by a continuous coordinate ``(z, y, x)``."""

    kind: ClassVar[str] = "point"
    position: Vec3

    @property
    def voxel(self) -> Index3:
        """The voxel that was clicked."""
        z, y, x = (int(np.floor(c + 0.5)) for c in self.position)
        return z, y, x

    def region(self, shape: Index3) -> Region:
        _check_finite(self.position, "point")
        voxel = self.voxel
        if not all(0 <= v < n for v, n in zip(voxel, shape, strict=True)):
            raise PromptError(f"The point {_text(voxel)} lies outside the image of {_size(shape)} voxels.")
        return Region(voxel, np.ones((1, 1, 1), dtype=bool))

    def to_json(self) -> dict[str, Any]:
        return {**self._header(), "position": list(self.position)}


@dataclass(frozen=True)
class Box(Prompt):
    """Voxels ``lower <= (z, y, x) < upper``; a 2D box is one voxel thick along one axis."""

    kind: ClassVar[str] = "box"
    lower: Index3
    upper: Index3

    @property
    def is_flat(self) -> bool:
        """Whether the box is a 2D box: one voxel thick along some axis."""
        return any(u - low == 1 for low, u in zip(self.lower, self.upper, strict=True))

    def clipped(self, shape: Index3) -> Box:
        """The part of the box that lies in the image.

        Raises
        ------
        PromptError
            If the box is empty or lies outside.
        """
        if any(u <= low for low, u in zip(self.lower, self.upper, strict=True)):
            raise PromptError(f"The box from {_text(self.lower)} to {_text(self.upper)} is empty.")
        lower = np.maximum(self.lower, 0)
        upper = np.minimum(self.upper, shape)
        if np.any(upper <= lower):
            raise PromptError(
                f"The box from {_text(self.lower)} to {_text(self.upper)} lies outside the image of "
                f"{_size(shape)} voxels."
            )
        (lz, ly, lx), (uz, uy, ux) = lower.tolist(), upper.tolist()
        return Box((lz, ly, lx), (uz, uy, ux), positive=self.positive, id=self.id)

    def region(self, shape: Index3) -> Region:
        box = self.clipped(shape)
        return Region(box.lower, np.ones(np.subtract(box.upper, box.lower), dtype=bool))

    def to_json(self) -> dict[str, Any]:
        return {**self._header(), "lower": list(self.lower), "upper": list(self.upper)}


@dataclass(frozen=True)
class Scribble(Prompt):
    """A brush stroke along a path of coordinates ``(z, y, x)``; ``radius`` in voxels, in the plane it was drawn in."""

    kind: ClassVar[str] = "scribble"
    path: tuple[Vec3, ...]
    radius: float = 0.0

    def region(self, shape: Index3) -> Region:
        if not self.path:
            raise PromptError("The scribble has no points.")
        points = np.asarray(self.path, dtype=np.float64)
        _check_finite(points, "scribble")
        # Half-voxel steps, so that no voxel on the way is missed.
        steps = np.maximum(np.ceil(np.abs(np.diff(points, axis=0)).max(axis=1, initial=0) * 2), 1).astype(int)
        dense = [points[:1]] + [
            a + (b - a) * (np.arange(1, n + 1) / n)[:, None]
            for a, b, n in zip(points[:-1], points[1:], steps, strict=True)
        ]
        track = np.concatenate(dense)
        flat = np.ptp(points, axis=0) == 0
        if flat.sum() != 1:
            flat[:] = False
        reach = int(np.ceil(self.radius))
        axes = [np.arange(-reach, reach + 1) if not f else np.zeros(1, dtype=int) for f in flat]
        offsets = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        offsets = offsets[np.linalg.norm(offsets, axis=1) <= self.radius]
        voxels = np.unique((np.floor(track + 0.5).astype(int)[:, None] + offsets[None]).reshape(-1, 3), axis=0)
        return _region_of_voxels(voxels, shape, "scribble")

    def to_json(self) -> dict[str, Any]:
        return {**self._header(), "path": [list(p) for p in self.path], "radius": self.radius}


@dataclass(frozen=True)
class Lasso(Prompt):
    """A closed curve drawn in a slice: ``polygon`` of ``(z, y, x)`` constant along ``axis``; its inside counts."""

    kind: ClassVar[str] = "lasso"
    polygon: tuple[Vec3, ...]
    axis: int = 0

    def region(self, shape: Index3) -> Region:
        if len(self.polygon) < 3:
            raise PromptError("A lasso needs at least three points.")
        points = np.asarray(self.polygon, dtype=np.float64)
        _check_finite(points, "lasso")
        plane = [a for a in range(3) if a != self.axis]
        level = int(np.floor(points[0, self.axis] + 0.5))
        lower = np.floor(points.min(axis=0)).astype(int) - 1
        upper = np.ceil(points.max(axis=0)).astype(int) + 2
        lower, upper = np.maximum(lower, 0), np.minimum(upper, shape)
        lower[self.axis], upper[self.axis] = level, level + 1
        if not 0 <= level < shape[self.axis] or np.any(upper <= lower):
            raise PromptError(f"The lasso lies outside the image of {_size(shape)} voxels.")
        size = upper - lower
        inside = polygon2mask(tuple(size[plane]), points[:, plane] - lower[plane])
        z, y, x = lower.tolist()
        region = Region.of(np.expand_dims(inside, self.axis), (z, y, x))
        if not region:
            raise PromptError("The lasso encloses no voxel.")
        return region

    def to_json(self) -> dict[str, Any]:
        return {**self._header(), "polygon": [list(p) for p in self.polygon], "axis": self.axis}


@dataclass(frozen=True)
class MaskPrompt(Prompt):
    """A mask to start from: an existing label, or the answer of another model."""

    kind: ClassVar[str] = "mask"
    mask: Region

    def region(self, shape: Index3) -> Region:
        clipped = Region.of(self.mask.inside((0, 0, 0), shape)) if _outside(self.mask, shape) else self.mask
        if not clipped:
            raise PromptError(f"The mask is empty inside the image of {_size(shape)} voxels.")
        return clipped

    def to_json(self) -> dict[str, Any]:
        return {**self._header(), "mask": self.mask.to_json()}


def prompt_from_json(record: dict[str, Any]) -> Prompt:
    """The prompt that `Prompt.to_json` wrote.

    Raises
    ------
    PromptError
        If the record is not a prompt.
    """
    try:
        common: dict[str, Any] = {"id": str(record["id"]), "positive": bool(record["positive"])}
        match record["kind"]:
            case "point":
                return Point(vec3(record["position"]), **common)
            case "box":
                return Box(index3(record["lower"]), index3(record["upper"]), **common)
            case "scribble":
                return Scribble(tuple(vec3(p) for p in record["path"]), float(record["radius"]), **common)
            case "lasso":
                return Lasso(tuple(vec3(p) for p in record["polygon"]), int(record["axis"]), **common)
            case "mask":
                return MaskPrompt(Region.from_json(record["mask"]), **common)
            case kind:
                raise PromptError(f"There is no prompt of the kind {kind!r}.")
    except (KeyError, TypeError, ValueError) as error:
        raise PromptError(f"This is not a prompt: {error!r}.") from error


def _region_of_voxels(voxels: np.ndarray[Any, Any], shape: Index3, what: str) -> Region:
    voxels = voxels[np.all((voxels >= 0) & (voxels < shape), axis=1)]
    if not len(voxels):
        raise PromptError(f"The {what} lies outside the image of {_size(shape)} voxels.")
    lower = voxels.min(axis=0)
    mask = np.zeros(voxels.max(axis=0) - lower + 1, dtype=bool)
    mask[tuple((voxels - lower).T)] = True
    z, y, x = lower.tolist()
    return Region((z, y, x), mask)


def _outside(region: Region, shape: Index3) -> bool:
    return min(region.lower) < 0 or any(u > n for u, n in zip(region.upper, shape, strict=True))


def _check_finite(coordinates: npt.ArrayLike, what: str) -> None:
    if not np.isfinite(coordinates).all():
        raise PromptError(f"The {what} has a coordinate that is not a number.")


def _text(index: Index3) -> str:
    return f"z {index[0]}, y {index[1]}, x {index[2]}"


def _size(shape: Index3) -> str:
    return " x ".join(str(n) for n in shape)
