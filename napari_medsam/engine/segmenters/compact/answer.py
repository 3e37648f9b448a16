"""From what the network said on patches to the mask in voxels, with the user's word kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_medsam.engine import masks
from napari_medsam.engine.prompts import Box, MaskPrompt, Point, Prompt
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact.channels import ellipsoid_in
from napari_medsam.engine.segmenters.compact.patch import PatchGrid
from napari_medsam.engine.segmenters.compact.zoom import Extent
from napari_medsam.engine.volume import Index3, index3

_SLICE_ROOM = 0.25

_BOX_THRESHOLD = -0.25
"""Logit from which a cell counts as inside in the 3D answer to a box alone, see docs/model-history.md."""

_LEAN, _LEAN_DEPTH = 1.5, 0.5
"""Logits by which that answer leans towards the ellipsoid in the box, and the depth in it from which on it is all of
that; chosen in docs/model-history.md."""


@dataclass(frozen=True, eq=False)
class Look:
    """What the network says about one patch.

    Parameters
    ----------
    grid : PatchGrid
        Where the patch lies.
    logits : Tensor
        ``(z, y, x)`` on its cells.
    threshold : float
        Cells with larger logits are inside.
    """

    grid: PatchGrid
    logits: Tensor
    threshold: float = 0.0

    @property
    def mask(self) -> Tensor:
        """The cells inside, bool ``(z, y, x)``."""
        return self.logits > self.threshold

    @property
    def confidence(self) -> float:
        """Dice to expect of the mask if the probabilities are right: 2 E|mask & truth| / (|mask| + E|truth|)."""
        p, mask = torch.sigmoid(self.logits), self.mask
        return float(2 * p[mask].sum() / (mask.sum() + p.sum()).clamp_min(1e-6))

    def slice_confidence(self, shape: Index3) -> dict[int, float]:
        """The same for each voxel slice of the patch that holds some of the mask, by its ``z``."""
        p, mask = torch.sigmoid(self.logits), self.mask
        found, expected, held = mask.sum((1, 2)), p.sum((1, 2)), (p * mask).sum((1, 2))
        (first, _, _), (last, _, _) = self.grid.voxel_box(shape)
        cells = {z: round(float(self.grid.to_cell((z, 0, 0))[0])) for z in range(first, last)}
        cells = {z: min(max(cell, 0), len(found) - 1) for z, cell in cells.items()}
        return {z: float(2 * held[k] / (found[k] + expected[k])) for z, k in cells.items() if found[k] > 0}

    def pieces_at(self, voxels: Sequence[Index3]) -> Region:
        """The mask on the cells: its pieces that hold one of the voxels, or all of it when none are given."""
        mask = self.mask.numpy()
        if voxels:
            mask = masks.keep_touching(mask, self._cells_of(voxels), connectivity=6)
        return Region.of(mask)

    def holds_together(self, voxels: Sequence[Index3]) -> bool:
        """Whether one piece of the mask holds all the voxels."""
        own = self.pieces_at(voxels[-1:])
        return all(own.inside(index3(cell), index3(cell + 1)).any() for cell in self._cells_of(voxels))

    def _cells_of(self, voxels: Sequence[Index3]) -> npt.NDArray[np.int64]:
        """The cells ``(n, 3)`` that voxels lie in, or the nearest ones."""
        top = np.subtract(self.grid.cells, 1)
        return np.clip(np.round(self.grid.to_cell(voxels)), 0, top).astype(np.int64)

    def extent_of(self, cells: Region) -> Extent:
        """Voxel edges of a region of the patch's cells."""
        low = np.asarray(self.grid.start) + np.asarray(cells.lower) * self.grid.step
        return low, low + np.asarray(cells.voxels.shape) * self.grid.step

    def plausibility(self, found: Region) -> float:
        """How convincing what `pieces_at` found is as a whole object: sure of itself, of a good size, not cut off.

        Training showed objects at 1/4.5 to 1/1.35 of the patch; smaller ones are a few cells, larger ones are cut.
        """
        if not found:
            return 0.0
        deep = np.asarray(self.grid.cells) > 1
        fill = float((np.asarray(found.voxels.shape) / self.grid.cells)[deep].max())
        sides = zip(found.lower, found.upper, self.grid.cells, strict=True)
        cut_off = any(n > 1 and (low == 0 or high == n) for low, high, n in sides)
        return self.confidence * min(1.0, fill / 0.25) * (0.5 if cut_off else 1.0)


