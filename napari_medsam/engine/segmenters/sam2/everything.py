"""Everything on a slice: a grid of clicks, the answers the model is sure of, and one of each that are the same.

The way of SAM's automatic mask generator (Kirillov et al., Segment Anything, 2023, appendix B), with its thresholds; of
three masks for a click the best is taken, and masks are the same by their own overlap and not by that of their boxes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_medsam.engine.segmenters.sam2.decoding import Clicks, decode
from napari_medsam.engine.segmenters.sam2.encoding import Positions, Sam2Model, SliceFeatures
from napari_medsam.engine.segmenters.sam2.memory import without_memory
from napari_medsam.engine.task import Task

GRID = 16
"""Clicks along each side. SAM takes 32 on photographs; organs are larger, and a processor needs 4 times less for 16."""

SURE = 0.8
"""Least estimated IoU."""

STABLE = 0.95
"""Least IoU of the masks at logits of plus and minus `MARGIN`."""

MARGIN = 1.0

SAME = 0.7
"""Masks that overlap by this IoU or more are one object."""

LARGEST = 0.9
"""Part of the slice above which a mask is its background."""

_BATCH = 64  # clicks in a pass of the decoder


def masks_of_everything(
    model: Sam2Model,
    positions: Positions,
    features: SliceFeatures,
    task: Task,
    grid: int = GRID,
    sure: float = SURE,
    stable: float = STABLE,
) -> tuple[Tensor, Tensor]:
    """All objects the model sees on a slice.

    Parameters
    ----------
    model, positions, features
        The model, and the slice as it sees it.
    task : Task
        Progress and cancellation.
    grid : int
        Clicks along each side.
    sure, stable : float
        Least estimated IoU and least stability of a mask that counts.

    Returns
    -------
    logits : Tensor
        ``(n, 1, s / 4, s / 4)``, the surest first.
    ious : Tensor
        ``(n,)`` estimated.

    Raises
    ------
    Cancelled
        If ``task`` was cancelled.
    """
    seen = without_memory(model, features)
    places = _grid(grid, model.image_size).to(seen.device)
    logits, ious = [], []
    for start in range(0, len(places), _BATCH):
        task.progress(start / len(places), "Looking for everything")
        clicks = places[start : start + _BATCH, None]
        labels = torch.ones(clicks.shape[:2], dtype=torch.int32, device=seen.device)
        answer = decode(model, positions, features, seen.expand(len(clicks), -1, -1, -1), Clicks(clicks, labels))
        good = (answer.iou >= sure) & (_stability(answer.logits) >= stable) & _is_object(answer.logits)
        logits.append(answer.logits[good])
        ious.append(answer.iou[good].float())
    found, certainty = torch.cat(logits), torch.cat(ious)
    order = certainty.argsort(descending=True, stable=True)
    found, certainty = found[order], certainty[order]
    kept = distinct((found > 0).flatten(1), SAME)
    return found[kept], certainty[kept]


def distinct(masks: Tensor, same: float) -> Tensor:
    """Indices of the masks ``(n, pixels)`` of which none before is the same: non-maximum suppression by IoU."""
    pixels = masks.float()
    common = pixels @ pixels.T
    areas = pixels.sum(dim=1)
    overlap = (common / (areas[:, None] + areas[None] - common).clamp_min(1)).cpu().numpy()
    kept: list[int] = []
    for index in range(len(overlap)):
        if not np.any(overlap[index, kept] >= same):
            kept.append(index)
    return torch.tensor(kept, dtype=torch.long, device=masks.device)


def _grid(count: int, size: int) -> Tensor:
    line = (torch.arange(count, dtype=torch.float32) + 0.5) * (size / count) - 0.5
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


def _stability(logits: Tensor) -> Tensor:
    high, low = (logits > MARGIN).flatten(1).sum(1), (logits > -MARGIN).flatten(1).sum(1)
    return high / low.clamp_min(1)


def _is_object(logits: Tensor) -> Tensor:
    part = (logits > 0).flatten(1).float().mean(1)
    return (part > 0) & (part < LARGEST)
