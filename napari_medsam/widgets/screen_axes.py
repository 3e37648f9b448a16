"""How the axes of an image lie on the screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_medsam.engine.volume import Index3, Vec3
from napari_medsam.widgets.layer_grid import LayerGrid

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


@dataclass(frozen=True)
class ScreenAxes:
    """What a viewer does with the axes ``(z, y, x)`` of an image layer to show its slices.

    Parameters
    ----------
    order : tuple of int
        The three axes: of the two of a slice the one that comes first here is vertical.
    steps : tuple of float
        From voxel to voxel along ``(z, y, x)`` in the world, negative where the world's axis runs the other way. A 2D
        layer has none along z.
    upwards : bool
        Whether the vertical axis of the world runs up, not down.
    leftwards : bool
        Whether the horizontal axis of the world runs left, not right.
    """

    order: Index3
    steps: Vec3
    upwards: bool = False
    leftwards: bool = False

    @classmethod
    def of(cls, viewer: ViewerModel, image: Image, grid: LayerGrid) -> ScreenAxes:
        """As a viewer shows a layer now."""
        shown = [axis - viewer.dims.ndim + 3 for axis in viewer.dims.order]
        # An axis that the viewer has not, or a frame, is first as it is never one of a slice.
        order = (*(axis for axis in range(3) if axis not in shown), *(axis for axis in shown if axis >= 0))
        corners = grid.coordinates(0, [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
        world = np.array([image.data_to_world(corner) for corner in corners])
        moves = (world[1:] - world[0])[:, -3:]
        along = np.zeros(3)
        along[3 - moves.shape[1] :] = moves[3 - moves.shape[1] :].diagonal()
        z, y, x = np.where(along < 0, -1.0, 1.0) * np.linalg.norm(moves, axis=1)
        vertical, horizontal = viewer.scene.camera.orientation2d
        return cls((order[0], order[1], order[2]), (z, y, x), vertical == "up", horizontal == "left")

    def of_slice(self, axis: int) -> tuple[int, int]:
        """The vertical and the horizontal axis of slices across ``axis``."""
        vertical, horizontal = (other for other in self.order if other != axis)
        return vertical, horizontal