def steadiest(looks: Sequence[Look], voxels: Sequence[Index3]) -> Look:
    """The look whose answer changes least in size from one patch to the next, of ``looks`` from small to large.

    What is the object in patches of several sizes is likely one; a piece of it, or all around it, grows with the patch.
    So with thresholds in maximally stable extremal regions (Matas et al., BMVC 2002). The smallest and the largest
    have nothing to agree with on one side, which counts as the largest change of all.
    """
    found = [look.pieces_at(voxels) for look in looks]
    cells = np.array([np.prod(look.grid.step) for look in looks])  # voxels
    sizes = np.maximum(cells * [pieces.count for pieces in found], cells.min())
    changes = np.abs(np.diff(np.log(sizes)))
    changes = np.pad(changes, 1, constant_values=changes.max(initial=0.0))
    plausible = np.array([look.plausibility(pieces) for look, pieces in zip(looks, found, strict=True)])
    scores = plausible - changes[:-1] - changes[1:]
    return looks[int(np.argmax(scores))]


def leant_to_ellipsoid(look: Look, box: Tensor) -> Look:
    """A look at a box alone, with what the network is unsure of decided by the ellipsoid in the box.

    An organ of several greys is answered with one of them, and people draw boxes round compact objects more often than
    round anything else: as long as nothing was corrected, what is neither likely nor unlikely belongs to it inside the
    ellipsoid, and does not outside.

    Parameters
    ----------
    look : Look
        What the network says.
    box : Tensor
        The box on the cells of the look, ``(1, 1, z, y, x)``.
    """
    lean = _LEAN * (ellipsoid_in(box)[0, 0] / _LEAN_DEPTH).clamp(-1, 1)
    return replace(look, logits=look.logits + lean, threshold=_BOX_THRESHOLD)


def bounded_in_slices(region: Region, boxes: Sequence[Region]) -> Region:
    """What boxes drawn in single slices leave of a first answer.

    In its own slice a box bounds the object; in the others the object may be larger, by `_SLICE_ROOM` of the box.
    """
    if not boxes or not region:
        return region
    across = [_across(box) for box in boxes]
    edges = np.array([region.lower, region.upper])
    for axis in range(3):
        wide = [box for box, flat in zip(boxes, across, strict=True) if flat != axis]
        if wide:
            first, last = min(box.lower[axis] for box in wide), max(box.upper[axis] for box in wide)
            room = int(np.ceil(_SLICE_ROOM * (last - first)))
            edges[:, axis] = edges[:, axis].clip(first - room, last + room)
    lower, upper = index3(edges[0]), index3(edges[1])
    bounded = Region.of(region.inside(lower, upper), lower)
    for box in boxes:
        bounded = bounded_in_slice(bounded, box, boxes)
    return bounded


def bounded_in_slice(region: Region, box: Region, boxes: Sequence[Region], marked: Sequence[Region] = ()) -> Region:
    """What a box drawn in one slice, and other ``boxes`` of that slice, leave of a mask there; other slices stay.

    Where something else ``marked`` as inside lies beside those boxes they do not bound the object: nothing is taken.
    """
    axis = _across(box)
    level = box.lower[axis]
    there = (region, *marked)
    edges = np.array([np.min([r.lower for r in there], axis=0), np.max([r.upper for r in there], axis=0)])
    edges[:, axis] = level, level + 1
    low, high = index3(edges[0]), index3(edges[1])
    same = [other for other in boxes if (_across(other), other.lower[axis]) == (axis, level)]
    allowed = np.logical_or.reduce([other.inside(low, high) for other in same])
    if any((mark.inside(low, high) & ~allowed).any() for mark in marked):
        return region
    return _set(region, Region(low, ~allowed), False)


