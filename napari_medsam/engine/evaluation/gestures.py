"""Strokes, lassos and masks as people give them, drawn from the truth in the slice that shows most of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.graph import MCP
from skimage.measure import approximate_polygon, find_contours
from skimage.morphology import skeletonize

from napari_medsam.engine import masks
from napari_medsam.engine.evaluation.users import next_click
from napari_medsam.engine.prompts import Lasso, MaskPrompt, Scribble
from napari_medsam.engine.region import BoolArray, Region
from napari_medsam.engine.volume import Index3, Vec3

_PATH_STEP = 3
"""Voxels between the points of a stroke."""

_TRIM = 0.1
"""Share of the centre line left out at either end: nobody draws up to the very tip."""

_BESIDE = 0.12
"""How far outside a negative stroke runs, relative to the longer side of the structure in the slice."""

_LASSO_TOLERANCE = 1.0
"""Voxels by which a lasso, drawn with few corners, leaves the outline."""


def centre_stroke(truth: Region) -> Scribble:
    """A stroke along the centre line of the structure in its largest slice; the structure must not be empty."""
    level, mask = largest_slice(truth)
    return Scribble(_placed(_centre_line(mask), level, truth.lower))


def stroke_beside(truth: Region, shape: Index3) -> Scribble | None:
    """A negative stroke half round the structure in its largest slice; None where it fills the slice."""
    level, mask = largest_slice(truth)
    gap = max(2.0, _BESIDE * max(mask.shape))
    margin = int(np.ceil(gap)) + 2
    distance = ndimage.distance_transform_edt(~np.pad(mask, margin))
    ring = max(find_contours(distance, gap), key=len) - margin
    half = ring[: max(1, len(ring) // 2) : _PATH_STEP]
    places = half + truth.lower[1:]
    inside = np.all((places >= 0) & (places <= np.subtract(shape[1:], 1)), axis=1)
    return Scribble(_placed(half[inside], level, truth.lower), positive=False) if inside.any() else None


def stroke_in_error(truth: Region, answer: Region) -> Scribble | None:
    """A stroke along the centre line of the largest error, in the slice a click would be given in.

    Positive where the structure was missed, negative where too much was marked; None when nothing is wrong.
    """
    click = next_click(truth, answer)
    if click is None:
        return None
    z, y, x = click.voxel
    _, low, left = np.minimum(truth.lower, answer.lower if answer else truth.lower).tolist()
    _, high, right = np.maximum(truth.upper, answer.upper if answer else truth.upper).tolist()
    box = (z, low, left), (z + 1, high, right)
    marked, right_answer = answer.inside(*box)[0], truth.inside(*box)[0]
    pieces, _ = masks.label(right_answer & ~marked if click.positive else marked & ~right_answer)
    piece = pieces == pieces[y - low, x - left]
    return Scribble(_placed(_centre_line(piece), 0, box[0]), positive=click.positive)


def outline_lasso(truth: Region) -> Lasso:
    """A lasso along the outline of the structure's largest piece in its largest slice, with few corners."""
    level, mask = largest_slice(truth)
    outline = max(find_contours(np.pad(masks.keep_largest(mask), 1).astype(float), 0.5), key=len) - 1
    corners = approximate_polygon(outline, _LASSO_TOLERANCE)
    # A sliver loses its inside with its corners.
    return Lasso(_placed(corners if len(corners) > 4 else outline, level, truth.lower))


def spoilt_mask(truth: Region, shape: Index3) -> MaskPrompt:
    """The structure as an old label or another model may have it: shifted, swollen, shrunk or cut in half.

    Which of these, and which way, depends on the structure alone.
    """
    rng = np.random.default_rng([truth.count, *truth.lower])
    reach = np.maximum(1, np.round(0.12 * np.array(truth.voxels.shape))).astype(int) * (np.array(shape) > 1)
    z, y, x = (truth.lower - reach).tolist()
    lower: Index3 = (z, y, x)
    z, y, x = (truth.upper + reach).tolist()
    mask = truth.inside(lower, (z, y, x))
    kind = int(rng.integers(4))
    if kind == 0:
        spoilt = np.roll(mask, (reach * rng.choice([-1, 1], 3)).tolist(), (0, 1, 2))
    elif kind == 1:
        spoilt = ndimage.binary_dilation(mask, np.ones(2 * (reach // 2) + 1, dtype=bool))
    elif kind == 2:
        spoilt = ndimage.binary_erosion(mask, np.ones(2 * (reach // 2) + 1, dtype=bool))
    else:
        spoilt = mask.copy()
        axis = int(np.argmax(truth.voxels.shape))
        half = [slice(None)] * 3
        half[axis] = slice(0, mask.shape[axis] // 2)
        spoilt[tuple(half)] = False
    region = Region.of(Region(lower, spoilt).full(shape))
    return MaskPrompt(region if region else truth)


def largest_slice(region: Region) -> tuple[int, BoolArray]:
    """The slice ``(y, x)`` with most of the voxels, and its place in ``region.voxels``."""
    level = int(np.count_nonzero(region.voxels, axis=(1, 2)).argmax())
    return level, region.voxels[level]


def _centre_line(mask: BoolArray) -> npt.NDArray[np.float64]:
    """Points ``(n, 2)`` of the longest way along the skeleton of a mask, from one end to the other."""
    skeleton = skeletonize(mask)
    if not skeleton.any():
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        skeleton = depth == depth.max()
    costs = np.where(skeleton, 1.0, -1.0)  # negative: no way
    start = tuple(np.argwhere(skeleton)[0])
    for _ in range(2):  # the farthest from anywhere is an end, the farthest from there the other
        ways = MCP(costs)
        reached, _ = ways.find_costs([start])
        reached[~np.isfinite(reached)] = -1
        end = tuple(int(i) for i in np.unravel_index(int(reached.argmax()), reached.shape))
        line = np.array(ways.traceback(end), dtype=np.float64)
        start = end
    cut = int(_TRIM * len(line))
    return line[cut : len(line) - cut : _PATH_STEP]


def _placed(points: npt.NDArray[np.float64], level: int, lower: Index3) -> tuple[Vec3, ...]:
    """Volume coordinates of points ``(n, 2)`` in a slice of a box that starts at ``lower``."""
    return tuple((float(level + lower[0]), float(y + lower[1]), float(x + lower[2])) for y, x in points)
