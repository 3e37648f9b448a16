"""What one press, drag and release of the mouse means: pure geometry in voxel coordinates, no window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_medsam.engine.errors import PromptError
from napari_medsam.engine.prompts import Box, Lasso, Point, Prompt, Scribble
from napari_medsam.engine.volume import Index3, Vec3
from napari_medsam.widgets.tools import Tool

SCRIBBLE_RADIUS = 1.0
"""Radius of a scribble in voxels: three voxels wide, thick enough to see and thin enough to follow a vessel."""

MIN_STEP = 0.5
"""Voxels between two kept positions of a drag; a finer path touches no other voxel."""


@dataclass
class Stroke:
    """The path of one drag.

    Parameters
    ----------
    tool : Tool
        What is drawn.
    axis : int
        Axis of ``(z, y, x)`` across the displayed plane.
    positive : bool
        Whether the prompt includes or excludes.
    path : list of tuple
        Positions ``(z, y, x)`` so far, all with the same coordinate along ``axis``.
    """

    tool: Tool
    axis: int
    positive: bool
    path: list[Vec3] = field(default_factory=list)

    def add(self, position: Vec3) -> bool:
        """Lengthen the stroke; whether the position was far enough from the last one to matter."""
        if self.path and np.abs(np.subtract(position, self.path[-1])).max() < MIN_STEP:
            return False
        self.path.append(position)
        return True

    def prompt(self, shape: Index3) -> Prompt:
        """The finished prompt, checked against an image of ``shape`` voxels.

        Raises
        ------
        PromptError
            If it touches no voxel of the image, or is too short to be what the tool draws.
        """
        prompt: Prompt
        match self.tool:
            case Tool.POINT:
                prompt = Point(self.path[0], positive=self.positive)
            case Tool.BOX:
                return self._box(shape)
            case Tool.SCRIBBLE:
                prompt = Scribble(tuple(self.path), SCRIBBLE_RADIUS, positive=self.positive)
            case Tool.LASSO:
                if len(self.path) < 3:
                    raise PromptError("Hold the mouse button and draw around the object for a lasso.")
                prompt = Lasso(tuple(self.path), self.axis, positive=self.positive)
        prompt.region(shape)
        return prompt

    def _box(self, shape: Index3) -> Box:
        box = box_around((self.path[0], self.path[-1]), positive=self.positive)
        if sum(u - low > 1 for low, u in zip(box.lower, box.upper, strict=True)) == 0:
            raise PromptError("Hold the mouse button and drag from corner to corner for a box.")
        return box.clipped(shape)


def box_around(positions: Sequence[Vec3], *, positive: bool = True) -> Box:
    """The smallest box that holds the voxels at the ``positions``."""
    voxels = np.floor(np.asarray(positions, dtype=np.float64) + 0.5).astype(int)
    z0, y0, x0 = voxels.min(axis=0).tolist()
    z1, y1, x1 = (voxels.max(axis=0) + 1).tolist()
    return Box((z0, y0, x0), (z1, y1, x1), positive=positive)


def extended_to(box: Box, axis: int, level: int) -> Box:
    """``box`` stretched along ``axis`` so that it reaches the slice ``level``."""
    return united(box, Box(_replaced(box.lower, axis, level), _replaced(box.upper, axis, level + 1)))


def united(first: Box, second: Box) -> Box:
    """The smallest box that holds both, with the polarity of the first."""
    z0, y0, x0 = np.minimum(first.lower, second.lower).tolist()
    z1, y1, x1 = np.maximum(first.upper, second.upper).tolist()
    return Box((z0, y0, x0), (z1, y1, x1), positive=first.positive)


def _replaced(index: Index3, axis: int, value: int) -> Index3:
    z, y, x = (value if a == axis else v for a, v in enumerate(index))
    return z, y, x
