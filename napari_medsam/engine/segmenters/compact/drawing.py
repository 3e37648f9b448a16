"""Prompts of one object sorted by how the network is told of them, and drawn on the cells of a patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from napari_medsam.engine.prompts import Box, Lasso, Point, Prompt, Scribble
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact.channels import PatchPrompts, draw_spot
from napari_medsam.engine.segmenters.compact.patch import PatchGrid
from napari_medsam.engine.volume import Index3, Vec3, index3, vec3

_STROKE_SPOTS = 48  # a longer stroke is drawn by this many spots along it; more add nothing at a cell's size


@dataclass(frozen=True, eq=False)
class Marks:
    """What the user marked on an object.

    Parameters
    ----------
    boxes : tuple of Region
        Insides of positive boxes that bound the object.
    flat_boxes : tuple of Region
        Insides of positive boxes drawn in one slice of a volume: they bound the object in that slice only.
    spots : tuple of (Vec3, bool)
        Voxel coordinates of clicks and along strokes, True for inside the object.
    areas : tuple of (Region, bool)
        Insides of lassos, True for inside the object.
    clicked : tuple of Index3
        Voxels of positive clicks.
    """

    boxes: tuple[Region, ...] = ()
    flat_boxes: tuple[Region, ...] = ()
    spots: tuple[tuple[Vec3, bool], ...] = ()
    areas: tuple[tuple[Region, bool], ...] = ()
    clicked: tuple[Index3, ...] = ()

    @classmethod
    def of(cls, prompts: Sequence[Prompt], shape: Index3) -> Marks:
        """Sort the prompts given on a volume of ``shape``. Masks and negative boxes act on the answer, not here.

        Raises
        ------
        PromptError
            If a prompt is empty or lies outside.
        """
        marks = cls()
        for prompt in prompts:
            region = prompt.region(shape)
            match prompt:
                case Box(positive=True):
                    # A slice through a volume leaves the depth open; in a picture of one slice it bounds everything.
                    flat = prompt.is_flat and 1 not in shape
                    key = "flat_boxes" if flat else "boxes"
                    marks = replace(marks, **{key: (*getattr(marks, key), region)})
                case Point():
                    clicked = (*marks.clicked, prompt.voxel) if prompt.positive else marks.clicked
                    marks = replace(marks, spots=(*marks.spots, (prompt.position, prompt.positive)), clicked=clicked)
                case Scribble():
                    voxels = np.argwhere(region.voxels) + region.lower
                    chosen = voxels[:: max(1, len(voxels) // _STROKE_SPOTS)]
                    spots = tuple((vec3(voxel), prompt.positive) for voxel in chosen)
                    marks = replace(marks, spots=(*marks.spots, *spots))
                case Lasso():
                    marks = replace(marks, areas=(*marks.areas, (region, prompt.positive)))
        return marks

    @property
    def is_one_box(self) -> bool:
        """Whether a box that bounds the object is all there is."""
        return len(self.boxes) == 1 and not (self.flat_boxes or self.spots or self.areas)

    @property
    def are_clicks(self) -> bool:
        """Whether clicks inside the object are all there is."""
        return len(self.spots) == len(self.clicked) > 0 and not (self.boxes or self.flat_boxes or self.areas)

    @property
    def positive_extents(self) -> list[Region]:
        """Regions that hold everything marked as inside the object."""
        points = [np.floor(np.asarray(spot) + 0.5).astype(int) for spot, positive in self.spots if positive]
        dots = [Region(index3(p), np.ones((1, 1, 1), dtype=bool)) for p in points]
        return [*self.boxes, *self.flat_boxes, *(area for area, positive in self.areas if positive), *dots]

    def draw(self, previous: Region, grid: PatchGrid, shape: Index3) -> PatchPrompts:
        """Prompt channels ``(1, 1, *cells)`` on ``grid``, which lies in a volume of ``shape``."""
        box, positive, negative = (torch.zeros(grid.cells) for _ in range(3))
        for region in self.boxes:
            _fill_box(box, region, grid)
        for spot, inside in self.spots:
            z, y, x = grid.to_cell(spot).tolist()
            draw_spot(positive if inside else negative, (z, y, x))
        for area, inside in self.areas:
            _fill_area(positive if inside else negative, area, grid)
        drawn = (box, positive, negative, _on_cells(previous, grid), grid.field(shape))
        return PatchPrompts(*(c[None, None] for c in drawn))


def _on_cells(region: Region, grid: PatchGrid) -> Tensor:
    """A mask on the cells of ``grid``: one where more than half of a cell lies in it, float32 ``cells``."""
    if not region:
        return torch.zeros(grid.cells)
    # A rim of zeros, because sampling repeats the outermost voxel.
    start = vec3(np.asarray(grid.start) - region.lower + 1)
    return (PatchGrid(start, grid.size, grid.cells).sample(np.pad(region.voxels, 1)) > 0.5).float()


def _fill_area(canvas: Tensor, region: Region, grid: PatchGrid) -> None:
    torch.maximum(canvas, _on_cells(region, grid), out=canvas)
    # A lasso is one voxel thick and vanishes among larger cells unless its voxels are set one by one.
    cells = np.round(grid.to_cell(np.argwhere(region.voxels) + region.lower)).astype(int)
    cells = cells[np.all((cells >= 0) & (cells < grid.cells), axis=1)]
    z, y, x = torch.from_numpy(np.ascontiguousarray(cells.T))
    canvas[z, y, x] = 1.0


def _fill_box(canvas: Tensor, region: Region, grid: PatchGrid) -> None:
    low = (np.asarray(region.lower) - grid.start) / grid.step
    high = (np.asarray(region.upper) - grid.start) / grid.step
    # At least one cell, even for a box thinner than a cell.
    z, y, x = (slice(max(0, round(a)), max(round(b), round(max(a, 0)) + 1)) for a, b in zip(low, high, strict=True))
    canvas[z, y, x] = 1.0
