"""Synthetic label maps and pictures: shapes of every kind in contrasts of none in particular.

In the spirit of SynthSeg (Billot et al. 2023), AnyStar (Dey et al. 2024) and UniverSeg (Butoi et al. 2023): labels
come from random fields and deformed shapes, each label gets a random intensity and texture, then the imaging chain
(bias field, thick slices, blur, noise, clipping) is applied.
"""

from collections.abc import Mapping

import numpy as np
import torch
from scipy import ndimage
from scipy.interpolate import CubicSpline
from torch.nn import functional

Array = np.ndarray
Cells = tuple[int, int, int]


def smooth_noise(rng: np.random.Generator, cells: Cells, scale: float) -> Array:
    """Gaussian noise with structures about ``scale`` cells long, float32, unit variance or less."""
    coarse = [max(2, round(n / scale)) if n > 1 else 1 for n in cells]
    noise = torch.from_numpy(rng.standard_normal((1, 1, *coarse), dtype=np.float32))
    return functional.interpolate(noise, size=cells, mode="trilinear", align_corners=False)[0, 0].numpy()


def regions(rng: np.random.Generator, cells: Cells) -> Array:
    """One to five regions that fill the whole, numbered from 0: what lies around the structures."""
    fields = [smooth_noise(rng, cells, np.exp(rng.uniform(np.log(8), np.log(40)))) for _ in range(rng.integers(1, 6))]
    return np.stack(fields).argmax(axis=0)


def label_map(rng: np.random.Generator, cells: Cells) -> Array:
    """A label map of ints: background regions with one to eight shapes put over them; of one slice, a cut through."""
    labels = regions(rng, cells)
    grid = grid_of(cells)
    for _ in range(rng.integers(1, 9)):
        depth = shape(rng, grid) + rng.uniform(0.0, 0.2) * smooth_noise(rng, cells, rng.uniform(5, 30))
        labels[depth > 0] = labels.max() + 1
        if rng.random() < 0.3:  # a core within a wall, as in vessels, hearts, cysts
            labels[depth > rng.uniform(0.08, 0.4)] = labels.max() + 1
    return labels


def grid_of(cells: Cells) -> Array:
    """Places of the cells from -1 to 1 on each axis, float32 ``(3, *cells)``; 0 on an axis of one cell."""
    axes = [np.linspace(-1, 1, n, dtype=np.float32) if n > 1 else np.zeros(1, np.float32) for n in cells]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def picture(rng: np.random.Generator, labels: Array, tissues: float = 0.0) -> Array:
    """An image float32 of a label map, by a random imaging chain.

    With a chance of ``tissues`` its labels share a few grey levels; else each has one of its own.
    """
    cells = labels.shape
    count = int(labels.max()) + 1
    means = grey_levels(rng, count, tissues)
    texture = (
        smooth_noise(rng, cells, rng.uniform(2, 8))
        if rng.random() < 0.5
        else rng.standard_normal(labels.shape, dtype=np.float32)
    )
    image = means[labels] + (rng.random(count) * 0.15)[labels] * texture
    image = image + rng.uniform(0, 0.35) * smooth_noise(rng, cells, 40)
    if rng.random() < 0.3:
        image = image + rng.uniform(0, 0.25) * smooth_noise(rng, cells, rng.uniform(3, 12))
    sigma = np.full(3, rng.uniform(0, 1.3))
    if rng.random() < 0.5:  # thick slices
        sigma[rng.integers(3)] *= rng.uniform(1, 4)
    image = ndimage.gaussian_filter(image, sigma)
    noise = rng.uniform(0, 0.18) * rng.standard_normal(labels.shape)
    return (image + (ndimage.gaussian_filter(noise, sigma * 0.6) * 2 if rng.random() < 0.5 else noise)).astype(
        np.float32
    )


def grey_levels(rng: np.random.Generator, count: int, tissues: float) -> Array:
    """Mean of each label; with a chance of ``tissues`` most are near one of two to five.

    So it is in a body: of many structures side by side, grey nuclei or the organs of an abdomen, most look alike.
    """
    means = rng.uniform(-1, 1, count)
    if rng.random() < tissues:
        return rng.choice(means[: rng.integers(2, 6)], count) + rng.uniform(0, 0.08) * rng.standard_normal(count)
    if count > 1 and rng.random() < 0.4:  # low contrast to one neighbour only
        means[rng.integers(count)] = means[rng.integers(count)] + 0.12 * rng.standard_normal()
    return means


