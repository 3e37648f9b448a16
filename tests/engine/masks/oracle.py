"""What scipy and scikit-image say, and random masks to ask them about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import label as skimage_label

ORDER = {4: 1, 8: 2, 6: 1, 18: 2, 26: 3}
DUAL = {4: 8, 8: 4, 6: 26, 18: 6, 26: 6}
CONNECTIVITIES = {2: (4, 8), 3: (6, 18, 26)}


@dataclass(frozen=True)
class Case:
    """A random batch of masks in a random layout, and options."""

    mask: np.ndarray
    dims: int
    connectivity: int
    threads: int
    region: tuple[tuple[int, ...], tuple[int, ...]] | None
    points: np.ndarray
    size: int

    @property
    def options(self) -> dict:
        return {"dims": self.dims, "connectivity": self.connectivity, "threads": self.threads}


def draw(rng: np.random.Generator, largest: int = 70, most_voxels: int = 40_000) -> Case:
    """Any mask that may come: noise, blobs, nothing, everything; narrow, wide, of a batch, strided, flipped."""
    dims = int(rng.choice([2, 3]))
    shape = tuple(int(n) for n in rng.integers(1, largest + 1, size=dims))
    while np.prod(shape) > most_voxels:
        shape = tuple(max(1, n // 2) for n in shape)
    if rng.random() < 0.1:
        shape = (*shape[:-1], int(rng.integers(60, 200)))
    batch = () if rng.random() < 0.5 else tuple(int(n) for n in rng.integers(1, 4, size=rng.integers(1, 3)))
    mask = _voxels(rng, (*batch, *shape))
    mask = _laid_out(rng, mask, len(batch))
    region = None
    if rng.random() < 0.3:
        corners = np.sort(rng.integers(0, np.array(shape) + 1, size=(2, dims)), axis=0)
        region = (tuple(corners[0].tolist()), tuple(corners[1].tolist()))
    count = int(rng.integers(0, 5))
    points = rng.integers(0, np.array(mask.shape), size=(count, mask.ndim))
    connectivity = int(rng.choice(CONNECTIVITIES[dims]))
    size = int(rng.choice([0, 1, 2, 5, 20, 1000]))
    return Case(mask, dims, connectivity, int(rng.integers(1, 4)), region, points, size)


def _voxels(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    density = rng.choice([0, 0.03, 0.3, 0.45, 0.5, 0.6, 0.7, 0.9, 0.98, 1])
    if rng.random() < 0.4:
        field = ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(0.5, 3), mode="nearest")
        mask = field > np.quantile(field, 1 - density)
    else:
        mask = rng.random(shape) < density
    if rng.random() < 0.5:
        return mask
    return mask * rng.integers(1, 256, size=shape, dtype=np.uint8)


def _laid_out(rng: np.random.Generator, mask: np.ndarray, batch_axes: int) -> np.ndarray:
    """The same voxels, at times in memory that is not contiguous."""
    kind = rng.integers(0, 6)
    if kind == 1 and batch_axes < 2:
        return np.asfortranarray(mask)
    if kind == 2:
        roomy = np.zeros((*mask.shape[:-1], 2 * mask.shape[-1]), mask.dtype)
        roomy[..., ::2] = mask
        return roomy[..., ::2]
    if kind == 3 and batch_axes < 2:
        return np.flip(np.ascontiguousarray(np.flip(mask)))
    if kind == 4:
        roomy = np.zeros((*mask.shape[:-1], mask.shape[-1] + 3), mask.dtype)
        roomy[..., 1:-2] = mask
        return roomy[..., 1:-2]
    return mask


def each(array: np.ndarray, dims: int):
    """The masks of a batch, as pairs of their index and view."""
    for index in np.ndindex(array.shape[: array.ndim - dims]):
        yield index, array[index]


def structure(dims: int, connectivity: int) -> np.ndarray:
    return ndimage.generate_binary_structure(dims, ORDER[connectivity])


def label(one: np.ndarray, connectivity: int) -> np.ndarray:
    return skimage_label(one, connectivity=ORDER[connectivity])


def holes(one: np.ndarray, background: int) -> np.ndarray:
    return ndimage.binary_fill_holes(one, structure(one.ndim, background)) & (one == 0)


def reaching(one: np.ndarray, connectivity: int, faces: list[tuple[int, int]]) -> np.ndarray:
    """Voxels of pieces that touch one of the faces (axis, end): those joined to a wall built behind it."""
    walled = one != 0
    cut = [slice(None)] * one.ndim
    for axis, end in faces:
        width = [(0, 0)] * one.ndim
        width[axis] = (1, 0) if end == 0 else (0, 1)
        walled = np.pad(walled, width, constant_values=False)
        wall = [slice(None)] * one.ndim
        wall[axis] = 0 if end == 0 else -1
        # Straight behind the voxels that lie at the face, so that it joins nothing else.
        inner = [slice(None)] * one.ndim
        inner[axis] = 1 if end == 0 else -2
        walled[tuple(wall)] = walled[tuple(inner)]
        start = cut[axis].start or 0
        cut[axis] = slice(start + (end == 0), start + (end == 0) + one.shape[axis])
    labels = label(walled, connectivity)
    reached = np.zeros(labels.max() + 1, bool)
    for axis, end in faces:
        reached[np.take(labels, 0 if end == 0 else -1, axis=axis)] = True
    reached[0] = False
    return reached[labels][tuple(cut)]


def inner_faces(case: Case) -> list[tuple[int, int]]:
    if case.region is None:
        return []
    shape = case.mask.shape[-case.dims :]
    lower, upper = case.region
    return [(k, 0) for k in range(case.dims) if lower[k] > 0] + [
        (k, 1) for k in range(case.dims) if upper[k] < shape[k]
    ]


def box(case: Case) -> tuple:
    if case.region is None:
        return (slice(None),) * case.dims
    return tuple(slice(low, high) for low, high in zip(*case.region, strict=True))


def touched(labels: np.ndarray, index: tuple, case: Case) -> list[int]:
    """Labels under the points of this mask of the batch; labels are those of the region."""
    lower = np.zeros(case.dims, int) if case.region is None else np.array(case.region[0])
    found = []
    for point in case.points:
        local = point[len(index) :] - lower
        if tuple(point[: len(index)]) == index and (local >= 0).all() and (local < labels.shape).all():
            found.append(int(labels[tuple(local)]))
    return [value for value in found if value]


def fill_holes(case: Case, largest: int | None = None, open_border: bool = True, spare: bool = False) -> np.ndarray:
    out = case.mask.copy()
    background = DUAL[case.connectivity]
    for index, whole in each(out, case.dims):
        one = whole[box(case)]
        if not one.size:
            continue
        hole = holes(one, background)
        labels = label(one == 0, background)
        if not open_border:
            hole = (one == 0) & ~reaching(one == 0, background, inner_faces(case))
        if largest is not None:
            hole &= (np.bincount(labels.ravel()) <= largest)[labels]
        if spare:
            hole &= ~np.isin(labels, touched(labels, index, case))
        one[hole] = 1
    return out


def islands(case: Case, rule: str) -> np.ndarray:
    out = case.mask.copy()
    for index, whole in each(out, case.dims):
        one = whole[box(case)]
        if not one.any():
            continue
        labels = label(one != 0, case.connectivity)
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        keep = reaching(one, case.connectivity, inner_faces(case))
        if rule == "small":
            keep |= (sizes >= case.size)[labels]
        elif rule == "largest":
            keep |= labels == np.argmax(sizes)
        else:
            keep |= np.isin(labels, touched(labels, index, case))
        one[~keep] = 0
    return out


def labels(case: Case) -> tuple[np.ndarray, np.ndarray]:
    out = np.zeros(case.mask.shape, np.int32)
    counts = np.zeros(case.mask.shape[: case.mask.ndim - case.dims], np.int32)
    for index, one in each(case.mask, case.dims):
        out[index] = label(one != 0, case.connectivity)
        counts[index] = out[index].max(initial=0)
    return out, counts


def scores(rng: np.random.Generator, mask: np.ndarray, threshold: float) -> np.ndarray:
    """float32 scores whose mask at the threshold is this one; some lie on the threshold, some are not a number."""
    spread = rng.exponential(1, mask.shape).astype(np.float32)
    limit = np.float32(threshold)
    out = np.where(mask != 0, np.nextafter(limit, np.float32(np.inf)) + spread, limit - spread).astype(np.float32)
    out[(mask == 0) & (rng.random(mask.shape) < 0.1)] = limit
    return out
