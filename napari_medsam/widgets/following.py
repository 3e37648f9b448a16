"""Shows a propagation while it runs: each slice as it is answered, the displayed one going along."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer

from napari_medsam.widgets.prompt_layers import Slice

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_medsam.widgets.layer_grid import LayerGrid

_STEP = 0.1
"""Least seconds between two slices shown: faster than an eye follows."""

_REST = 3
"""Times as long as showing one takes, where that is longer: the window is to have time for its user."""


class Following:
    """Scrolls with a propagation as long as the user does not scroll, and back to where it began.

    It scrolls in a turn of the event loop of its own: what else there is to do when a slice is answered, or the
    propagation ends, does not add up with it to one long stall, and two scrolls in a row become one.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._home: Slice | None = None
        self._shown: Slice | None = None
        self._next = 0.0
        self._wanted: tuple[Image, LayerGrid, Slice] | None = None

    @property
    def is_on(self) -> bool:
        """Whether the displayed slice is the propagation's, not the user's."""
        return self._home is not None

    def begin(self, plane: Slice | None) -> None:
        """Follow from this slice; None, which is 3D, is not followed."""
        self._home = self._shown = plane

    def look(self, plane: Slice | None) -> None:
        """Say what is displayed: where the user has scrolled to another slice, it is left there."""
        if plane != self._shown:
            self.stop()

    def stop(self) -> None:
        """Leave the displayed slice to the user."""
        self._home = self._wanted = None

    def show(self, image: Image, grid: LayerGrid, index: int) -> None:
        """Scroll to a slice that was answered."""
        if self._home is not None and time.monotonic() >= self._next:
            self._scroll_soon(image, grid, Slice(self._home.axis, index))

    def end(self, image: Image, grid: LayerGrid) -> bool:
        """Scroll back; False where that slice is displayed already, or where the user has scrolled away."""
        home = self._home
        self.stop()
        if home is None or home == self._shown:
            return False
        self._scroll_soon(image, grid, home)
        return True

    def _scroll_soon(self, image: Image, grid: LayerGrid, plane: Slice) -> None:
        if self._wanted is None:
            QTimer.singleShot(0, self._scroll)
        self._wanted = image, grid, plane

    def _scroll(self) -> None:
        if self._wanted is None:
            return
        begun = time.monotonic()
        image, grid, plane = self._wanted
        self._wanted = None
        self._shown = plane
        axis = plane.axis + grid.ndim - 3
        point = list(image.world_to_data(self._viewer.dims.point))
        point[axis] = plane.level
        place = axis + self._viewer.dims.ndim - grid.ndim
        self._viewer.dims.set_point(place, image.data_to_world(point)[axis])
        now = time.monotonic()
        self._next = now + max(_STEP, _REST * (now - begun))
