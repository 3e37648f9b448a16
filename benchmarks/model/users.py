"""Simulated users on patches: the box, clicks, scribbles and lassos they give, and masks they start from."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact.channels import PatchPrompts, draw_spot
from napari_medsam.engine.segmenters.compact.correction import MIDDLE

_CORE = 0.3
"""How deep what is certainly meant by such a mark is, likewise."""

_ROOMY = 3.0
"""Cells from the middle of what an object leaves of its box to the object, from which on it may be taken for it."""


@dataclass
class UserMix:
    """How often users do what; an ablation removes one kind by setting it to zero."""

    drop_box: float = 0.2
    scribble: float = 0.15
    lasso: float = 0.1
    first_mask: float = 0.1
    outside: float = 0.0  # of those who give no box: also mark at once what is not the object
    denied: float = 0.0  # of those who give a box: were answered with something else in it, and click on its middle


class SimulatedUser:
    """Gives prompts on a batch of patches and corrects the answers.

    Parameters
    ----------
    rngs : sequence of numpy.random.Generator
        One for each patch, so that what a user does with one depends on no other.
    truth : Tensor
        ``(n, 1, z, y, x)`` float of zeros and ones.
    boxes : numpy.ndarray
        ``(n, 2, 3)`` box edges in cells, nan where the user gives none.
    field : Tensor
        Like ``truth``: one where the patch shows the image.
    """

    def __init__(
        self, rngs: Sequence[np.random.Generator], truth: Tensor, boxes: np.ndarray, field: Tensor, mix: UserMix
    ) -> None:
        self.rngs = rngs
        self.truth = truth[:, 0].numpy() > 0.5
        self.field = field
        self.mix = mix
        self.has_looked = False
        self.box, self.positive, self.negative, self.previous = (torch.zeros_like(truth) for _ in range(4))
        for i, (low, high) in enumerate(boxes):
            if np.isfinite(low).all() and rngs[i].random() >= mix.drop_box:
                inside = [
                    slice(max(0, round(a)), max(round(b), round(max(a, 0)) + 1)) for a, b in zip(low, high, strict=True)
                ]
                self.box[(i, 0, *inside)] = 1
        for i in range(len(self.truth)):
            if rngs[i].random() < mix.first_mask:
                self.previous[i, 0] = torch.from_numpy(_spoilt(rngs[i], self.truth[i]).astype(np.float32))
            if mix.denied and self.box[i].any() and rngs[i].random() < mix.denied:
                self._deny(i, _something_else(rngs[i], self.truth[i], self.box[i, 0].numpy() > 0))
            if not self.box[i].any() and not self.previous[i].any():
                self._correct(i, np.zeros_like(self.truth[i]))
                if mix.outside and rngs[i].random() < mix.outside:
                    self._correct(i, _surroundings(self.truth[i]))

    @property
    def prompts(self) -> PatchPrompts:
        """What the network is told."""
        return PatchPrompts(self.box, self.positive, self.negative, self.previous, self.field)

    def look(self, logits: Tensor) -> None:
        """See the answer ``(n, 1, z, y, x)``, on any device, and correct its errors."""
        answer = (logits.detach()[:, 0] > 0).cpu().numpy()
        self.previous = torch.from_numpy(answer[:, None].astype(np.float32))
        for i in range(len(answer)):
            spot = self._correct(i, answer[i])
            if self.mix.denied and not self.has_looked and self.box[i].any() and spot is not None and answer[i][spot]:
                depth = _depth(answer[i])
                if depth[spot] >= max(MIDDLE * depth.max(), _ROOMY):
                    self._give_up(i, answer[i], depth)
        self.has_looked = True

    def _deny(self, i: int, wrong: np.ndarray) -> None:
        """Say of the middle of a wrong answer that it is outside."""
        depth = _depth(wrong)
        middle = np.argwhere((depth >= MIDDLE * depth.max()) & wrong & ~self.truth[i])
        if len(middle):
            z, y, x = middle[self.rngs[i].integers(len(middle))].tolist()
            draw_spot(self.negative[i, 0], (z, y, x))
            self._give_up(i, wrong, depth)

    def _give_up(self, i: int, wrong: np.ndarray, depth: np.ndarray) -> None:
        """Tell the network of a denied answer: what it was, or nothing, or that its core is outside."""
        told = self.rngs[i].integers(3)
        self.previous[i, 0] = torch.from_numpy((wrong & (told == 0)).astype(np.float32))
        if told == 2:
            self.negative[i, 0][torch.from_numpy(depth >= _CORE * depth.max())] = 1

    def _correct(self, i: int, answer: np.ndarray) -> tuple[int, ...] | None:
        """Mark an error; the cell that was clicked, None where nothing is wrong."""
        rng = self.rngs[i]
        error = self.truth[i] != answer
        pieces, count = ndimage.label(error, np.ones((3, 3, 3)))
        if not count:
            return None
        sizes = np.bincount(pieces.ravel())[1:]
        piece = 1 + (sizes.argmax() if rng.random() < 0.7 else rng.choice(count, p=sizes / sizes.sum()))
        where = ndimage.find_objects(pieces, piece)[piece - 1]
        start = np.array([s.start for s in where])
        inside = pieces[where] == piece
        depth = _depth(inside)
        # An error piece can hold both kinds (a gap beside a spill): the deepest voxel says which one is meant.
        deep = np.argwhere(depth >= rng.uniform(0.5, 1) * depth.max())
        spot = deep[rng.integers(len(deep))] + start
        canvas_of = self.positive if self.truth[i][tuple(spot)] else self.negative
        canvas = canvas_of[i, 0]
        style = rng.random()
        same = inside & (self.truth[i][where] == self.truth[i][tuple(spot)])
        level = spot[0] - start[0]
        if style < self.mix.scribble:
            track = np.argwhere(same[level] & (depth[level] >= 0.5 * depth[level].max()))
            ends = track[rng.integers(len(track), size=min(4, len(track)))]
            for a, b in pairwise(ends):
                for t in np.linspace(0, 1, max(2, int(np.abs(b - a).max() / 2))):
                    point = a + (b - a) * t
                    if same[level][tuple(np.round(point).astype(int))]:
                        draw_spot(canvas, (float(spot[0]), *(point + start[1:]).tolist()))
        elif style < self.mix.scribble + self.mix.lasso:
            target = canvas[spot[0], where[1], where[2]]
            target[torch.from_numpy(same[level])] = 1
        draw_spot(canvas, (float(spot[0]), float(spot[1]), float(spot[2])))
        return tuple(spot.tolist())


def _surroundings(mask: np.ndarray) -> np.ndarray:
    """An object and what lies around it: its box and an eighth of its size on all sides."""
    around = np.zeros_like(mask)
    if mask.any():
        region = Region.of(mask)
        room = [-(-n // 8) if whole > 1 else 0 for n, whole in zip(region.voxels.shape, mask.shape, strict=True)]
        low, high = np.subtract(region.lower, room).clip(0), np.add(region.upper, room)
        around[tuple(map(slice, low, high))] = True
    return around


def _something_else(rng: np.random.Generator, mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """What an answer that misunderstood a box holds: what lies in its middle instead of the object, or some of both.

    Nothing where the object holds the middle.
    """
    region = Region.of(box)
    depth = _depth(box & ~mask)
    inner = [slice(low + n // 4, low + n - n // 4) for low, n in zip(region.lower, region.voxels.shape, strict=True)]
    deepest = depth[tuple(inner)].max()
    if deepest < _ROOMY:
        return np.zeros_like(mask)
    start = np.argwhere(depth[tuple(inner)] == deepest)[0] + [s.start for s in inner]
    pieces, _ = ndimage.label(depth > rng.uniform(0, 0.5) * deepest)
    wrong: np.ndarray = pieces == pieces[tuple(start)]
    wider = int(rng.integers(0, 3))
    if wider:
        wrong = ndimage.binary_dilation(wrong, np.ones([3 if n > 1 else 1 for n in mask.shape]), iterations=wider) & box
    return wrong


def _spoilt(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """A first guess as another model or an old label would give it."""
    axes = [a for a in range(3) if mask.shape[a] > 1]
    kind = rng.integers(4)
    if kind == 0:
        return np.roll(mask, rng.integers(-6, 7, len(axes)), axes)
    structure = np.ones([3 if n > 1 else 1 for n in mask.shape])
    if kind == 1:
        return ndimage.binary_dilation(mask, structure, iterations=int(rng.integers(1, 5)))
    if kind == 2:
        return ndimage.binary_erosion(mask, structure, iterations=int(rng.integers(1, 5)))
    cut = mask.copy()
    axis = rng.choice(axes)
    half = [slice(None)] * 3
    half[axis] = slice(0, int(rng.integers(1, mask.shape[axis])))
    cut[tuple(half)] = False
    return cut


def _depth(inside: np.ndarray) -> np.ndarray:
    """Distance to the outside, in cells, ignoring axes of one cell."""
    flat = [n == 1 for n in inside.shape]
    pads = [(0, 0) if f and inside.shape[a] == 1 else (1, 1) for a, f in enumerate(flat)]
    if all(flat):
        return inside.astype(float)
    depth = ndimage.distance_transform_edt(np.pad(inside, pads))
    return depth[tuple(slice(p, depth.shape[a] - p) for a, (p, _) in enumerate(pads))]
