"""What the tracker promises beyond the published predictor."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from lively import lively_sam2, moving_slices

from napari_medsam.engine.errors import Cancelled
from napari_medsam.engine.segmenters.sam2.decoding import ABSENT
from napari_medsam.engine.segmenters.sam2.encoding import SliceFeatures, encode_slice
from napari_medsam.engine.segmenters.sam2.features import FeatureStore
from napari_medsam.engine.segmenters.sam2.memory import Memory, recall
from napari_medsam.engine.segmenters.sam2.tracker import Tracker
from napari_medsam.engine.task import Task

SIZE = 128
SLICES = 6
POINT = (torch.tensor([[40.0, 50.0]]), torch.tensor([1]))
OTHER = (torch.tensor([[90.0, 90.0]]), torch.tensor([1]))

Features = Callable[[int], SliceFeatures]


@pytest.fixture(scope="module")
def model() -> Any:
    return lively_sam2(image_size=SIZE)


@pytest.fixture(scope="module")
def features(model: Any) -> Features:
    volume = moving_slices(SLICES, SIZE)

    @cache
    def encoded(index: int) -> SliceFeatures:
        with torch.no_grad():
            return encode_slice(model, volume[index : index + 1])

    return encoded


@pytest.fixture
def tracker(model: Any, features: Features) -> Tracker:
    return Tracker(model.requires_grad_(False), features, SLICES)


def test_objects_together_answer_as_each_alone(model: Any, features: Features, tracker: Tracker) -> None:
    tracker.click(1, 1, *POINT)
    tracker.click(2, 1, *OTHER)
    together = dict(tracker.propagate(range(1, 4)))
    for id_, prompt in ((1, POINT), (2, OTHER)):
        alone = Tracker(model, features, SLICES)
        alone.click(id_, 1, *prompt)
        for index, answers in alone.propagate(range(1, 4)):
            torch.testing.assert_close(together[index][id_].logits, answers[id_].logits, atol=1e-4, rtol=0)


def test_prompted_slices_keep_their_answers(tracker: Tracker) -> None:
    tracker.click(1, 0, *POINT)
    list(tracker.propagate(range(4)))
    corrected = tracker.click(1, 2, *OTHER)
    before = tracker.answer(1, 3)
    again = dict(tracker.propagate(range(4)))
    assert torch.equal(again[2][1].logits, corrected.logits)
    assert not torch.equal(again[3][1].logits, before.logits), "the correction was not remembered"
    assert tracker.key_slices(1) == (0, 2)


def test_a_further_click_corrects_the_answer_so_far(model: Any, features: Features, tracker: Tracker) -> None:
    first = tracker.click(1, 0, *POINT)
    second = tracker.click(1, 0, *OTHER)
    told_at_once = Tracker(model, features, SLICES).click(1, 0, torch.cat([POINT[0], OTHER[0]]), torch.ones(2))
    assert not torch.equal(second.logits, told_at_once.logits), "the logits of the first click were not used"
    given = Tracker(model, features, SLICES).click(
        1, 0, torch.cat([POINT[0], OTHER[0]]), torch.ones(2), previous=first.logits
    )
    assert torch.equal(second.logits, given.logits)


def test_an_object_joins_where_it_was_prompted(tracker: Tracker) -> None:
    tracker.click(1, 1, *POINT)
    tracker.click(2, 3, *OTHER)
    visited = {index: set(answers) for index, answers in tracker.propagate(range(1, 5), joins={1: 1, 2: 3})}
    assert visited == {1: {1}, 2: {1}, 3: {1, 2}, 4: {1, 2}}


def test_cancelling_stops_between_slices_and_keeps_what_is_there(tracker: Tracker) -> None:
    tracker.click(1, 0, *POINT)
    task = Task()
    steps = tracker.propagate(range(SLICES), task=task)
    assert [next(steps)[0], next(steps)[0]] == [0, 1]
    task.cancel()
    with pytest.raises(Cancelled):
        next(steps)
    assert tracker.answer(1, 1) is not None
    assert tracker.answer(1, 2) is None


def test_an_object_that_left_is_no_longer_looked_for_until_its_next_key(model: Any, features: Features) -> None:
    bias = model.mask_decoder.pred_obj_score_head.proj_out.bias
    asked: list[int] = []

    def counted(index: int) -> SliceFeatures:
        asked.append(index)
        return features(index)

    tracker = Tracker(model, counted, SLICES)
    mask = torch.zeros(SIZE, SIZE)
    mask[30:60, 30:60] = 1
    tracker.give_mask(1, 0, mask)
    tracker.give_mask(1, 4, mask)
    with torch.no_grad():
        bias.fill_(-50.0)
    try:
        asked.clear()
        found = dict(tracker.propagate(range(SLICES), patience=2))
    finally:
        with torch.no_grad():
            bias.fill_(0.5)
    assert {index for index in found if bool((found[index][1].logits > 0).any())} == {0, 4}
    assert set(asked) - {0, 4} == {1, 2, 5}, "slice 3 was not to be looked at, slice 5 follows a key slice"
    assert bool((found[3][1].logits == ABSENT).all())


def test_gradients_flow_from_the_last_slice_to_the_encoder(model: Any) -> None:
    volume = moving_slices(3, SIZE)
    model.requires_grad_(True)
    try:
        tracker = Tracker(model, cache(lambda index: encode_slice(model, volume[index : index + 1])), 3)
        tracker.click(1, 0, *POINT)
        *_, (_, answers) = tracker.propagate(range(3))
        answers[1].logits.mean().backward()
        reached = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    finally:
        model.zero_grad()
        model.requires_grad_(False)
    assert reached >= {"vision_encoder", "memory_attention", "memory_encoder", "mask_decoder", "object_pointer_proj"}


def test_an_empty_mask_says_that_the_object_is_not_there(tracker: Tracker) -> None:
    answer = tracker.give_mask(1, 0, torch.zeros(SIZE, SIZE))
    assert not (answer.logits > 0).any()
    assert float(answer.score) < 0


def test_a_prompt_taken_back_is_forgotten(tracker: Tracker) -> None:
    tracker.click(1, 0, *POINT)
    tracker.click(1, 2, *OTHER)
    tracker.forget(1, 2)
    assert tracker.key_slices(1) == (0,)
    tracker.forget(1)
    assert tracker.objects == ()


def test_the_nearest_key_slices_and_the_slices_behind_are_remembered(tracker: Tracker) -> None:
    answer = tracker.click(1, 0, *POINT)
    keys = {index: Memory(answer, torch.zeros(1)) for index in range(0, 100, 5)}
    others = {index: Memory(answer, torch.zeros(1)) for index in range(40, 60) if index % 5}
    upwards = recall(keys, others, 52, 1, reach=3, key_limit=4)
    assert [distance for distance, _ in upwards.memories] == [0, 0, 0, 0, 3, 1]  # slices 49 and 51; 50 is a key slice
    assert [distance for distance, _ in upwards.pointers][:2] == [2, 7]  # of key slices those behind only: 50, 45
    downwards = recall(keys, others, 52, -1, reach=3, key_limit=4)
    assert [distance for distance, _ in downwards.memories] == [0, 0, 0, 0, 2, 1]  # slices 54 and 53


def test_embeddings_in_half_precision_change_answers_little(model: Any, features: Features) -> None:
    kept = FeatureStore(features, SLICES)
    answers = []
    for source in (features, kept):
        tracker = Tracker(model, source, SLICES)
        tracker.click(1, 0, *POINT)
        answers.append([found[1].logits for _, found in tracker.propagate(range(SLICES))])
    for full, half in zip(*answers, strict=True):
        assert float((full - half).abs().max()) < 0.01 * float(full.max() - full.min() + 1)


def test_it_runs_in_bfloat16_as_on_a_gpu(model: Any, features: Features) -> None:
    with torch.inference_mode():
        full, half = Tracker(model, features, SLICES), Tracker(model, features, SLICES)
        expected = [full.click(1, 0, *POINT), *(found[1] for _, found in full.propagate(range(3)))]
        with torch.autocast("cpu", torch.bfloat16):
            answers = [half.click(1, 0, *POINT), *(found[1] for _, found in half.propagate(range(3)))]
            half.give_mask(1, 1, torch.ones(SIZE, SIZE))
            answers += [found[1] for _, found in half.propagate(range(2, -1, -1))]
    for ours, theirs in zip(answers, expected, strict=False):
        assert ours.logits.dtype == torch.float32
        assert ((ours.logits > 0) == (theirs.logits > 0)).float().mean() > 0.95
