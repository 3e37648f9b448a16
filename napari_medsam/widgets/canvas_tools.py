"""The mouse on the canvas: turns presses and drags over an image layer into strokes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_medsam.engine.errors import MedSamError
from napari_medsam.widgets.layer_grid import LayerGrid, Spot
from napari_medsam.widgets.sketch import CanvasMap
from napari_medsam.widgets.strokes import Stroke
from napari_medsam.widgets.tools import Tool

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

_LEFT = 1
_CLICK_PIXELS = 4
"""A press that moves further than this before its release moves the picture and is no click."""


class CanvasTools:
    """Listens to the mouse of a viewer while a tool is chosen; without one, napari behaves as ever.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    stroke_changed = Signal(Stroke, CanvasMap)
    """While drawing: the stroke so far, and where it lies on the canvas."""
    stroke_finished = Signal(int, Stroke, bool)
    """The frame, the stroke, and whether Shift was held: join it to the last box."""
    refused = Signal(MedSamError)
    """The mouse was pressed where no prompt can be placed."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._image: Image | None = None
        self._grid: LayerGrid | None = None
        self._tool: Tool | None = None
        self._double_click: list[Any] = []
        self.positive = True
        viewer.mouse_drag_callbacks.append(self._on_drag)

    def close(self) -> None:
        """Stop listening."""
        self.set_tool(None)
        self._viewer.mouse_drag_callbacks.remove(self._on_drag)

    def set_image(self, image: Image | None, grid: LayerGrid | None) -> None:
        """Choose the layer that is drawn on."""
        self._image, self._grid = image, grid

    def set_tool(self, tool: Tool | None) -> None:
        """Choose what the left button draws; None leaves it to napari."""
        if (tool is None) != (self._tool is None):
            self._swap_double_click()
        self._tool = tool
        if tool is not None and self._image is not None:
            self._viewer.layers.selection.active = self._image
            self._image.mode = "pan_zoom"
            self._viewer.cursor.style = "crosshair"
        else:
            self._viewer.cursor.style = "standard"

    def spot(self, world: Any = None) -> Spot:
        """The place at a world position, or at the viewer's displayed slice.

        Raises
        ------
        MedSamError
            If no image is chosen or no slice of it is shown.
        """
        assert self._image is not None
        assert self._grid is not None
        position = self._viewer.dims.point if world is None else world
        extra = self._viewer.dims.ndim - self._grid.ndim
        displayed = [axis - extra for axis in self._viewer.dims.displayed]
        return self._grid.spot(self._image.world_to_data(position), displayed)

    def frame(self) -> int:
        """The frame that the viewer shows of a 4D image; the nearest one if it shows another place."""
        assert self._image is not None
        assert self._grid is not None
        coordinate = self._image.world_to_data(self._viewer.dims.point)
        return int(np.clip(np.round(coordinate[0]), 0, self._grid.frames - 1))

    def _swap_double_click(self) -> None:
        # A quick second click would zoom; while a tool is chosen it is a second click.
        callbacks = self._viewer.mouse_double_click_callbacks
        callbacks[:], self._double_click = self._double_click, list(callbacks)

    def _on_drag(self, _viewer: object, event: Any) -> Iterator[None]:
        tool = self._tool
        active = self._viewer.layers.selection.active
        if (
            tool is None
            or self._image is None
            or event.button != _LEFT
            or "Alt" in event.modifiers
            # A layer in one of napari's own drawing modes: the user is painting there.
            or (active is not None and active.mode != "pan_zoom")
        ):
            return
        try:
            spot = self.spot(event.position)
        except MedSamError as error:
            self.refused.emit(error)
            return
        stroke = Stroke(tool, spot.axis, self.positive, [spot.position])
        if tool is Tool.POINT:
            yield from self._click(event, spot, stroke)
        else:
            yield from self._draw(event, spot, stroke)

    def _click(self, event: Any, spot: Spot, stroke: Stroke) -> Iterator[None]:
        pressed = np.asarray(event.pos)
        moved = False
        yield
        while event.type == "mouse_move":
            moved = moved or bool(np.abs(np.asarray(event.pos) - pressed).max() > _CLICK_PIXELS)
            yield
        if not moved:
            self.stroke_finished.emit(spot.frame, stroke, False)

    def _draw(self, event: Any, spot: Spot, stroke: Stroke) -> Iterator[None]:
        event.handled = True
        join = "Shift" in event.modifiers
        yield
        while event.type == "mouse_move":
            event.handled = True
            if self._follow(event, spot, stroke):
                assert self._image is not None
                self.stroke_changed.emit(stroke, CanvasMap.at(self._viewer, self._image, event))
            yield
        event.handled = True
        self._follow(event, spot, stroke)
        self.stroke_finished.emit(spot.frame, stroke, join)

    def _follow(self, event: Any, start: Spot, stroke: Stroke) -> bool:
        try:
            spot = self.spot(event.position)
        except MedSamError:
            return False
        # The slice can be scrolled during a drag; the stroke stays in the slice where it began.
        z, y, x = (float(start.level) if a == start.axis else c for a, c in enumerate(spot.position))
        return spot.axis == start.axis and stroke.add((z, y, x))
