"""Prompts as napari layers: points in one, boxes, scribbles and lassos in another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_medsam.engine.prompts import Box, Lasso, Point, Prompt, Scribble
from napari_medsam.engine.volume import FloatArray
from napari_medsam.widgets.layer_family import add_on_top, drop, holds, placement_of
from napari_medsam.widgets.layer_grid import LayerGrid
from napari_medsam.widgets.tools import Tool

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Points, Shapes

POSITIVE = (0, 177, 12)
NEGATIVE = (211, 7, 0)
CONSUMED = 0.6
"""Prompts that were answered are drawn this much darker than those that wait."""

POINT_SIZE = 2.0
FILL_OPACITY = 0.3
_LINE_WIDTH = 0.7


@dataclass(frozen=True)
class ShownPrompt:
    """A prompt and whether it still waits for an answer."""

    prompt: Prompt
    pending: bool

    @property
    def colour(self) -> FloatArray:
        """RGBA in [0, 1] of points and lines."""
        rgb = np.array(POSITIVE if self.prompt.positive else NEGATIVE) / 255
        return np.append(rgb if self.pending else rgb * CONSUMED, 1.0)

    @property
    def fill(self) -> FloatArray:
        """RGBA in [0, 1] of areas; clear once answered, when the mask is what there is to see."""
        return np.append(self.colour[:3], FILL_OPACITY if self.pending else 0.0)


@dataclass(frozen=True)
class Slice:
    """The displayed plane: slice ``level`` along ``axis`` of ``(z, y, x)``."""

    axis: int
    level: int


@dataclass(frozen=True)
class Outline:
    """One shape of a shapes layer, in voxel coordinates."""

    kind: str
    vertices: FloatArray
    width: float = _LINE_WIDTH


class PromptLayers:
    """Shows the prompts of one object in one frame.

    The layers are made when first needed, and again for the next prompt if the user removes one.

    Parameters
    ----------
    viewer : napari.Viewer
    image : napari.layers.Image
        The layer that is prompted.
    grid : LayerGrid
        Of that layer.
    """

    def __init__(self, viewer: ViewerModel, image: Image, grid: LayerGrid) -> None:
        self._viewer = viewer
        self._image = image
        self._grid = grid
        self._points: Points | None = None
        self._shapes: Shapes | None = None
        self._drawn: object = None
        self._is_adding = False

    @property
    def points(self) -> Points | None:
        """The layer with the points, where there is one."""
        return self._points if holds(self._viewer, self._points) else None

    @property
    def shapes(self) -> Shapes | None:
        """The layer with everything that is not a point, where there is one."""
        return self._shapes if holds(self._viewer, self._shapes) else None

    def show(self, frame: int, prompts: Sequence[ShownPrompt], plane: Slice | None) -> None:
        """Draw exactly these prompts of ``frame``; ``plane`` is None when the viewer shows 3D.

        Layers that are missing are made.
        """
        if self._is_adding:
            # A new layer can make the viewer show another place, which asks for prompts before the layer is there.
            return
        for shown in prompts:
            self.need(Tool.POINT if isinstance(shown.prompt, Point) else Tool.BOX)
        self.redraw(frame, prompts, plane)

    def lacks(self, tool: Tool) -> bool:
        """Whether the layer that shows what a tool draws is missing."""
        return (self.points if tool is Tool.POINT else self.shapes) is None

    def need(self, tool: Tool) -> None:
        """Make the layer that shows what a tool draws if it is missing: napari takes a fifth of a second for that."""
        if self._is_adding or not self.lacks(tool):
            return
        if tool is Tool.POINT:
            self._points = self._new_points()
            self._add(self._points)
        else:
            self._shapes, self._drawn = self._new_shapes(), None
            self._add(self._shapes)

    def redraw(self, frame: int, prompts: Sequence[ShownPrompt], plane: Slice | None) -> None:
        """As `show`, in the layers that are there.

        A 3D box has no single slice to lie in: its outline in the displayed one is drawn, so this is called whenever
        another slice is shown.
        """
        self._show_points(frame, [p for p in prompts if isinstance(p.prompt, Point)])
        self._show_shapes(frame, [p for p in prompts if not isinstance(p.prompt, Point)], plane)

    def remove(self) -> None:
        """Take both layers out of the viewer."""
        drop(self._viewer, self._points)
        drop(self._viewer, self._shapes)
        self._points = self._shapes = None
        self._drawn = None

    def _show_points(self, frame: int, shown: Sequence[ShownPrompt]) -> None:
        layer = self.points
        if layer is None:
            return
        positions = [p.prompt.position for p in shown if isinstance(p.prompt, Point)]
        data = self._grid.coordinates(frame, np.round(np.reshape(positions, (-1, 3))))
        colours = np.array([p.colour for p in shown]).reshape(-1, 4)
        if np.array_equal(layer.data, data) and np.array_equal(layer.face_color, colours):
            return
        with self._quietly(layer):
            layer.data = data
            if len(data):
                layer.face_color = colours
                layer.size = POINT_SIZE
                layer.border_width = 0
                layer.selected_data = set()

    def _show_shapes(self, frame: int, shown: Sequence[ShownPrompt], plane: Slice | None) -> None:
        drawn = [(outline, p) for p in shown for outline in outlines(p.prompt, plane)]
        state = (frame, [(o.kind, o.vertices.tolist(), p.pending, p.prompt.positive) for o, p in drawn])
        layer = self.shapes
        if layer is None or state == self._drawn:
            return
        self._drawn = state
        with self._quietly(layer), layer.block_thumbnail_update():
            if layer.nshapes:
                layer.data = []
            if drawn:
                layer.add(
                    [self._grid.coordinates(frame, o.vertices) for o, _ in drawn],
                    shape_type=[o.kind for o, _ in drawn],
                    edge_width=[o.width for o, _ in drawn],
                    edge_color=np.array([p.colour for _, p in drawn]),
                    face_color=np.array([p.fill for _, p in drawn]),
                )
                layer.selected_data = set()

    @contextmanager
    def _quietly(self, layer: Points | Shapes) -> Iterator[None]:
        """Change a layer without the events that have napari work for nothing, and hold up the mouse.

        At every one of some dozens the views of the list of layers paint all their rows anew. At each change of the
        data the viewer reckons the range of its sliders, which prompts lie within; at each of the highlight, which
        these layers never have, vispy builds a shader.
        """
        mine = layer.events
        with self._viewer.layers.events.blocker_all(), mine.data.blocker(), mine.highlight.blocker():
            yield

    def _new_points(self) -> Points:
        from napari.layers import Points

        return Points(ndim=self._grid.ndim, name=f"{self._image.name}: points", **placement_of(self._image))

    def _new_shapes(self) -> Shapes:
        from napari.layers import Shapes

        name = f"{self._image.name}: outlines"
        return Shapes(ndim=self._grid.ndim, name=name, opacity=1.0, **placement_of(self._image))

    def _add(self, layer: Points | Shapes) -> None:
        self._is_adding = True
        try:
            add_on_top(self._viewer, layer, self._image)
        finally:
            self._is_adding = False
        layer.editable = False


def outlines(prompt: Prompt, plane: Slice | None) -> Iterable[Outline]:
    """What of a prompt is seen in a slice, or in 3D when ``plane`` is None."""
    match prompt:
        case Box():
            yield from _box_outlines(prompt, plane)
        case Scribble():
            path = np.asarray(prompt.path)
            if _lies_in(path, plane):
                if len(path) == 1:
                    path = np.repeat(path, 2, axis=0)
                yield Outline("path", path, 2 * prompt.radius + 1)
        case Lasso():
            polygon = np.asarray(prompt.polygon)
            if _lies_in(polygon, plane):
                yield Outline("polygon", polygon)


def _lies_in(path: FloatArray, plane: Slice | None) -> bool:
    return plane is None or bool(np.all(np.floor(path[:, plane.axis] + 0.5) == plane.level))


def _box_outlines(box: Box, plane: Slice | None) -> Iterable[Outline]:
    lower, upper = np.subtract(box.lower, 0.5), np.subtract(box.upper, 0.5)
    if plane is not None:
        if box.lower[plane.axis] <= plane.level < box.upper[plane.axis]:
            yield Outline("rectangle", _rectangle(lower, upper, plane.axis, plane.level))
        return
    for axis in range(3):
        yield Outline("rectangle", _rectangle(lower, upper, axis, lower[axis]))
        yield Outline("rectangle", _rectangle(lower, upper, axis, upper[axis]))


def _rectangle(lower: FloatArray, upper: FloatArray, axis: int, level: float) -> FloatArray:
    first, second = (a for a in range(3) if a != axis)
    corners = np.full((4, 3), float(level))
    corners[:, first] = lower[first], lower[first], upper[first], upper[first]
    corners[:, second] = lower[second], upper[second], upper[second], lower[second]
    return corners
