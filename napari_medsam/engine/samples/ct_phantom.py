"""A generated CT of chest and belly whose truth is known exactly: for demos, tests and benchmarks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medsam.engine.samples.anatomy import Organ, organs
from napari_medsam.engine.samples.sample import Sample
from napari_medsam.engine.samples.shapes import Field
from napari_medsam.engine.volume import FloatArray, Index3, Vec3, Volume

_AIR = -1000.0
_SLAB = 16
_NOISE_HU = 14.0
_BLUR_VOXELS = 0.55
"""Standard deviation of the scanner's in-plane blur."""

_GRAIN_MM = 5.0
"""Distance between the knots of the field that gives tissues their texture."""


def ct_phantom(
    shape: Index3 = (60, 160, 160), spacing: Vec3 = (4.0, 2.5, 2.5), seed: int = 0, oblique: float = 8.0
) -> Sample:
    """Generate a CT-like volume of chest and belly with its truth.

    Organs are implicit surfaces in the patient, so the truth of a voxel does not depend on the grid: it is what lies at
    the voxel's centre. Voxels cut by a surface mix the two sides (partial volume); texture, blur and noise follow.

    Parameters
    ----------
    shape : tuple of int
        Voxels along ``(z, y, x)``; the middle of the grid is the middle of the body.
    spacing : tuple of float
        Millimetres between voxels along ``(z, y, x)``. The body is 344 mm wide and 232 mm deep.
    seed : int
        Every seed is another patient; the same seed gives the same voxels.
    oblique : float
        Degrees by which the grid is turned against the patient, about two axes.

    Returns
    -------
    Sample
        int16 volume in Hounsfield units.
    """
    rng = np.random.default_rng(seed)
    affine = _affine(shape, spacing, oblique)
    body = organs(rng)
    names = list(dict.fromkeys(organ.name for organ in body if organ.name))
    values = {name: value for value, name in enumerate(names, start=1)}
    density = np.full(shape, _AIR, dtype=np.float32)
    labels = np.zeros(shape, dtype=np.uint8)
    texture = np.zeros(shape, dtype=np.float32)
    # In slabs, so that the work arrays of a large volume stay small.
    for start in range(0, shape[0], _SLAB):
        stop = min(start + _SLAB, shape[0])
        for organ in body:
            _paint(organ, values.get(organ.name, 0), affine, (start, stop), density, labels, texture)
    texture *= _grain(rng, shape, spacing)
    density += texture
    del texture
    noise = rng.standard_normal(shape, dtype=np.float32)
    blur = (0.0, _BLUR_VOXELS, _BLUR_VOXELS)
    ndimage.gaussian_filter(noise, blur, output=noise)
    noise *= _NOISE_HU / max(float(noise.std()), 1e-6)
    ndimage.gaussian_filter(density, blur, output=density)
    density += noise
    hounsfield = np.clip(np.rint(density, out=density), -1024, 3071).astype(np.int16)
    return Sample(Volume(hounsfield, affine, modality="CT"), labels, {value: name for name, value in values.items()})


