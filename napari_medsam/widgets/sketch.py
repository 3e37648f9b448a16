"""The stroke that is being drawn, in pixels of the canvas.

It is painted over the canvas and not shown in a layer: with every change of a layer of shapes napari builds shaders
anew and paints the whole scene, where OpenGL is done by the processor a tenth of a second for each move of the mouse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.volume import FloatArray
from napari_medsam.widgets.layer_grid import LayerGrid
from napari_medsam.widgets.prompt_layers import ShownPrompt, Slice, outlines

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


@dataclass(frozen=True)
class SketchLine:
    """One line of a sketch.

    Parameters
    ----------
    pixels : numpy.ndarray
        ``(n, 2)`` positions ``(x, y)`` on the canvas.
    width : float
        In pixels.
    is_closed : bool
        Whether it ends where it begins, around a tinted inside.
    """

    pixels: FloatArray
    width: float
    is_closed: bool


@dataclass(frozen=True)
class Sketch:
    """What is painted over the canvas: lines of one colour, RGB in [0, 1]."""

    lines: Sequence[SketchLine]
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class CanvasMap:
    """From data coordinates of a layer to pixels of the canvas, in the displayed slice.

    Parameters
    ----------
    matrix : numpy.ndarray
        ``(2, ndim)``: pixels ``(x, y)`` for each step along an axis of the data.
    offset : numpy.ndarray
        ``(2,)``: the pixel of the data's origin.
    """

    matrix: FloatArray
    offset: FloatArray

    @classmethod
    def at(cls, viewer: ViewerModel, image: Image, event: Any) -> CanvasMap:
        """The map where a mouse event of napari is, which knows its pixel and its place in the world.

        The camera says the rest, so it holds in every cell of napari's grid of layers.
        """
        displayed = list(viewer.dims.displayed)
        camera = viewer.scene.camera
        vertical, horizontal = camera.orientation2d
        zoom = camera.zoom * np.array([-1.0 if vertical == "up" else 1.0, -1.0 if horizontal == "left" else 1.0])
        ndim = image.ndim
        worlds = np.array([image.data_to_world(corner) for corner in np.vstack([np.zeros(ndim), np.eye(ndim)])])
        rows = worlds[:, np.subtract(displayed, viewer.dims.ndim - ndim)]
        here = np.asarray(event.position)[displayed]
        matrix = ((rows[1:] - rows[0]) * zoom).T[::-1]
        offset = np.asarray(event.pos, dtype=np.float64)[:2] + ((rows[0] - here) * zoom)[::-1]
        return cls(matrix, offset)

    def sketch(self, prompt: Prompt, grid: LayerGrid, plane: Slice) -> Sketch:
        """What of a prompt is seen in a slice."""
        red, green, blue, _ = ShownPrompt(prompt, pending=True).colour
        voxel = float(np.sqrt(np.sort((self.matrix**2).sum(axis=0))[-2:].prod())) ** 0.5
        lines = [
            SketchLine(
                grid.coordinates(0, outline.vertices) @ self.matrix.T + self.offset,
                max(1.0, outline.width * voxel),
                outline.kind != "path",
            )
            for outline in outlines(prompt, plane)
        ]
        return Sketch(lines, (red, green, blue))
