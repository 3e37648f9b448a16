"""What a correction may change: what lies near its mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from napari_medsam.engine.prompts import Point, Prompt, Scribble
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact.answer import replaced
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

        So it may after the first marks, and in a picture without a hint of the object's size: four marks there do not
        settle it. ``known`` is the extent in voxel edges of the mask and of all that was marked as inside.
        """
        newest = prompts[-1]
        marks = sum(isinstance(prompt, Point | Scribble) for prompt in prompts)
        is_sized = marks < len(prompts)
        if not (previous and isinstance(newest, Point | Scribble)):
            return None
        if marks < (_MARKS_TO_SETTLE if is_sized else _MORE_MARKS_TO_SETTLE) or (shape[0] == 1 and not is_sized):
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