def _across(flat: Region) -> int:
    """The axis that a box in one slice is one voxel long along."""
    return int(np.argmin(flat.voxels.shape))


def paste(
    looks: Sequence[Look], shape: Index3, within: tuple[Index3, Index3] | None = None
) -> tuple[Region, tuple[Index3, Index3]]:
    """One mask in voxels from a coarse look and finer ones that fade in from their rims; and the box it speaks for.

    That box is the coarse look's, or what lies ``within`` it of another.
    """
    lower, upper = looks[0].grid.voxel_box(shape)
    if within is not None:
        lower, upper = index3(np.maximum(lower, within[0])), index3(np.minimum(upper, within[1]))
        if np.any(np.subtract(upper, lower) <= 0):
            return Region.empty(), (lower, lower)
    logits = looks[0].grid.to_voxels(looks[0].logits - looks[0].threshold, lower, upper)
    for look in looks[1:]:
        low, high = look.grid.voxel_box(shape)
        low, high = index3(np.maximum(low, lower)), index3(np.minimum(high, upper))
        if np.any(np.subtract(high, low) <= 0):
            continue
        inside = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, lower, strict=True))
        weight = look.grid.to_voxels(_fade(look.grid.cells), low, high)
        logits[inside] = torch.lerp(
            logits[inside], look.grid.to_voxels(look.logits - look.threshold, low, high), weight
        )
    return Region.of((logits > 0).numpy(), lower), (lower, upper)


def replaced(previous: Region, answer: Region, lower: Index3, upper: Index3) -> Region:
    """The previous mask with the answer in place of what it held in the box."""
    if not previous:
        return answer
    z, y, x = np.minimum(previous.lower, lower).tolist()
    low: Index3 = (z, y, x)
    mask = previous.inside(low, index3(np.maximum(previous.upper, upper)))
    box = tuple(slice(a - o, b - o) for a, b, o in zip(lower, upper, low, strict=True))
    mask[box] = answer.inside(lower, upper)
    return Region.of(mask, low)


def joined(one: Region, other: Region) -> Region:
    """All that is in either of two masks."""
    return _set(one, other, True) if other else one


def marked_pieces(region: Region, marked: Sequence[Region]) -> Region:
    """The pieces of a mask that something marked as inside touches: without a box nothing else was asked for."""
    touched = np.zeros_like(region.voxels)
    for mark in marked:
        touched |= mark.inside(region.lower, region.upper)
    points = np.argwhere(touched & region.voxels)
    if not len(points):
        return region
    return Region.of(masks.keep_touching(region.voxels, points, connectivity=6), region.lower)


def obeyed(region: Region, prompts: Sequence[Prompt], shape: Index3) -> Region:
    """The mask with the user's word kept: clicked voxels on their side, masks taken over, negative boxes empty.

    Later prompts win over earlier ones.
    """
    for prompt in prompts:
        if isinstance(prompt, Point | MaskPrompt) or (isinstance(prompt, Box) and not prompt.positive):
            region = _set(region, prompt.region(shape), prompt.positive)
    return region


def _set(region: Region, part: Region, value: bool) -> Region:
    if not region:
        return part if value else region
    if not value:
        mask = region.voxels & ~part.inside(region.lower, region.upper)
        return Region.of(mask, region.lower)
    z, y, x = np.minimum(region.lower, part.lower).tolist()
    low: Index3 = (z, y, x)
    high = index3(np.maximum(region.upper, part.upper))
    return Region.of(region.inside(low, high) | part.inside(low, high), low)


def _fade(cells: Index3) -> Tensor:
    """Weight 1 in the middle of a patch, falling to 0 at its rim over an eighth of its side."""
    weight = torch.ones(cells)
    for axis, n in enumerate(cells):
        if n > 1:
            ramp = (torch.arange(n) + 0.5).minimum(n - 0.5 - torch.arange(n)) / (n / 8)
            shape = [1, 1, 1]
            shape[axis] = n
            weight = weight * ramp.clamp_max(1.0).reshape(shape)
    return weight
