"""The same sessions told to the tracker and to the published predictor, and what each answers.

An answer is compared as the logits of the whole square image. A golden file holds a regular sample of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from lively import lively_sam2, moving_slices
from reference import reference_predictor, reference_state
from torch import Tensor
from torch.nn import functional

from napari_medsam.engine.segmenters.sam2.encoding import encode_slice
from napari_medsam.engine.segmenters.sam2.sizes import Size
from napari_medsam.engine.segmenters.sam2.tracker import Tracker

GOLDEN = Path(__file__).with_name("golden")

# In pixels of an image of 256 x 256.
CLICK = (torch.tensor([[80.0, 100.0]]), torch.tensor([1]))
BOX = (torch.tensor([[150.0, 150.0], [210.0, 220.0]]), torch.tensor([2, 3]))
CORRECTION = (torch.tensor([[200.0, 60.0]]), torch.tensor([0]))

_SAMPLES = 1024

Clicks = tuple[Tensor, Tensor]
Named = tuple[str, Tensor]


class Side(Protocol):
    """One of the two."""

    image_size: int

    def embeddings(self, index: int) -> list[Tensor]: ...

    def click(self, object_id: int, index: int, prompt: Clicks) -> Tensor: ...

    def mask(self, object_id: int, index: int, mask: Tensor) -> Tensor: ...

    def propagate(self, sweep: range) -> Iterator[tuple[int, int, Tensor]]: ...


class Ours:
    """The tracker."""

    def __init__(self, model: Any, volume: Tensor) -> None:
        self.image_size = model.image_size
        self._features = cache(lambda index: encode_slice(model, volume[index : index + 1]))
        self.tracker = Tracker(model, self._features, len(volume))

    def embeddings(self, index: int) -> list[Tensor]:
        return list(self._features(index).tensors)

    def click(self, object_id: int, index: int, prompt: Clicks) -> Tensor:
        places, labels = prompt
        return self._enlarged(self.tracker.click(object_id, index, places * (self.image_size / 256), labels).logits)

    def mask(self, object_id: int, index: int, mask: Tensor) -> Tensor:
        return self._enlarged(self.tracker.give_mask(object_id, index, mask).logits)

    def propagate(self, sweep: range) -> Iterator[tuple[int, int, Tensor]]:
        for index, answers in self.tracker.propagate(sweep):
            for id_, answer in answers.items():
                yield index, id_, self._enlarged(answer.logits)

    def _enlarged(self, logits: Tensor) -> Tensor:
        size = (self.image_size, self.image_size)
        return functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)[0, 0]


class Theirs:
    """The published predictor; told to keep corrections unless a test is about losing them."""

    def __init__(self, model: Any, volume: Tensor, size: Size, keep_corrections: bool = True) -> None:
        self.image_size = model.image_size
        self._volume = volume
        self._predictor = reference_predictor(model, size, keep_corrections)
        self._state = reference_state(self._predictor, volume)

    def embeddings(self, index: int) -> list[Tensor]:
        return list(self._predictor.forward_image(self._volume[index : index + 1])["backbone_fpn"])

    def click(self, object_id: int, index: int, prompt: Clicks) -> Tensor:
        places, labels = prompt
        _, ids, logits = self._predictor.add_new_points_or_box(
            self._state,
            index,
            object_id,
            points=places * (self.image_size / 256),
            labels=labels,
            clear_old_points=False,
        )
        return logits[ids.index(object_id), 0]

    def mask(self, object_id: int, index: int, mask: Tensor) -> Tensor:
        _, ids, logits = self._predictor.add_new_mask(self._state, index, object_id, mask)
        return logits[ids.index(object_id), 0]

    def propagate(self, sweep: range) -> Iterator[tuple[int, int, Tensor]]:
        count = len(sweep) - 1  # the predictor counts what follows the first slice
        steps = self._predictor.propagate_in_video(self._state, sweep.start, count, reverse=sweep.step < 0)
        for index, ids, logits in steps:
            for id_, mask in zip(ids, logits, strict=True):
                yield index, id_, mask[0]


def whole_session(side: Side) -> Iterator[Named]:
    """Three objects by click, box and mask; both directions; corrections; both directions again."""
    yield from _named("embedding", enumerate(side.embeddings(0)))
    drawn = torch.zeros(side.image_size, side.image_size, dtype=torch.bool)
    drawn[side.image_size // 3 : side.image_size // 2, side.image_size // 4 : side.image_size // 2] = True
    yield "first click", side.click(1, 1, CLICK)
    yield "second click", side.click(1, 1, CORRECTION)  # sees the logits of the first
    yield "box", side.click(2, 1, BOX)
    yield "mask", side.mask(3, 2, drawn)
    yield from _swept("up", side.propagate(range(1, 4)))
    yield from _swept("down", side.propagate(range(1, -1, -1)))
    yield "correction", side.click(1, 3, CORRECTION)
    yield "second correction", side.click(1, 3, CLICK)
    yield "correction of the box", side.click(2, 0, CLICK)
    yield from _swept("up again", side.propagate(range(0, 4)))
    yield from _swept("down again", side.propagate(range(3, -1, -1)))


def short_session(side: Side) -> Iterator[Named]:
    """One object by a box; both directions; a correction; upwards again."""
    yield from _named("embedding", enumerate(side.embeddings(0)))
    yield "box", side.click(1, 1, BOX)
    yield from _swept("up", side.propagate(range(1, 3)))
    yield from _swept("down", side.propagate(range(1, -1, -1)))
    yield "correction", side.click(1, 2, CLICK)
    yield from _swept("up again", side.propagate(range(0, 3)))


@dataclass(frozen=True)
class Setting:
    """One session to compare."""

    size: Size
    image_size: int
    slices: int
    session: Callable[[Side], Iterator[Named]]

    def ours(self) -> Iterator[Named]:
        model = lively_sam2(self.size, self.image_size)
        return self.session(Ours(model, moving_slices(self.slices, self.image_size)))

    def theirs(self) -> Iterator[Named]:
        model = lively_sam2(self.size, self.image_size)
        return self.session(Theirs(model, moving_slices(self.slices, self.image_size), self.size))


SETTINGS = {
    "tiny-512": Setting("tiny", 512, 4, whole_session),
    "tiny-1024": Setting("tiny", 1024, 3, short_session),
    "small-512": Setting("small", 512, 3, short_session),
}


def corrected_after_propagation(side: Side) -> tuple[Tensor, Tensor]:
    """A mask given on a slice that was tracked, and the mask there after the next propagation."""
    side.click(1, 0, CLICK)
    for _ in side.propagate(range(3)):
        pass
    corrected = torch.zeros(side.image_size, side.image_size, dtype=torch.bool)
    corrected[:40, :40] = True
    side.mask(1, 1, corrected)
    return corrected, {index: logits > 0 for index, _, logits in side.propagate(range(3))}[1]


def sampled(tensor: Tensor) -> np.ndarray:
    """About a thousand of its values, spread over all rows and columns."""
    values = tensor.flatten()
    return values[:: max(len(values) // _SAMPLES, 1) | 1].float().numpy()


def _swept(title: str, steps: Iterator[tuple[int, int, Tensor]]) -> Iterator[Named]:
    for index, id_, logits in steps:
        yield f"{title}, slice {index}, object {id_}", logits


def _named(title: str, tensors: Any) -> Iterator[Named]:
    for number, tensor in tensors:
        yield f"{title} {number}", tensor
