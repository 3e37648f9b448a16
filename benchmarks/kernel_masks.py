"""Masks to measure kernels on: an organ with holes and islands, a field of many parts, and noise."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def volume(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """A uint8 mask; 2D or 3D."""
    if kind == "organ":
        return _organ(shape, seed=1)
    if kind == "field":
        sigma = [max(2.0, n / 80) for n in shape]
        return (_smooth(shape, sigma, seed=2) > (0.6 if len(shape) == 3 else 0.3)).astype(np.uint8)
    return (np.random.default_rng(3).random(shape, dtype=np.float32) < 0.5).astype(np.uint8)


def slices(kind: str, count: int, size: int) -> np.ndarray:
    """A uint8 batch of 2D masks."""
    if kind == "organ":
        return np.stack([_organ((size, size), seed=10 + k) for k in range(count)])
    return np.stack([(_smooth((size, size), [4.0, 4.0], 100 + k) > 0.3).astype(np.uint8) for k in range(count)])


def _smooth(shape: tuple[int, ...], sigma: list[float], seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    field = ndimage.gaussian_filter(noise, sigma, mode="wrap", truncate=3)
    return field / field.std()


def _organ(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A bumpy ellipsoid with holes, open tunnels along x, and islands around it; 15 % of a volume."""
    rng = np.random.default_rng(seed)
    centre = [0.48 * n for n in shape]

    def distance(grid: list[np.ndarray]) -> np.ndarray:
        return sum(((g - c) / (0.33 * n)) ** 2 for g, c, n in zip(grid, centre, shape, strict=True))

    grid = [axis.astype(np.float32) for axis in np.ogrid[tuple(slice(0, n) for n in shape)]]
    mask = distance(grid) + 0.12 * _smooth(shape, [max(2.0, n / 40) for n in shape], seed) < 1

    def ball(radius: float, value: bool, inside: bool) -> None:
        while True:
            at = [rng.uniform(0, n) for n in shape]
            if not inside or distance([np.asarray(a) for a in at]) < 0.75:
                break
        box = tuple(slice(max(0, int(a - radius)), min(n, int(a + radius) + 1)) for a, n in zip(at, shape, strict=True))
        near = sum((g - a) ** 2 for g, a in zip(np.ogrid[box], at, strict=True)) <= radius**2
        mask[box][near] = value

    # As many for each voxel as 1,500 holes and 2,000 islands in 512 x 512 x 300; more where small ones are the matter.
    parts = 1500 if mask.size > 2**24 else 120 if mask.ndim == 3 else max(25, 300 * mask.size // 2**20)
    for _ in range(parts):
        ball(rng.choice([0.5, 1, 1.5, 2, 3, 5, 8], p=[0.3, 0.25, 0.15, 0.12, 0.1, 0.06, 0.02]), False, True)
    for _ in range(6):
        start = [int(rng.uniform(0.4 * n, 0.6 * n)) for n in shape]
        tunnel = [slice(s, s + max(2, n // 100)) for s, n in zip(start, shape, strict=True)]
        tunnel[-1] = slice(start[-1], None)
        mask[tuple(tunnel)] = False
    for _ in range(parts * 4 // 3):
        ball(rng.choice([0.5, 1, 1.5, 2, 3, 5], p=[0.4, 0.25, 0.15, 0.1, 0.07, 0.03]), True, False)
    return mask.astype(np.uint8)
