"""A simulated user: draws a tight box, then clicks at the centre of the largest error.

The rules are those of the CVPR-2025 challenge of interactive 3D segmentation (its ``CVPR25_iter_eval.py``), so that
scores can be set beside published ones.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.measure import block_reduce

from napari_medsam.engine import masks
from napari_medsam.engine.evaluation.metrics import union_box
from napari_medsam.engine.prompts import Box, Point
from napari_medsam.engine.region import BoolArray, Region

_PADDING = 0.25
_DOWNSAMPLE_ABOVE = 60_000_000
_SEED = 42


def tight_box(truth: Region) -> Box:
    """The 3D box that touches the structure on all six sides; the structure must not be empty."""
    return Box(truth.lower, truth.upper)


def next_click(truth: Region, answer: Region) -> Point | None:
    """Click at the centre of the largest error, positive where the structure was missed.

    With an empty answer this is the first click, at the centre of the structure. Errors are told apart by
    26-connectivity; of equally large ones the first in scan order is taken. The centre is the voxel farthest, in
    voxels, from the border of the error; of several one is drawn with a fixed seed.

    Parameters
    ----------
    truth, answer : Region
        The structure, not empty, and the model's mask.

    Returns
    -------
    Point or None
        None when nothing is wrong.
    """
    lower, upper = union_box(truth, answer)
    inside = truth.inside(lower, upper)
    errors, count = masks.label(inside ^ answer.inside(lower, upper), connectivity=26)
    if not count.any():
        return None
    sizes = np.bincount(errors.ravel())
    sizes[0] = 0
    largest = int(sizes.argmax())
    box = ndimage.find_objects(errors, max_label=largest)[largest - 1]
    local = _centre(errors[box] == largest)
    z, y, x = (int(v) + s.start for v, s in zip(local, box, strict=True))
    position = (float(z + lower[0]), float(y + lower[1]), float(x + lower[2]))
    return Point(position, positive=bool(inside[z, y, x]))


def _centre(component: BoolArray) -> tuple[int, ...]:
    padding = np.maximum((np.array(component.shape) * _PADDING).astype(int), 1)
    padded = np.pad(component, [(int(p), int(p)) for p in padding])
    step = 2 if padded.size > _DOWNSAMPLE_ABOVE else 1
    reduced = block_reduce(padded, (step, step, step), np.max) if step > 1 else padded
    distance = ndimage.distance_transform_edt(reduced)
    cells = np.argwhere(distance == distance.max()) * step
    # A cell that counts holds at least one voxel of the error: only those can be clicked.
    corners = np.stack(np.meshgrid(*[np.arange(step)] * 3, indexing="ij"), axis=-1).reshape(1, -1, 3)
    voxels = (cells[:, None] + corners).reshape(-1, 3) - padding
    voxels = voxels[np.all((voxels >= 0) & (voxels < component.shape), axis=1)]
    voxels = voxels[component[tuple(voxels.T)]]
    voxels = voxels[np.lexsort(voxels.T[::-1])]
    # The challenge draws with numpy's legacy generator; any other would click elsewhere.
    chosen = voxels[np.random.RandomState(_SEED).choice(len(voxels))]
    return tuple(chosen.tolist())
