"""SAM 2's way of filling holes, bit for bit, told in scikit-image's and torch's words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.measure import label

from napari_medsam.engine import masks


def as_sam2_does(scores: torch.Tensor, max_area: int) -> torch.Tensor:
    """Components of ``scores <= 0``, 8-connected; those of at most ``max_area`` pixels become 0.1."""
    is_hole = np.zeros(scores.shape, bool)
    for index in np.ndindex(tuple(scores.shape[:-2])):
        labels = label((scores[index] <= 0).numpy(), connectivity=2)
        areas = np.bincount(labels.ravel())
        is_hole[index] = (labels > 0) & (areas[labels] <= max_area)
    return torch.where(torch.from_numpy(is_hole), 0.1, scores)


@pytest.mark.parametrize("seed", range(40))
def test_bit_for_bit(seed):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 4)), 1, int(rng.integers(1, 70)), int(rng.integers(1, 140)))
    scores = torch.from_numpy(rng.normal(rng.uniform(-1, 1), 1, shape).astype(np.float32))
    scores[torch.from_numpy(rng.random(shape) < 0.02)] = torch.nan
    scores[torch.from_numpy(rng.random(shape) < 0.02)] = 0.0
    expected = as_sam2_does(scores, 8)
    ours = masks.fill_holes_as_sam2(scores)
    assert torch.equal(ours.view(torch.int32), expected.view(torch.int32))
    assert np.array_equal(masks.fill_holes_as_sam2(scores.numpy()).view(np.int32), expected.numpy().view(np.int32))
    in_place = scores.clone()
    masks.fill_holes_as_sam2(in_place, out=in_place)
    assert torch.equal(in_place.view(torch.int32), expected.view(torch.int32))
