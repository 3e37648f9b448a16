"""A mask whose voxels say which way every axis runs, and its voxels in the world as each library sees them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK

from napari_medsam.engine.io import SavedObject
from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import Index3, Volume

TOLERANCE_MM = 1e-4


def marker(shape: Index3) -> np.ndarray:
    """A bool ``(z, y, x)`` mask with a longer arm along each following axis, from a corner that is not the centre."""
    mask = np.zeros(shape, dtype=bool)
    z, y, x = (n // 5 for n in shape)
    mask[z : z + max(1, shape[0] // 4), y, x] = True
    mask[z, y : y + max(2, shape[1] // 3), x] = True
    mask[z, y, x : x + max(3, shape[2] // 2)] = True
    mask[-1, -1, -1] = True
    return mask


def marker_objects(shape: Index3) -> list[SavedObject]:
    """The marker with the value 2, and the far corner alone with the value 1."""
    whole = marker(shape)
    corner = np.zeros(shape, dtype=bool)
    corner[-1, -1, -1] = True
    return [
        SavedObject("corner", (10, 200, 30), Region.of(corner), 1),
        SavedObject("arms", (250, 0, 125), Region.of(whole & ~corner), 2),
    ]


def marker_labels(shape: Index3) -> np.ndarray:
    """The label map that `marker_objects` make."""
    labels = marker(shape).astype(np.uint8) * 2
    labels[-1, -1, -1] = 1
    return labels


def world_of(volume: Volume, labels: np.ndarray) -> np.ndarray:
    """Rows of label and LPS millimetres of every labelled voxel, in a fixed order."""
    index = np.argwhere(labels)
    return _ordered(labels[tuple(index.T)], volume.to_world(index))


def world_by_itk(path: Path) -> np.ndarray:
    """The same, as SimpleITK reads the file."""
    image = SimpleITK.ReadImage(str(path))
    labels = SimpleITK.GetArrayViewFromImage(image)
    index = np.argwhere(labels)
    axes = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    return _ordered(labels[tuple(index.T)], index[:, ::-1] @ axes.T + np.array(image.GetOrigin()))


def world_by_nibabel(path: Path) -> np.ndarray:
    """The same, as nibabel reads the file, turned from RAS to LPS."""
    image = nib.load(path)
    labels = np.asarray(image.dataobj)
    index = np.argwhere(labels)
    ras = nib.affines.apply_affine(image.affine, index)
    return _ordered(labels[tuple(index.T)], ras * [-1, -1, 1])


def assert_same_world(one: np.ndarray, other: np.ndarray) -> None:
    """Whether the same labels lie at the same millimetres."""
    assert one.shape == other.shape
    assert (one[:, 0] == other[:, 0]).all()
    assert np.abs(one - other).max() < TOLERANCE_MM


def _ordered(labels: np.ndarray, points: np.ndarray) -> np.ndarray:
    rows = np.column_stack([labels, points])
    # Coarse rounding, so that a difference in the last digits does not reorder the voxels.
    return rows[np.lexsort(np.round(rows, 2).T[::-1])]
