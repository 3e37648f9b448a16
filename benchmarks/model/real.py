"""Real images that may be learnt from: labels, and targets found in the image itself where there are none."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from index import entries_for, image_paths
from scipy import ndimage
from skimage.segmentation import watershed

from napari_medsam.engine.io import open_labels, open_volume
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact.patch import PatchGrid

Array = np.ndarray
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Case:
    """One volume ``(z, y, x)`` with its labels (all zero where it has none); a picture has one slice.

    A label map alone has an image of no voxels.
    """

    name: str
    image: Array
    labels: Array
    spacing: tuple[float, float, float]
    weight: float

    @property
    def is_flat(self) -> bool:
        return self.labels.shape[0] == 1

    @property
    def has_image(self) -> bool:
        return self.image.size > 0

    @cached_property
    def values(self) -> Array:
        """Values of the structures that can be chosen."""
        values = np.unique(self.labels[:, ::2, ::2] if self.is_flat else self.labels[::2, ::2, ::2])
        return values[values > 0]

    @cached_property
    def boxes(self) -> list[Box]:
        """The box of each value, from 1 on."""
        found: list[Box] = ndimage.find_objects(self.labels)
        return found


def load_cases(folder: Path, dims: int, hold_out: bool = False) -> list[Case]:
    """All volumes of a folder with an index, for 2D its pictures too, weighted so that no source drowns the others."""
    entries = entries_for(folder, dims, hold_out)
    sizes = Counter({entry["source"]: 0 for entry in entries})
    for entry in entries:
        sizes[entry["source"]] += len(image_paths(entry))
    cases = []
    for entry in entries:
        weight = sizes[entry["source"]] ** -0.5 * (0.5 if "PET" in entry["modality"] else 1.0)
        if entry["dim"] == 2:
            cases += [_picture(folder, entry["id"], image, label, weight) for image, label in entry["pairs"]]
            continue
        (path,) = image_paths(entry)
        volume = open_volume(folder / path, frame=0)
        image = np.empty((0, 0, 0), np.float16)
        if entry["image"]:
            image = volume.data.astype(np.float16 if np.abs(volume.data).max() < 6e4 else np.float32)
        labels = np.zeros(volume.shape, np.int32)
        if entry.get("label"):
            labels = open_labels(folder / entry["label"])
        if labels.shape != volume.shape:
            raise SystemExit(f"{entry['id']}: labels {labels.shape} do not fit the image {volume.shape}")
        cases.append(Case(entry["id"], image, labels.astype(np.int32), volume.spacing, weight))
    return cases


def _picture(folder: Path, name: str, image: str, label: str, weight: float) -> Case:
    """A 2D image, colours as grey, with its labels."""
    pixels = open_volume(folder / image).data
    labels = open_labels(folder / label).astype(np.int32)
    if name == "axondeepseg_sem":  # grey levels near 0, 128 and 255, smoothed at the borders
        labels = np.round(labels / 127.5).astype(np.int32)
    elif name == "antillia_KidneyT2":  # the labels tell patients apart, not structures
        labels = (labels > 0).astype(np.int32)
    grey = pixels.mean(axis=3) if pixels.ndim == 4 else pixels
    return Case(name, grey.astype(np.float16), labels, (1.0, 1.0, 1.0), weight)


def slice_of(rng: np.random.Generator, case: Case) -> Case:
    """A slice of a volume at the resolution of its planes, through a labelled structure where there is one."""
    if case.is_flat:
        return case
    # Planes are the two axes with the smaller voxels; where all three are alike any plane is good.
    like = np.flatnonzero(np.array(case.spacing) > 0.8 * max(case.spacing))
    axis = int(rng.choice(like))
    where = np.flatnonzero(case.labels.any(axis=tuple(a for a in range(3) if a != axis)))
    level = int(rng.choice(where)) if len(where) else int(rng.integers(case.labels.shape[axis]))
    image, labels = (np.take(a, level, axis=axis)[None] if a.size else a for a in (case.image, case.labels))
    y, x = (s for a, s in enumerate(case.spacing) if a != axis)
    return Case(case.name, image, labels, (1.0, y, x), case.weight)


def labelled_target(rng: np.random.Generator, case: Case, whole: float = 0.0) -> Region | None:
    """A structure somebody labelled: one label, sometimes one of its pieces, sometimes two labels together.

    A slice cuts structures into pieces, and a picture labels all cells of a kind alike: there it is mostly a piece. Of
    the targets a share ``whole`` is one label as it is.
    """
    if not len(case.values):
        return None
    if whole and rng.random() < whole:
        value = int(rng.choice(case.values))
        box = case.boxes[value - 1]
        return Region.of(case.labels[box] == value, tuple(s.start for s in box))
    chosen = rng.choice(case.values, min(len(case.values), 1 if rng.random() < 0.85 else 2), replace=False)
    edges = np.array([[(s.start, s.stop) for s in case.boxes[value - 1]] for value in chosen])
    low, high = edges[:, :, 0].min(axis=0), edges[:, :, 1].max(axis=0)
    mask = np.isin(case.labels[tuple(map(slice, low, high))], chosen)
    if rng.random() < (0.85 if case.is_flat else 0.5):
        pieces, count = ndimage.label(mask)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        large = np.flatnonzero(sizes > 60)
        if not len(large):
            return None
        mask = pieces == 1 + rng.choice(large, p=np.sqrt(sizes[large]) / np.sqrt(sizes[large]).sum())
    return Region.of(mask, tuple(low.tolist()))


def image_target(rng: np.random.Generator, case: Case, cells: int) -> tuple[Array, PatchGrid] | None:
    """A region the image itself suggests, in a random crop: mask of the crop's cells, and the crop."""
    shape = np.array(case.image.shape, dtype=float)
    side = np.exp(rng.uniform(np.log(20), np.log(160))) / np.array(case.spacing)
    side = np.clip(side, 10, np.maximum(shape, 10))
    start = rng.uniform(0, np.maximum(shape - side, 1e-3))
    if case.is_flat:
        start[0], side[0] = 0, 1
    grid = PatchGrid.around(start, start + side, (1 if case.is_flat else cells, cells, cells))
    sampled = grid.sample(case.image).numpy()
    image = sampled[0] if case.is_flat else sampled
    spread = image.std()
    if not spread > 1e-6:
        return None
    smooth = ndimage.gaussian_filter(image / spread, rng.uniform(0.7, 2.0))
    centre = tuple(rng.integers(cells // 4, 3 * cells // 4, image.ndim))
    style = rng.random()
    if style < 0.25:  # what is brighter or darker than something: bone, vessels, air, fat
        above = smooth * rng.choice([-1, 1])
        bright = above > np.quantile(above, rng.uniform(0.5, 0.97))
        pieces, count = ndimage.label(bright)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        mask = pieces == 1 + rng.choice(count, p=sizes / sizes.sum()) if count else None
    elif style < 0.6:
        band = np.abs(smooth - smooth[centre]) < rng.uniform(0.15, 0.8)
        pieces, _ = ndimage.label(ndimage.binary_opening(band) if rng.random() < 0.5 else band)
        mask = ndimage.binary_fill_holes(pieces == pieces[centre]) if pieces[centre] else None
    else:
        markers = np.zeros(image.shape, np.int32)
        spots = rng.integers(0, cells, (rng.integers(8, 70), image.ndim))
        markers[tuple(spots.T)] = np.arange(1, len(spots) + 1)
        pieces = watershed(ndimage.gaussian_gradient_magnitude(smooth, 1.0), markers)
        chosen = {int(pieces[centre])}
        if rng.random() < 0.4:
            ring = ndimage.binary_dilation(pieces == pieces[centre]) & (pieces != pieces[centre])
            chosen.add(int(rng.choice(pieces[ring])) if ring.any() else 0)
        mask = np.isin(pieces, list(chosen))
    if mask is None or not 200 < mask.sum() < 0.4 * mask.size:
        return None
    return mask.reshape(sampled.shape), grid
