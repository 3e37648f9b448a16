"""What a correction says: what may change, what is missing, what is wrong altogether."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import KDTree

from napari_medsam.engine.prompts import Point, Prompt, Scribble
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact.answer import Look, replaced
from napari_medsam.engine.segmenters.compact.zoom import Extent
from napari_medsam.engine.volume import Index3, Vec3, index3

_DEPTHS = 6.0
"""How far a correction changes a mask, relative to the distance of its mark from the mask's border.

People mark an error in its middle: the error is at least as far across as the mark is deep in it, and often longer.
"""

_WIDEST = 0.4
"""The same at most, relative to the diagonal of all that is known of the object: in one of a few voxels every mark is
deep."""

_MARKS_TO_SETTLE, _MORE_MARKS_TO_SETTLE = 2, 4
"""The marks from which on corrections are bounded, with something else given that says how large the object is and
without: the first ones may change everything."""

MIDDLE = 0.85
"""How deep a mark is in the middle of a mask, relative to the deepest voxel of the mask."""

_THIN = 2.0
"""Voxels to the border from the deepest of a mask in which no place is more in the middle than others."""

_BESIDE = 3.5
"""How far beside a mask a click may lie and mean the same piece of the object, relative to the depth of the mask."""

_CELLS_TO_MEASURE = 64
"""Voxels a side of the mask at most, over which its deepest is looked for; every second or third where it has more."""

_FIRST_ROOM = 8
"""Voxels round a mark that are searched for the mask's border first."""


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Where a correction may change a mask.

    Away from its mark a later answer is another opinion on what the user has seen and left as it was; docs/model.md
    says how often it is wrong.

    Parameters
    ----------
    gesture : Region
        The mark.
    reach : float
        Millimetres from it within which the mask may change.
    spacing : tuple of float
        Millimetres per voxel ``(z, y, x)``.
    """

    gesture: Region
    reach: float
    spacing: Vec3

    @classmethod
    def of(
        cls, previous: Region, prompts: Sequence[Prompt], known: Extent, shape: Index3, spacing: Vec3
    ) -> Neighbourhood | None:
        """That of the newest of an object's prompts; None where the whole mask may change.

        So it may until the object is settled. ``known`` is the extent in voxel edges of the mask and of all that was
        marked as inside.
        """
        newest = prompts[-1]
        if not (previous and isinstance(newest, Point | Scribble) and _is_settled(prompts, shape)):
            return None
        gesture = newest.region(shape)
        widest = _WIDEST * float(np.linalg.norm((known[1] - known[0]) * spacing))
        depth = depth_of(gesture, newest.positive, previous, shape, spacing, widest / _DEPTHS)
        return cls(gesture, _DEPTHS * depth, spacing)

    @property
    def extent(self) -> Extent:
        """Voxel edges ``(z, y, x)`` of the box round it."""
        room = self.reach / np.asarray(self.spacing)
        return np.subtract(self.gesture.lower, room), np.add(self.gesture.upper, room)

    def bounded(self, previous: Region, answer: Region) -> Region:
        """The answer in here, the previous mask everywhere else."""
        both = [region for region in (previous, answer) if region]
        low, high = self.extent
        lower = index3(np.maximum(np.floor(low), np.min([region.lower for region in both], axis=0)))
        upper = index3(np.minimum(np.ceil(high), np.max([region.upper for region in both], axis=0)))
        if np.any(np.less_equal(upper, lower)):
            return previous
        before, after = previous.inside(lower, upper), answer.inside(lower, upper)
        changed = np.argwhere(before != after)
        marked = np.argwhere(self.gesture.voxels) + np.subtract(self.gesture.lower, lower)
        tree = KDTree(marked * self.spacing)
        distance, _ = tree.query(changed * self.spacing, distance_upper_bound=np.nextafter(self.reach, np.inf))
        kept = tuple(changed[np.isinf(distance)].T)  # infinite: beyond the bound
        after[kept] = before[kept]
        return replaced(previous, Region.of(after, lower), lower, upper)


def depth_of(gesture: Region, positive: bool, mask: Region, shape: Index3, spacing: Vec3, most: float) -> float:
    """Millimetres from a mark's deepest voxel to the border of the mask that it says is wrong, or ``most`` if more.

    From its nearest voxel where the mask is right all along it.
    """
    room = min(_FIRST_ROOM * min(spacing), most)
    while True:
        voxels = np.ceil(room / np.asarray(spacing)).astype(int)
        lower = index3(np.maximum(np.subtract(gesture.lower, voxels), 0))
        upper = index3(np.minimum(np.add(gesture.upper, voxels), shape))
        place = tuple(slice(a - o, b - o) for a, b, o in zip(gesture.lower, gesture.upper, lower, strict=True))
        wrong = mask.inside(lower, upper) != positive
        is_right = not wrong[place][gesture.voxels].any()
        side = ~wrong if is_right else wrong
        if not side.all():
            distances = ndimage.distance_transform_edt(side, sampling=spacing)[place][gesture.voxels]
            depth = float(distances.min() if is_right else distances.max())
            if depth <= room:
                return depth
        if room == most:
            return most
        room = min(2 * room, most)


def missing_round(prompts: Sequence[Prompt], previous: Region, shape: Index3, spacing: Vec3) -> Extent | None:
    """Voxel edges of what a picture's mask likely misses round the newest mark; None where it says nothing of that.

    A click inside the object, beside the mask, lies in the middle of an error that goes on beyond it as far as the mask
    is away: the object is larger than all that is known of it. Where anything but clicks was given, its size is known
    better. In volumes it is not larger on all sides (a cord goes on along one), see docs/model-history.md.
    """
    newest = prompts[-1]
    if shape[0] > 1 or not previous or not all(isinstance(prompt, Point) for prompt in prompts) or not newest.positive:
        return None
    gesture = newest.region(shape)
    if previous.inside(gesture.lower, gesture.upper)[gesture.voxels].any():
        return None
    widest = float(np.multiply(shape, spacing)[1:].max()) / 2
    room = depth_of(gesture, True, previous, shape, spacing, widest) / np.asarray(spacing)
    room[0] = 0
    return np.maximum(np.subtract(gesture.lower, room), 0), np.minimum(np.add(gesture.upper, room), shape)


def _is_settled(prompts: Sequence[Prompt], shape: Index3) -> bool:
    """Whether an object was marked often enough for corrections to be local.

    In a picture without a hint of the object's size it never was: four marks there do not settle it.
    """
    marks = sum(isinstance(prompt, Point | Scribble) for prompt in prompts)
    if marks < len(prompts):
        return marks >= _MARKS_TO_SETTLE
    return marks >= _MORE_MARKS_TO_SETTLE and shape[0] > 1


def strikes_middle(prompts: Sequence[Prompt], mask: Region, shape: Index3, spacing: Vec3) -> bool:
    """Whether the newest mark says "not this" of the middle of a mask that is not settled.

    Then little of the mask is right, see docs/model.md. The end of the image is the end of the mask, too: people see no
    farther.
    """
    newest = prompts[-1]
    if not (mask and isinstance(newest, Point | Scribble)) or newest.positive or _is_settled(prompts, shape):
        return False
    gesture = newest.region(shape)
    denied = np.argwhere(gesture.voxels) + np.subtract(gesture.lower, mask.lower)
    denied = denied[np.all((denied >= 0) & (denied < mask.voxels.shape), axis=1)]
    depths, stride = _sparse_depths(mask, shape, spacing)
    deepest = depths.max()
    at = denied // stride
    return bool(deepest > _THIN * min(spacing) and (depths[tuple(at.T)] >= MIDDLE * deepest).any())


def ignores_newest(look: Look, clicked: Sequence[Index3], previous: Region, shape: Index3, spacing: Vec3) -> bool:
    """Whether the newest of ``clicked`` voxels inside an object, close beside the mask so far, did not make it grow.

    What is there in the look at both is a piece of its own. Then the mask is of something smaller than the object, and
    further clicks would be looked at in patches of that size, too. Far from the mask it may be another piece indeed,
    and so may it where several clicks have been given. In a picture the next look reaches farther anyway
    (`missing_round`).
    """
    if not previous or shape[0] == 1 or not 2 <= len(clicked) < _MORE_MARKS_TO_SETTLE:
        return False
    is_reached = any(look.holds_together([other, clicked[-1]]) for other in clicked[:-1])
    if is_reached or not look.pieces_at(clicked[-1:]):
        return False
    most = _BESIDE * float(_sparse_depths(previous, shape, spacing)[0].max())
    newest = Region(clicked[-1], np.ones((1, 1, 1), dtype=bool))
    return depth_of(newest, True, previous, shape, spacing, most) < most


def _sparse_depths(mask: Region, shape: Index3, spacing: Vec3) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Millimetres to the border of every n-th voxel of a mask; and n along each axis."""
    stride = np.array([-(-n // _CELLS_TO_MEASURE) for n in mask.voxels.shape])
    sparse = mask.voxels[tuple(slice(None, None, n) for n in stride)]
    rims = [(1, 1) if n > 1 else (0, 0) for n in shape]
    depths = ndimage.distance_transform_edt(np.pad(sparse, rims), sampling=np.multiply(stride, spacing))
    inside = tuple(slice(rim, n + rim) for (rim, _), n in zip(rims, sparse.shape, strict=True))
    return depths[inside], stride
