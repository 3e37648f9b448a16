"""The tracker beside the published predictor, on the same random weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from lively import HAS_REFERENCE, lively_sam2, moving_slices, reference_predictor, reference_state
from torch import Tensor

from napari_medsam.engine.segmenters.sam2.decoding import Answer
from napari_medsam.engine.segmenters.sam2.encoding import encode_slice
from napari_medsam.engine.segmenters.sam2.tracker import Tracker

pytestmark = pytest.mark.skipif(not HAS_REFERENCE, reason="the published predictor (PyPI sam2 1.1.0) is not installed")

CLICK = (torch.tensor([[80.0, 100.0]]), torch.tensor([1]))
BOX = (torch.tensor([[150.0, 150.0], [210.0, 220.0]]), torch.tensor([2, 3]))
CORRECTION = (torch.tensor([[200.0, 60.0]]), torch.tensor([0]))
TOLERANCE = 1e-4
"""Largest difference of logits that are a few units large; what float32 sums in another order leave."""


class Both:
    """One volume in the tracker and in the published predictor, told the same things."""

    def __init__(self, image_size: int = 256, slices: int = 4, keep_corrections: bool = True) -> None:
        self.model = lively_sam2(image_size=image_size)
        self.volume = moving_slices(slices, image_size)
        self.reference = reference_predictor(self.model, keep_corrections=keep_corrections)
        self.state = reference_state(self.reference, self.volume)
        self.tracker = Tracker(
            self.model, cache(lambda index: encode_slice(self.model, self.volume[index : index + 1])), slices
        )
        self.scale = image_size / 256

    def click(self, object_id: int, index: int, prompt: tuple[Tensor, Tensor]) -> float:
        places, labels = prompt[0] * self.scale, prompt[1]
        _, ids, theirs = self.reference.add_new_points_or_box(
            self.state, index, object_id, points=places, labels=labels, clear_old_points=False
        )
        ours = self.tracker.click(object_id, index, places, labels)
        return self.difference(ours, theirs[ids.index(object_id)])

    def mask(self, object_id: int, index: int, mask: Tensor) -> float:
        _, ids, theirs = self.reference.add_new_mask(self.state, index, object_id, mask)
        return self.difference(self.tracker.give_mask(object_id, index, mask), theirs[ids.index(object_id)])

    def propagate(self, sweep: range) -> tuple[float, dict[tuple[int, int], Tensor]]:
        """Largest difference on the way, and their logits by slice and object."""
        count = len(sweep) - 1  # the predictor counts what follows the first slice
        theirs = self.reference.propagate_in_video(self.state, sweep.start, count, reverse=sweep.step < 0)
        worst, logits = 0.0, {}
        for (index, answers), (frame, ids, masks) in zip(self.tracker.propagate(sweep), theirs, strict=True):
            assert index == frame
            for id_, mask in zip(ids, masks, strict=True):
                worst = max(worst, self.difference(answers[id_], mask))
                logits[index, id_] = mask
        return worst, logits

    def difference(self, ours: Answer, theirs: Tensor) -> float:
        size = theirs.shape[-2:]
        enlarged = torch.nn.functional.interpolate(ours.logits, size=size, mode="bilinear", align_corners=False)
        return float((enlarged - theirs).abs().max())


@pytest.fixture(autouse=True)
def _no_gradients() -> Any:
    with torch.inference_mode():
        yield


def test_a_slice_has_the_same_embeddings() -> None:
    both = Both(slices=1)
    ours = encode_slice(both.model, both.volume)
    for level, theirs in zip(ours.tensors, both.reference.forward_image(both.volume)["backbone_fpn"], strict=True):
        assert torch.equal(level, theirs)


def check_a_whole_session(both: Both) -> None:
    """Three objects by click, box and mask; both directions; a correction; both directions again."""
    side = both.model.image_size
    drawn = torch.zeros(side, side, dtype=torch.bool)
    drawn[side // 3 : side // 2, side // 4 : side // 2] = True
    assert both.click(1, 1, CLICK) < TOLERANCE
    assert both.click(1, 1, CORRECTION) < TOLERANCE  # the second click sees the logits of the first
    assert both.click(2, 1, BOX) < TOLERANCE
    assert both.mask(3, 2, drawn) < TOLERANCE
    upwards, first = both.propagate(range(1, 4))
    downwards, more = both.propagate(range(1, -1, -1))
    assert max(upwards, downwards) < TOLERANCE
    first |= more
    assert all((mask > 0).any() and (mask < 0).any() for mask in first.values()), "nothing to compare"
    assert both.click(1, 3, CORRECTION) < TOLERANCE
    assert both.click(1, 3, CLICK) < TOLERANCE
    assert both.click(2, 0, CLICK) < TOLERANCE
    upwards, _ = both.propagate(range(0, 4))
    downwards, more = both.propagate(range(3, -1, -1))
    assert max(upwards, downwards) < TOLERANCE
    moved = [float((more[2, id_] - first[2, id_]).abs().max()) for id_ in (1, 2)]
    assert min(moved) > 10 * TOLERANCE, "the corrections changed nothing elsewhere, so this compared nothing"


def test_a_whole_session_gives_the_same_masks() -> None:
    check_a_whole_session(Both())


@pytest.mark.slow
def test_a_whole_session_gives_the_same_masks_at_512() -> None:
    check_a_whole_session(Both(image_size=512))


def test_a_correction_stays_where_the_predictor_loses_it() -> None:
    both = Both(slices=3, keep_corrections=False)
    both.click(1, 0, CLICK)
    both.propagate(range(3))
    side = both.model.image_size
    corrected = torch.zeros(side, side, dtype=torch.bool)
    corrected[:40, :40] = True
    both.mask(1, 1, corrected)
    theirs = {index: masks[0, 0] > 0 for index, _, masks in both.reference.propagate_in_video(both.state, 0)}
    ours = {index: answers[1].logits for index, answers in both.tracker.propagate(range(3))}
    kept = torch.nn.functional.interpolate(ours[1], size=(side, side), mode="bilinear", align_corners=False)[0, 0] > 0
    assert (kept != corrected).float().mean() < 0.001  # the mask went through logits at a quarter of the resolution
    assert (theirs[1] != corrected).float().mean() > 0.05