def _path(rng: np.random.Generator, grid: Array) -> Array:
    """A cord of one thickness along a smooth path: a rib, a vessel, a loop of bowel."""
    steps = rng.standard_normal((rng.integers(3, 7), 3)).cumsum(axis=0)
    knots = steps - steps.mean(axis=0)
    knots *= rng.uniform(0.4, 1.0) / max(1e-6, np.abs(knots).max())
    along = CubicSpline(np.arange(len(knots)), knots)(np.linspace(0, len(knots) - 1, 200)) + rng.uniform(-0.4, 0.4, 3)
    sides = np.array(grid.shape[1:])
    spots = np.round((along + 1) / 2 * (sides - 1)).astype(int)
    if sides[0] == 1:
        spots[:, 0] = 0
    spots = spots[np.all((spots >= 0) & (spots < sides), axis=1)]
    away = np.ones(grid.shape[1:], dtype=bool)
    away[tuple(spots.T)] = False
    distance: Array = ndimage.distance_transform_edt(away) * (2 / sides.max())
    return (rng.uniform(0.04, 0.16) - distance).astype(np.float32)


def _rotation(rng: np.random.Generator) -> Array:
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    return (q * np.sign(np.diag(r))).astype(np.float32)


SHAPES = {"ellipsoid": 0.35, "tube": 0.15, "sheet": 0.1, "box": 0.05, "tree": 0.1, "shell": 0.1, "path": 0.15}
"""Kinds of shapes, and how often each is drawn."""


def shape(rng: np.random.Generator, grid: Array, kinds: Mapping[str, float] = SHAPES) -> Array:
    """Signed depth (positive inside) of one random shape of those ``kinds`` on a grid as `grid_of` makes it."""
    centre = rng.uniform(-0.7, 0.7, 3).astype(np.float32)
    u = np.tensordot(_rotation(rng), grid - centre[:, None, None, None], axes=1)
    if rng.random() < 0.4:  # bent: bananas, horseshoes
        u[0] = u[0] + rng.uniform(-2, 2) * u[1] ** 2
    if rng.random() < 0.3:  # wavy: bowel, gyri
        u[0] = u[0] + rng.uniform(0.05, 0.25) * np.sin(rng.uniform(3, 9) * u[1] + rng.uniform(0, 6))
    kind = rng.choice(list(kinds), p=list(kinds.values()))
    if kind == "path":
        return _path(rng, grid)
    if kind == "ellipsoid":
        radii = np.exp(rng.uniform(np.log(0.1), np.log(0.8), 3)).astype(np.float32)
        return 1 - np.sqrt(((u / radii[:, None, None, None]) ** 2).sum(axis=0))
    if kind == "tube":
        radius = rng.uniform(0.05, 0.3)
        wobble = rng.uniform(0, 0.3) * np.sin(rng.uniform(1, 6) * u[2] + rng.uniform(0, 6))
        return np.minimum(radius - np.hypot(u[0] + wobble, u[1]), rng.uniform(0.3, 1.2) - np.abs(u[2]))
    if kind == "sheet":
        return np.minimum(rng.uniform(0.04, 0.15) - np.abs(u[0]), rng.uniform(0.3, 1.0) - np.hypot(u[1], u[2]))
    if kind == "shell":  # part of a wall: cortex, myocardium, lung around the liver
        radii = np.exp(rng.uniform(np.log(0.3), np.log(1.0), 3)).astype(np.float32)
        wall = rng.uniform(0.05, 0.25) - np.abs(1 - np.sqrt(((u / radii[:, None, None, None]) ** 2).sum(axis=0)))
        return np.minimum(wall, u[0] - rng.uniform(-1.0, 0.5) * radii[0])
    if kind == "box":
        half = rng.uniform(0.1, 0.6, 3).astype(np.float32)
        return (half[:, None, None, None] - np.abs(u)).min(axis=0)
    depth = np.full(grid.shape[1:], -1.0, dtype=np.float32)  # tree: branches from one point, tapering
    for _ in range(rng.integers(2, 6)):
        v = np.tensordot(_rotation(rng), u, axes=1)
        along = np.clip(v[2], 0, rng.uniform(0.4, 1.2))
        taper = rng.uniform(0.06, 0.16) * (1 - 0.5 * along)
        depth = np.maximum(depth, taper - np.sqrt(v[0] ** 2 + v[1] ** 2 + (v[2] - along) ** 2))
    return depth
