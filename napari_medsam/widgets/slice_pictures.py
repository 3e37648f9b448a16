"""Small pictures of slices with their masks, shown beside the viewer while masks are propagated."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.session import Session
from napari_medsam.engine.window import Window
from napari_medsam.widgets.result_layer import OPACITY
from napari_medsam.widgets.screen_axes import ScreenAxes

WIDTH, HEIGHT = 170, 144
"""Pixels of a picture at most: what has room beside the status line of a panel of the usual width."""

_PAUSE = 0.1
"""Least seconds between two pictures: faster than an eye follows."""

Picture = npt.NDArray[np.uint8]
"""``(rows, columns, 3)``: red, green and blue."""


class SlicePictures:
    """Paints slices upright and in proportion, as the viewer shows them; for the engine thread.

    Parameters
    ----------
    screen : ScreenAxes
        How they lie there.
    window : callable
        The intensities shown at the moment; not asked for colour images.
    """

    def __init__(self, screen: ScreenAxes, window: Callable[[], Window]) -> None:
        self._screen = screen
        self._window = window
        self._next = 0.0

    def next(self, session: Session, axis: int, index: int, labels: npt.NDArray[np.uint16]) -> Picture | None:
        """A slice as `paint` has it; None sooner than 0.1 s after the last one."""
        if time.monotonic() < self._next:
            return None
        picture = self.paint(session, axis, index, labels)
        self._next = time.monotonic() + _PAUSE
        return picture

    def paint(self, session: Session, axis: int, index: int, labels: npt.NDArray[np.uint16]) -> Picture:
        """Slice ``index`` along ``axis`` with its labels, an array one voxel thick, in the colours of the objects."""
        vertical, horizontal = self._screen.of_slice(axis)
        shape, steps = session.volume.shape, self._screen.steps
        tall, wide = shape[vertical] * abs(steps[vertical]), shape[horizontal] * abs(steps[horizontal])
        scale = min(HEIGHT / tall, WIDTH / wide)
        rows = _nearest(shape[vertical], tall * scale, back=(steps[vertical] < 0) != self._screen.upwards)
        columns = _nearest(shape[horizontal], wide * scale, back=(steps[horizontal] < 0) != self._screen.leftwards)
        # Voxels are picked before anything is copied: of a large slice few are looked at.
        place: list[int | npt.NDArray[np.intp]] = [index] * 3
        place[vertical], place[horizontal] = rows[:, None], columns
        voxels = session.volume.data[tuple(place)]
        place[axis] = 0
        values = labels[tuple(place)]
        grey = voxels if session.volume.is_colour else 255 * self._window().apply(voxels)[..., None]
        painted = np.array(np.broadcast_to(grey, (*values.shape, 3)), dtype=np.float32)
        for item in session.objects:
            inside = values == item.id
            painted[inside] += OPACITY * (np.array(item.colour, dtype=np.float32) - painted[inside])
        return np.rint(painted).astype(np.uint8)


def _nearest(voxels: int, pixels: float, *, back: bool) -> npt.NDArray[np.intp]:
    """The voxel under the middle of each pixel."""
    number = max(1, round(pixels))
    indices = ((np.arange(number) + 0.5) * voxels / number).astype(np.intp)
    return indices[::-1] if back else indices