def _affine(shape: Index3, spacing: Vec3, oblique: float) -> FloatArray:
    angle = np.deg2rad(oblique)
    c, s = np.cos(angle), np.sin(angle)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    about_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    axes = about_y @ about_x
    affine = np.eye(4)
    affine[:3, :3] = axes[:, ::-1] * spacing
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def _paint(
    organ: Organ,
    label: int,
    affine: FloatArray,
    slab: tuple[int, int],
    density: Field,
    labels: npt.NDArray[np.uint8],
    texture: Field,
) -> None:
    """Mix one organ into the slices ``slab`` of the three arrays."""
    shape: Index3 = density.shape[0], density.shape[1], density.shape[2]
    # One voxel beyond the slab on every side, where the slope of the surface is still needed.
    bounds = np.array([(slab[0] - 1, slab[1] + 1), (-1, shape[1] + 1), (-1, shape[2] + 1)])
    margin = float(np.linalg.norm(affine[:3, :3], axis=0).sum())
    boxes = [_voxel_box(part.lower, part.upper, affine, margin, bounds) for part in organ.parts]
    used = [box for box in boxes if np.all(box[:, 1] - box[:, 0] >= 2)]
    if not used:
        return
    whole = np.stack([np.min(used, axis=0)[:, 0], np.max(used, axis=0)[:, 1]], axis=1)
    surface = np.full(whole[:, 1] - whole[:, 0], margin, dtype=np.float32)
    for part, box in zip(organ.parts, boxes, strict=True):
        if np.all(box[:, 1] - box[:, 0] >= 2):
            cut = surface[tuple(slice(low - o, high - o) for (low, high), o in zip(box, whole[:, 0], strict=True))]
            np.minimum(cut, part.value(*_coordinates(box, affine)), out=cut)
    at = _coordinates(whole, affine)
    if organ.uneven is not None:
        surface += organ.uneven(*at)
    if organ.within is not None:
        np.maximum(surface, organ.within.value(*at), out=surface)
    share = _coverage(surface)
    kept = [(max(low, b + 1), min(high, e - 1)) for (low, high), (b, e) in zip(whole, bounds, strict=True)]
    inner = tuple(slice(low - o, high - o) for (low, high), o in zip(kept, whole[:, 0], strict=True))
    target = tuple(slice(low, high) for low, high in kept)
    share, inside = share[inner], surface[inner] < 0
    density[target] += share * (organ.hu - density[target])
    texture[target] += share * (organ.texture - texture[target])
    labels[target][inside] = label


def _voxel_box(
    lower: Vec3, upper: Vec3, affine: FloatArray, margin: float, bounds: npt.NDArray[np.int_]
) -> npt.NDArray[np.int_]:
    """First and one past the last voxel along each axis ``(3, 2)`` of a box in mm."""
    low, high = np.subtract(lower, margin), np.add(upper, margin)
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), axis=-1).reshape(-1, 3)
    index = np.linalg.solve(affine[:3, :3], (corners - affine[:3, 3]).T).T
    first = np.maximum(np.floor(index.min(axis=0)).astype(int), bounds[:, 0])
    last = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, bounds[:, 1])
    return np.stack([first, last], axis=1)


def _coordinates(box: npt.NDArray[np.int_], affine: FloatArray) -> tuple[Field, Field, Field]:
    """World x, y and z of the voxels in the box; axes along which one does not change have length 1."""
    steps = np.ix_(*[np.arange(low, high, dtype=np.float32) for low, high in box])
    world: list[Field] = []
    for row in affine[:3]:
        total: Field = np.full((1, 1, 1), row[3], dtype=np.float32)
        for step, weight in zip(steps, row[:3].tolist(), strict=True):
            if abs(weight) > 1e-9:
                total = np.add(total, step * np.float32(weight), dtype=np.float32)
        world.append(total)
    return world[0], world[1], world[2]


def _coverage(surface: Field) -> Field:
    """Share of each voxel that lies inside, as if the surface were flat within the voxel."""
    slope = np.zeros_like(surface)
    for axis in range(3):
        slope += np.abs(np.gradient(surface, axis=axis))
    return np.asarray(np.clip(0.5 - surface / np.maximum(slope, 1e-3), 0, 1, dtype=np.float32))


def _grain(rng: np.random.Generator, shape: Index3, spacing: Vec3) -> Field:
    """Smooth random field of unit variance."""
    knots = [max(int(np.ceil(n * s / _GRAIN_MM)), 2) + 1 for n, s in zip(shape, spacing, strict=True)]
    field = ndimage.zoom(
        rng.standard_normal(knots, dtype=np.float32), np.divide(shape, knots), order=1, mode="nearest", grid_mode=True
    )
    return np.asarray(field / max(float(field.std()), 1e-6), dtype=np.float32)
