"""Real volumes that may be learnt from: labels, and targets found in the image itself where there are none."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from napari_medsam.engine.io import open_labels, open_volume
from napari_medsam.engine.segmenters.compact.patch import PatchGrid

Array = np.ndarray


@dataclass(frozen=True)
class Case:
    """One volume with its labels (all zero where it has none)."""

    name: str
    image: Array
    labels: Array
    spacing: tuple[float, float, float]
    weight: float


def load_cases(folder: Path) -> list[Case]:
    """All volumes of an ``INDEX.json`` folder, weighted so that no source drowns the others."""
    entries = [e for e in json.loads((folder / "INDEX.json").read_text(encoding="utf-8")) if e.get("dim") == 3]
    sizes: dict[str, int] = {}
    for entry in entries:
        sizes[entry["source"]] = sizes.get(entry["source"], 0) + 1
    cases = []
    for entry in entries:
        volume = open_volume(folder / entry["image"], frame=0)
        image = volume.data.astype(np.float16 if np.abs(volume.data).max() < 6e4 else np.float32)
        labels = np.zeros(volume.shape, np.int32)
        if entry.get("label"):
            labels = open_labels(folder / entry["label"])
        if labels.shape != image.shape:
            raise SystemExit(f"{entry['id']}: labels {labels.shape} do not fit the image {image.shape}")
        weight = sizes[entry["source"]] ** -0.5 * (0.5 if "PET" in entry["modality"] else 1.0)
        cases.append(Case(entry["id"], image, labels.astype(np.int32), volume.spacing, weight))
    return cases


def labelled_target(rng: np.random.Generator, case: Case) -> Array | None:
    """A structure somebody labelled: one label, sometimes one of its pieces, sometimes two labels together."""
    values = np.unique(case.labels[::2, ::2, ::2])
    values = values[values > 0]
    if not len(values):
        return None
    chosen = rng.choice(values, min(len(values), 1 if rng.random() < 0.85 else 2), replace=False)
    mask = np.isin(case.labels, chosen)
    if rng.random() < 0.5:
        pieces, count = ndimage.label(mask)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        large = np.flatnonzero(sizes > 60)
        if not len(large):
            return None
        mask = pieces == 1 + rng.choice(large, p=np.sqrt(sizes[large]) / np.sqrt(sizes[large]).sum())
    return mask


def image_target(rng: np.random.Generator, case: Case, cells: int) -> tuple[Array, PatchGrid] | None:
    """A region the image itself suggests, in a random crop: mask of the crop's cells, and the crop."""
    shape = np.array(case.image.shape, dtype=float)
    side = np.exp(rng.uniform(np.log(20), np.log(160))) / np.array(case.spacing)
    side = np.clip(side, 10, np.maximum(shape, 10))
    start = rng.uniform(0, np.maximum(shape - side, 1e-3))
    grid = PatchGrid.around(start, start + side, (cells,) * 3)
    image = grid.sample(case.image).numpy()
    spread = image.std()
    if not spread > 1e-6:
        return None
    smooth = ndimage.gaussian_filter(image / spread, rng.uniform(0.7, 2.0))
    centre = tuple(rng.integers(cells // 4, 3 * cells // 4, 3))
    if rng.random() < 0.5:
        band = np.abs(smooth - smooth[centre]) < rng.uniform(0.15, 0.8)
        pieces, _ = ndimage.label(ndimage.binary_opening(band) if rng.random() < 0.5 else band)
        mask = ndimage.binary_fill_holes(pieces == pieces[centre]) if pieces[centre] else None
    else:
        markers = np.zeros(image.shape, np.int32)
        spots = rng.integers(0, cells, (rng.integers(8, 70), 3))
        markers[tuple(spots.T)] = np.arange(1, len(spots) + 1)
        pieces = watershed(ndimage.gaussian_gradient_magnitude(smooth, 1.0), markers)
        chosen = {int(pieces[centre])}
        if rng.random() < 0.4:
            ring = ndimage.binary_dilation(pieces == pieces[centre]) & (pieces != pieces[centre])
            chosen.add(int(rng.choice(pieces[ring])) if ring.any() else 0)
        mask = np.isin(pieces, list(chosen))
    if mask is None or not 200 < mask.sum() < 0.4 * mask.size:
        return None
    return mask, grid
