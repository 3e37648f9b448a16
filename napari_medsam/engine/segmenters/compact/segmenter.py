"""The bundled model as a segmenter: where it looks, and in which order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_medsam.engine.errors import ImageError, PromptError
from napari_medsam.engine.prompts import Box, Lasso, MaskPrompt, Point, Prompt, Scribble
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Prediction, Prepared, SegmenterInfo
from napari_medsam.engine.segmenters.compact.answer import (
    Look,
    bounded_in_slice,
    bounded_in_slices,
    joined,
    leant_to_ellipsoid,
    marked_pieces,
    obeyed,
    paste,
    replaced,
    steadiest,
)
from napari_medsam.engine.segmenters.compact.bundle import BUNDLED, load_bundle
from napari_medsam.engine.segmenters.compact.channels import PatchPrompts, build_channels
from napari_medsam.engine.segmenters.compact.correction import (
    Neighbourhood,
    ignores_newest,
    missing_round,
    strikes_middle,
)
from napari_medsam.engine.segmenters.compact.drawing import Marks
from napari_medsam.engine.segmenters.compact.patch import PatchGrid
from napari_medsam.engine.segmenters.compact.precision import has_fast_bfloat16
from napari_medsam.engine.segmenters.compact.zoom import (
    Extent,
    closer_at,
    extent_of,
    patch_for,
    search_sides,
    tiles_along,
)
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Index3, Volume, index3, vec3

_CELLS_AT_ONCE = 2 * 64**3
"""Cells the network sees in one pass; more at once are no faster on two cores and could not be cancelled in between."""

_LOOKS_TO_FIND_SIZE = 3  # after the search over scales; the extent hardly moves after two


@dataclass(frozen=True, eq=False)
class CompactPrepared:
    """A volume with grey, finite voxels ``(z, y, x)``; patches are cut from it on demand."""

    volume: Volume
    grey: npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Case:
    """One prediction under way."""

    prepared: CompactPrepared
    marks: Marks
    previous: Region
    task: Task
    missing: Extent | None = None
    is_outlined: bool = False
    is_one_piece: bool = False
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def shape(self) -> Index3:
        return self.prepared.volume.shape

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.task.check()
        begun = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun


class CompactSegmenter:
    """The bundled 2D and 3D networks behind the `Segmenter` protocol.

    A box, or the mask so far, says where the object is; from a click alone its size is searched. The network looks at
    the whole object in one patch, then, where a cell of that patch is coarser than the image, again along the outline.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Folder of a fine-tuned model; the weights in the package without it.
    device : str
        Torch device, or ``"auto"`` for CUDA where there is one.

    Raises
    ------
    WeightsError
        If the weights are missing or do not fit.
    """

    def __init__(self, folder: Path | None = None, device: str = "auto") -> None:
        self._device = torch.device(device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
        self._is_half = has_fast_bfloat16(self._device)
        bundle = load_bundle(folder or BUNDLED)
        self._flat = bundle.flat.to(self._device)
        self._deep = bundle.deep.to(self._device)
        self._calibration = bundle.calibration
        self._sides = bundle.cells
        self._info = SegmenterInfo(
            name="compact" if folder is None else str(folder),
            title="Compact (bundled)" if folder is None else f"Compact, fine-tuned: {folder.name}",
            licence=bundle.licence,
            weights_hash=bundle.sha256,
            prompts=frozenset(kind.kind for kind in (Point, Box, Scribble, Lasso, MaskPrompt)),
            device=f"{self._device}, 3D in bfloat16" if self._is_half else str(self._device),
        )

    @property
    def info(self) -> SegmenterInfo:
        """What the model is and takes."""
        return self._info

    def prepare(self, volume: Volume, task: Task) -> CompactPrepared:
        """Make the voxels grey and finite; nothing is copied when they are already.

        Raises
        ------
        ImageError
            If there is nothing to segment: no finite voxel, or all of one value.
        Cancelled
            If ``task`` was cancelled.
        """
        task.progress(0.0, "Preparing the image")
        grey = volume.data
        if volume.is_colour:  # luma of ITU-R BT.601
            grey = grey.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        low, high = grey.min(), grey.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            finite = np.isfinite(grey)
            if not finite.any():
                raise ImageError("No voxel of the image holds a number: there is nothing to segment.")
            low, high = grey[finite].min(), grey[finite].max()
            grey = np.where(finite, grey, low)
        if low == high:
            raise ImageError(f"Every voxel of the image has the value {low}: there is nothing to segment.")
        return CompactPrepared(volume, grey)

    def predict(self, prepared: Prepared, prompts: Sequence[Prompt], previous: Region, task: Task) -> Prediction:
        """Answer the prompts of one object; see `Segmenter.predict`.

        A mask prompt is taken as it is and later prompts correct it; a negative box empties its inside. Clicked voxels
        always end on the side they were given for.
        """
        if not isinstance(prepared, CompactPrepared):
            raise TypeError("prepared by another segmenter")
        shape = prepared.volume.shape
        marks = Marks.of(prompts, shape)
        if not previous:
            previous = obeyed(previous, [p for p in prompts if isinstance(p, MaskPrompt)], shape)
        newest = prompts[-1]
        if isinstance(newest, MaskPrompt) or (isinstance(newest, Box) and not newest.positive):
            return Prediction(obeyed(previous, [newest], shape))
        if not previous and not marks.positive_extents:
            raise PromptError("Mark something inside the object first: there is nothing yet to take away from.")
        missing = missing_round(prompts, previous, shape, prepared.volume.spacing)
        case = _Case(prepared, marks, previous, task, missing)
        known = extent_of([*marks.positive_extents, previous])
        near = Neighbourhood.of(previous, prompts, known, shape, prepared.volume.spacing)
        with torch.inference_mode():
            if marks.flat_boxes:
                case = self._with_slice_answers(case)
            marked = case.marks.positive_extents
            case, whole = self._look_at_object(case)
            looks = [whole, *self._look_along_outline(case, whole, newest.region(shape), near)]
            if case.previous and isinstance(newest, Point | Scribble):
                looks += self._look_closer(case, looks, newest.region(shape))
        with case.stage("paste"):
            region, box = paste(looks, shape)
            if not marks.boxes and not case.previous:
                region = bounded_in_slices(marked_pieces(region, marked), marks.flat_boxes)
            region = replaced(previous, region, *box) if case.previous else joined(previous, region)
            if near:
                region = near.bounded(previous, region)
            if previous and isinstance(newest, Box) and marks.flat_boxes and newest.is_flat:
                # The box drawn last says where the object ends in its slice, whatever was there before.
                inside = replace(marks, boxes=(), flat_boxes=()).positive_extents
                region = bounded_in_slice(region, marks.flat_boxes[-1], marks.flat_boxes, inside)
            region = obeyed(region, prompts, shape)
        confidence = self._calibration.of_prediction(whole.confidence)
        slices = self._calibration.of_slices(whole.slice_confidence(shape))
        return Prediction(region, confidence, case.seconds, slices)

    def reconsiders(self, prompts: Sequence[Prompt], previous: Region, volume: Volume) -> bool:
        """Whether the answer so far is of the wrong size or the wrong thing; see `Reconsidering`.

        The wrong size after a stroke or click inside the object where a stroke outside follows: nothing was corrected
        yet, and together they say how large the object is. The wrong thing where one of the first marks says that its
        middle is outside.
        """
        if any(isinstance(prompt, MaskPrompt) for prompt in prompts):
            return False
        if len(prompts) == 2:
            first, second = prompts
            is_inside = isinstance(first, Point | Scribble) and first.positive
            if is_inside and isinstance(second, Scribble) and not second.positive:
                return True
        return strikes_middle(prompts, previous, volume.shape, volume.spacing)

    def _look_at_object(self, case: _Case) -> tuple[_Case, Look]:
        """One patch with the whole object in it, and the case as it was asked there.

        An extent that was searched becomes a box for the next look: the network knows best what a box means. Where the
        newest click was ignored because of the mask so far, the object is of another size: searched as if at first.
        """
        known = extent_of([*case.marks.positive_extents, case.previous], [case.missing] if case.missing else [])
        if case.marks.boxes or case.previous:
            look = self._look(case, self._grid(case, known))
            if case.marks.is_one_box and not case.previous and case.shape[0] > 1:
                look = leant_to_ellipsoid(look, case.marks.draw(case.previous, look.grid, case.shape).box)
        else:
            look = self._search_size(case, known)
        if case.marks.boxes:
            return case, look
        for _ in range(_LOOKS_TO_FIND_SIZE - 1):
            found = look.pieces_at(case.marks.clicked)
            if not found:
                break
            extent = extent_of([], [known, look.extent_of(found)])
            grid = self._grid(case, extent)
            if np.allclose(grid.size, look.grid.size, rtol=0.15):
                break
            if not case.previous:
                case = replace(case, marks=replace(case.marks, boxes=(_box_region(extent, case.shape),)))
            look = self._look(case, grid)
        spacing = case.prepared.volume.spacing
        if case.marks.are_clicks and ignores_newest(look, case.marks.clicked, case.previous, case.shape, spacing):
            return self._look_at_object(replace(case, previous=Region.empty(), is_one_piece=True))
        return case, look

    def _search_size(self, case: _Case, marked: Extent) -> Look:
        """The steadiest, or most plausible, of looks at growing surroundings of what was marked."""
        spacing = case.prepared.volume.spacing
        centre = (marked[0] + marked[1]) / 2
        cells = self._cells(case.shape)
        grids = []
        for side in search_sides(case.shape, spacing, marked, case.is_outlined):
            half = np.where(np.asarray(cells) > 1, side / np.asarray(spacing) / 2, 0.5)
            grids.append(PatchGrid.around(centre - half, centre + half, cells))
        looks = [look for several in _batches(grids) for look in self._look_at(case, several)]
        clicked = case.marks.clicked
        if case.is_one_piece:
            looks = [look for look in looks if look.holds_together(clicked)] or looks
        if case.marks.are_clicks:
            return steadiest(looks, clicked)
        # Strokes and marks outside tell the size themselves; with strokes the steadiest was worse.
        return max(looks, key=lambda look: look.plausibility(look.pieces_at(clicked)))

    def _with_slice_answers(self, case: _Case) -> _Case:
        """Each box drawn in one slice turned into the 2D network's answer there, from which 3D goes on."""
        areas = []
        for box in case.marks.flat_boxes:
            axis = int(np.argmin(box.voxels.shape))
            order = (axis, *(a for a in range(3) if a != axis))
            slab = tuple(slice(box.lower[a], box.upper[a]) if a == axis else slice(None) for a in range(3))
            picture = case.prepared.grey[slab].transpose(order)
            lower, upper = (index3(np.take(edge, order)) for edge in (box.lower, box.upper))
            lower, upper = (0, *lower[1:]), (1, *upper[1:])
            grid = patch_for(
                lower, upper, vec3(np.take(case.prepared.volume.spacing, order)), self._cells(picture.shape)
            )
            inside = Region(lower, np.ones(np.subtract(upper, lower), dtype=bool))
            look = self._look(replace(case, marks=Marks(boxes=(inside,)), previous=Region.empty()), grid, picture)
            mask = (grid.to_voxels(look.logits, lower, upper) > 0).numpy()
            areas.append((Region.of(mask.transpose(np.argsort(order)), box.lower) if mask.any() else box, True))
        marks = replace(case.marks, flat_boxes=(), areas=(*case.marks.areas, *areas))
        return replace(case, marks=marks, is_outlined=True)

    def _look_along_outline(self, case: _Case, whole: Look, newest: Region, near: Neighbourhood | None) -> list[Look]:
        """Finer looks along the outline where the whole object's patch is coarser than the image."""
        first = [] if case.marks.boxes and not case.previous else [newest]
        grids = tiles_along(whole.grid, whole.mask.numpy(), first, near.extent if near else None)
        if not grids:
            return []
        with case.stage("paste"):
            coarse, _ = paste([whole], case.shape)
        case = replace(case, previous=coarse)
        looks: list[Look] = []
        for several in _batches(grids):
            case.task.progress((len(looks) + 1) / (len(grids) + 1), "Refining the outline")
            looks += self._look_at(case, several)
        return looks

    def _look_closer(self, case: _Case, looks: Sequence[Look], mark: Region) -> list[Look]:
        """Ever finer looks at a correction: what it is about may be far smaller than a cell of the whole's patch."""
        closer: list[Look] = []
        for grid in closer_at(mark, looks[-1].grid.step, self._cells(case.shape)):
            with case.stage("paste"):
                so_far, _ = paste([*looks, *closer], case.shape, grid.voxel_box(case.shape))
            case.task.progress(0.9, "Looking closer")
            closer += [self._look(replace(case, previous=so_far), grid)]
        return closer

    def _grid(self, case: _Case, extent: Extent) -> PatchGrid:
        return patch_for(*extent, case.prepared.volume.spacing, self._cells(case.shape))

    def _cells(self, shape: tuple[int, ...]) -> Index3:
        """Cells of a patch in a volume of ``shape``: one deep for a single slice."""
        side = self._sides[2 if shape[0] == 1 else 3]
        return (1 if shape[0] == 1 else side, side, side)

    def _look(self, case: _Case, grid: PatchGrid, picture: npt.NDArray[Any] | None = None) -> Look:
        return self._look_at(case, [grid], picture)[0]

    def _look_at(self, case: _Case, grids: Sequence[PatchGrid], picture: npt.NDArray[Any] | None = None) -> list[Look]:
        """Looks at patches of the same cells, in one pass of the network."""
        with case.stage("crop"):
            grey = case.prepared.grey if picture is None else picture
            image = torch.stack([grid.sample(grey)[None] for grid in grids]).to(self._device)
            drawn = [case.marks.draw(case.previous, grid, index3(grey.shape)) for grid in grids]
            prompts = PatchPrompts.stacked(drawn, self._device)
        with case.stage("channels"):
            channels = build_channels(image, prompts).contiguous(memory_format=torch.channels_last_3d)
        with case.stage("network"):
            network = self._flat if grids[0].cells[0] == 1 else self._deep
            # In 2D there is nothing to gain: one look takes some 20 ms.
            is_half = self._is_half and network is self._deep
            with torch.autocast(self._device.type, torch.bfloat16, enabled=is_half):
                logits = network(channels)[:, 0].float().cpu()
        return [Look(grid, answer) for grid, answer in zip(grids, logits, strict=True)]


def _batches(grids: Sequence[PatchGrid]) -> Iterator[Sequence[PatchGrid]]:
    """Grids that are looked at together: enough to keep the processor busy, few enough to be cancelled in between."""
    at_once = max(1, _CELLS_AT_ONCE // int(np.prod(grids[0].cells)))
    for k in range(0, len(grids), at_once):
        yield grids[k : k + at_once]


def _box_region(extent: Extent, shape: Index3) -> Region:
    lower = np.clip(np.round(extent[0]), 0, np.subtract(shape, 1)).astype(int)
    upper = np.clip(np.round(extent[1]), lower + 1, shape).astype(int)
    return Region(index3(lower), np.ones(upper - lower, dtype=bool))
