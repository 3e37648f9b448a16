"""From prompts and features of a slice to the model's answer there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from napari_medsam.engine.segmenters.sam2.encoding import Positions, Sam2Model, SliceFeatures

ABSENT = -1024.0
"""Logit of every pixel of a slice where the model says the object is not: the value SAM 2 was trained with."""

LOGIT_LIMIT = 32.0
"""Logits fed back with further clicks are clamped to this on both sides, as SAM 2's own predictor does."""

MASK_LOGIT = 10.0
"""A mask given by the user counts as logits of plus and minus this, as in SAM 2."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model says about ``n`` objects on one slice.

    Parameters
    ----------
    logits : Tensor
        ``(n, 1, s / 4, s / 4)``; the object is where they are positive.
    iou : Tensor
        ``(n,)``: the model's estimate of the mask's IoU with the truth.
    score : Tensor
        ``(n, 1)``: logit of the object being on this slice at all.
    pointer : Tensor
        ``(n, 256)``: the object in a vector, remembered beside the mask.
    """

    logits: Tensor
    iou: Tensor
    score: Tensor
    pointer: Tensor

    def __getitem__(self, index: int) -> Answer:
        one = slice(index, index + 1)
        return Answer(self.logits[one], self.iou[one], self.score[one], self.pointer[one])


@dataclass(frozen=True, eq=False)
class Clicks:
    """Points on one slice.

    Parameters
    ----------
    places : Tensor
        ``(n, points, 2)`` float32 as (x, y) in pixels of the model's input, integers at pixel centres.
    labels : Tensor
        ``(n, points)`` int32: 1 inside, 0 outside, 2 and 3 the two corners of a box, -1 no point.
    """

    places: Tensor
    labels: Tensor

    @classmethod
    def none(cls, n: int, device: torch.device) -> Clicks:
        """No click on ``n`` objects, in the form in which the model knows it."""
        labels = torch.full((n, 1), -1, dtype=torch.int32, device=device)
        return cls(torch.zeros(n, 1, 2, device=device), labels)

    @property
    def count(self) -> int:
        """Points that mean something."""
        return int((self.labels[0] >= 0).sum())


def decode(
    model: Sam2Model,
    positions: Positions,
    features: SliceFeatures,
    conditioned: Tensor,
    clicks: Clicks,
    previous: Tensor | None = None,
    several: bool | None = None,
) -> Answer:
    """Answer clicks.

    Parameters
    ----------
    model : Sam2VideoModel
        The model.
    positions : Positions
        Of the model.
    features : SliceFeatures
        Of the slice.
    conditioned : Tensor
        ``(n, 256, g, g)``: coarse features after memory attention, or with the model's "no memory" added.
    clicks : Clicks
        For ``n`` objects.
    previous : Tensor, optional
        ``(n, 1, s / 4, s / 4)`` logits of the answer so far, which the clicks correct; see `LOGIT_LIMIT`.
    several : bool, optional
        Whether to take the best by estimated IoU of three masks, which is for ambiguous prompts: by default with one
        click and with none, as the model was trained.
    """
    n = len(conditioned)
    if several is None:
        several = clicks.count <= 1
    sparse, dense = model.prompt_encoder(
        input_points=clicks.places[:, None],
        input_labels=clicks.labels[:, None],
        input_boxes=None,
        input_masks=previous,
    )
    masks, ious, mask_tokens, score = model.mask_decoder(
        image_embeddings=conditioned,
        image_positional_embeddings=positions.decoder.expand(n, -1, -1, -1),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=several,
        high_resolution_features=[level.expand(n, -1, -1, -1) for level in (features.fine, features.middle)],
    )
    masks, ious, mask_tokens, score = masks[:, 0], ious[:, 0], mask_tokens[:, 0], score[:, 0]
    objects = torch.arange(n, device=masks.device)
    best = ious.argmax(dim=-1)
    there = score > 0
    return Answer(
        logits=torch.where(there[..., None, None], masks[objects, best][:, None].float(), ABSENT),
        iou=ious[objects, best],
        score=score,
        pointer=_pointer(model, mask_tokens[objects, best], there),
    )


def accept_mask(model: Sam2Model, positions: Positions, features: SliceFeatures, mask: Tensor) -> Answer:
    """A mask of the user as an answer: taken as it is, the decoder only makes the object's pointer from it.

    Parameters
    ----------
    mask : Tensor
        ``(n, 1, s, s)`` float32, one inside the object and zero outside; all zero says that it is not on this slice.
    """
    n = len(mask)
    coarse = features.coarse.expand(n, -1, -1, -1)
    seen = decode(
        model,
        positions,
        features,
        coarse,
        Clicks.none(n, coarse.device),
        model.mask_downsample(mask),
        several=False,
    )
    there = mask.flatten(1).amax(dim=1, keepdim=True) > 0
    logits = functional.interpolate(
        (2 * mask - 1) * MASK_LOGIT, scale_factor=0.25, mode="bilinear", align_corners=False, antialias=True
    )
    present = there.to(seen.pointer.dtype)
    return Answer(
        logits=logits,
        iou=torch.ones(n, device=mask.device),
        score=(2 * present - 1) * MASK_LOGIT,
        pointer=present * seen.pointer + (1 - present) * model.no_object_pointer,
    )


def _pointer(model: Sam2Model, token: Tensor, there: Tensor) -> Tensor:
    pointer: Tensor = model.object_pointer_proj(token)
    present = there.to(pointer.dtype)
    held: Tensor = present * pointer + (1 - present) * model.no_object_pointer
    return held
