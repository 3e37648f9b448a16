"""Implicit shapes in the patient: negative inside, about the distance in millimetres to the surface near it.

Coordinates are LPS millimetres: x grows to the patient's left, y to the back, z to the head. Shapes take three arrays
that broadcast against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.volume import Vec3

Field = npt.NDArray[np.float32]
Implicit = Callable[[Field, Field, Field], Field]


@dataclass(frozen=True)
class Shape:
    """An implicit shape and the box ``(x, y, z)`` in mm that holds it."""

    value: Implicit
    lower: Vec3
    upper: Vec3


def ellipsoid(centre: Vec3, radii: Vec3, power: float = 2.0) -> Shape:
    """An ellipsoid; with a ``power`` above 2 a box with round edges."""
    scale = min(radii)

    def value(*at: Field) -> Field:
        terms = [np.abs((a - c) / r) ** power for a, c, r in zip(at, centre, radii, strict=True)]
        return np.asarray(((terms[0] + terms[1] + terms[2]) ** (1 / power) - 1) * scale)

    return _boxed(value, np.subtract(centre, radii), np.add(centre, radii))


def box(lower: Vec3, upper: Vec3) -> Shape:
    """A box with straight edges."""
    centre, radii = np.add(lower, upper) / 2, np.subtract(upper, lower) / 2

    def value(*at: Field) -> Field:
        terms = [np.abs(a - c) - r for a, c, r in zip(at, centre.tolist(), radii.tolist(), strict=True)]
        return np.asarray(np.maximum(np.maximum(terms[0], terms[1]), terms[2]))

    return _boxed(value, lower, upper)


def column(
    centre: tuple[float, float], radii: tuple[float, float], low: float, high: float, power: float = 2.0
) -> Shape:
    """An upright elliptic column between two heights."""
    scale = min(radii)

    def value(x: Field, y: Field, z: Field) -> Field:
        across = (np.abs((x - centre[0]) / radii[0]) ** power + np.abs((y - centre[1]) / radii[1]) ** power) ** (
            1 / power
        )
        return np.asarray(np.maximum((across - 1) * scale, np.abs(z - (low + high) / 2) - (high - low) / 2))

    x, y = centre
    return _boxed(value, (x - radii[0], y - radii[1], low), (x + radii[0], y + radii[1], high))


def capsule(start: npt.ArrayLike, end: npt.ArrayLike, radius: float) -> Shape:
    """A straight round rod with round ends."""
    a, b = np.asarray(start, dtype=np.float32), np.asarray(end, dtype=np.float32)
    dx, dy, dz = (b - a).tolist()
    length2 = max(dx * dx + dy * dy + dz * dz, 1e-6)

    def value(x: Field, y: Field, z: Field) -> Field:
        u, v, w = x - a[0], y - a[1], z - a[2]
        t = np.clip((u * dx + v * dy + w * dz) / length2, 0, 1)
        return np.asarray(np.sqrt((u - t * dx) ** 2 + (v - t * dy) ** 2 + (w - t * dz) ** 2) - radius)

    return _boxed(value, np.minimum(a, b) - radius, np.maximum(a, b) + radius)


def tube(path: npt.ArrayLike, radius: float) -> tuple[Shape, ...]:
    """Rods along a path ``(n, 3)``; each has its own small box, so that long tubes are cheap."""
    points = np.asarray(path, dtype=np.float32)
    return tuple(capsule(a, b, radius) for a, b in pairwise(points))


def half_space(axis: int, limit: float, below: bool) -> Shape:
    """Everything on one side of a plane across the axis 0, 1 or 2 for x, y or z."""
    sign = 1.0 if below else -1.0

    def value(*at: Field) -> Field:
        return np.asarray((at[axis] - limit) * sign)

    return _boxed(value, (-1e4, -1e4, -1e4), (1e4, 1e4, 1e4))


def grown(shape: Shape, by: float) -> Shape:
    """The shape with its surface moved outwards (inwards when negative) by ``by`` mm."""
    return _boxed(lambda x, y, z: shape.value(x, y, z) - by, np.subtract(shape.lower, by), np.add(shape.upper, by))


def common(*shapes: Shape) -> Shape:
    """Where all shapes are."""

    def value(x: Field, y: Field, z: Field) -> Field:
        out = shapes[0].value(x, y, z)
        for shape in shapes[1:]:
            out = np.maximum(out, shape.value(x, y, z))
        return out

    lower = np.max([shape.lower for shape in shapes], axis=0)
    return _boxed(value, lower, np.maximum(lower, np.min([shape.upper for shape in shapes], axis=0)))


def ripple(rng: np.random.Generator, size: float, wavelengths: Sequence[float]) -> Implicit:
    """A smooth random field of about ``size`` mm, to make surfaces uneven."""
    waves = [(rng.normal(size=3), rng.uniform(0, 2 * np.pi), wavelength) for wavelength in wavelengths]

    def value(x: Field, y: Field, z: Field) -> Field:
        out = np.zeros((1, 1, 1), dtype=np.float32)
        for direction, phase, wavelength in waves:
            kx, ky, kz = (direction / np.linalg.norm(direction) * (2 * np.pi / wavelength)).tolist()
            out = out + np.cos(kx * x + ky * y + (kz * z + phase), dtype=np.float32)
        return np.asarray(out * np.float32(size / len(waves)))

    return value


def _boxed(value: Implicit, lower: npt.ArrayLike, upper: npt.ArrayLike) -> Shape:
    (x0, y0, z0), (x1, y1, z1) = np.asarray(lower, dtype=float).tolist(), np.asarray(upper, dtype=float).tolist()
    return Shape(value, (x0, y0, z0), (x1, y1, z1))
