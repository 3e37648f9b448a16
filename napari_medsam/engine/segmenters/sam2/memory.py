"""What the tracker remembers of an object, and how a new slice is seen in the light of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from napari_medsam.engine.segmenters.sam2.decoding import Answer
from napari_medsam.engine.segmenters.sam2.encoding import Positions, Sam2Model, SliceFeatures, tokens
from napari_medsam.engine.segmenters.sam2.memory_attention import attend

POINTERS = 16
"""Slices whose object pointers are remembered, as SAM 2 was trained."""


@dataclass(frozen=True, eq=False)
class Memory:
    """One object on one slice: the answer there and its memory ``(1, g * g, 64)`` bfloat16."""

    answer: Answer
    tokens: Tensor


def remember(model: Sam2Model, features: SliceFeatures, answer: Answer, *, is_key: bool) -> list[Memory]:
    """Memories of an answer for ``n`` objects, one for each.

    On a key slice the mask counts as sure, exactly as the user saw it; elsewhere by its probabilities.
    """
    n = len(answer.logits)
    size = (model.image_size, model.image_size)
    logits = functional.interpolate(answer.logits, size=size, mode="bilinear", align_corners=False)
    mask = (logits > 0).to(logits.dtype) if is_key else torch.sigmoid(logits)
    mask = mask * model.config.sigmoid_scale_for_mem_enc + model.config.sigmoid_bias_for_mem_enc
    encoded, _ = model.memory_encoder(features.coarse.expand(n, -1, -1, -1), mask)
    if model.occlusion_spatial_embedding_parameter is not None:  # SAM 2.0 has none
        absent = (answer.score <= 0).to(encoded.dtype)
        encoded = encoded + absent[..., None, None] * model.occlusion_spatial_embedding_parameter[..., None, None]
    # bfloat16 as the model was trained with, at half the memory.
    encoded = tokens(encoded.to(torch.bfloat16))
    return [Memory(answer[i], encoded[i : i + 1]) for i in range(n)]


@dataclass(frozen=True, eq=False)
class Recall:
    """What is remembered of one object for one slice.

    Parameters
    ----------
    memories : tuple of (int, Memory)
        Distance in slices and memory; distance 0 marks a key slice, wherever it is.
    pointers : tuple of (int, Tensor)
        Signed distance, positive behind the direction of travel, and pointer ``(1, 256)``.
    """

    memories: tuple[tuple[int, Memory], ...]
    pointers: tuple[tuple[int, Tensor], ...]

    @property
    def layout(self) -> tuple[int, int]:
        """Objects with equal layouts can share one pass through memory attention."""
        return len(self.memories), len(self.pointers)


def recall(
    keys: Mapping[int, Memory], tracked: Mapping[int, Memory], index: int, direction: int, reach: int, key_limit: int
) -> Recall:
    """Choose what to remember at slice ``index``.

    Parameters
    ----------
    keys, tracked : mapping of int to Memory
        Memories of key slices and of tracked ones, by slice.
    index : int
        The slice to be answered.
    direction : int
        1 when slices are visited upwards, -1 downwards.
    reach : int
        Tracked slices behind that are remembered with their masks.
    key_limit : int
        Key slices that are remembered, the nearest ones.
    """
    near = sorted(keys, key=lambda k: (abs(k - index), k))[:key_limit]
    memories = [(0, keys[k]) for k in near]
    behind = [(d, tracked[index - direction * d]) for d in range(1, POINTERS) if index - direction * d in tracked]
    memories += [(d, memory) for d, memory in reversed(behind) if d <= reach]
    pointers = [((index - k) * direction, keys[k].answer.pointer) for k in near if (index - k) * direction >= 0]
    pointers += [(d, memory.answer.pointer) for d, memory in behind]
    return Recall(tuple(memories), tuple(pointers))


def condition(
    model: Sam2Model, positions: Positions, features: SliceFeatures, recalls: Sequence[Recall], slices: int
) -> Tensor:
    """Coarse features of a slice in the light of memories.

    Parameters
    ----------
    recalls : sequence of Recall
        One per object, all of one layout.
    slices : int
        Slices of the volume, which scales the distances of pointers.

    Returns
    -------
    Tensor
        ``(n, 256, g, g)``.
    """
    parts = [_tokens_of(model, positions, recall, slices) for recall in recalls]
    pointers = len(recalls[0].pointers) * (model.hidden_dim // model.mem_dim)
    seen = attend(
        model.memory_attention,
        (tokens(features.coarse) + 0.1 * positions.slice).expand(len(recalls), -1, -1),
        torch.cat([memory for memory, _ in parts]),
        torch.cat([place for _, place in parts]),
        pointers,
        positions.turns,
    )
    return seen.transpose(1, 2).reshape(len(recalls), *features.coarse.shape[1:])


def without_memory(model: Sam2Model, features: SliceFeatures) -> Tensor:
    """Coarse features ``(1, 256, g, g)`` of a slice seen for the first time, as in a single image."""
    seen: Tensor = features.coarse + model.no_memory_embedding.reshape(1, -1, 1, 1)
    return seen


def _tokens_of(model: Sam2Model, positions: Positions, recall: Recall, slices: int) -> tuple[Tensor, Tensor]:
    dtype = positions.memory.dtype
    memories = [memory.tokens.to(dtype) for _, memory in recall.memories]
    # The last temporal encoding is that of key slices: the model was trained with distance 0 stored there.
    places = [
        positions.memory + model.memory_temporal_positional_encoding[distance - 1] for distance, _ in recall.memories
    ]
    if recall.pointers:
        memories.append(torch.cat([pointer for _, pointer in recall.pointers]).reshape(1, -1, model.mem_dim))
        places.append(_pointer_places(model, [distance for distance, _ in recall.pointers], slices))
    return torch.cat(memories, dim=1), torch.cat(places, dim=1)


def _pointer_places(model: Sam2Model, distances: Sequence[int], slices: int) -> Tensor:
    """Temporal encodings of pointers, ``(1, len(distances) * 4, 64)``: each pointer is read as four tokens."""
    split = model.hidden_dim // model.mem_dim
    device = model.no_object_pointer.device
    if not model.config.enable_temporal_pos_encoding_for_object_pointers:  # SAM 2.0
        return torch.zeros(1, len(distances) * split, model.mem_dim, device=device)
    scale = max(min(slices, POINTERS) - 1, 1)
    relative = torch.tensor(distances, dtype=torch.float32, device=device) / scale
    # Sinusoidal encoding of "Attention is all you need", arXiv 1706.03762.
    half = model.hidden_dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=device)
    angles = relative[:, None] / 10000 ** (2 * (steps // 2) / half)
    encoded = torch.cat([angles.sin(), angles.cos()], dim=-1)
    places: Tensor = model.temporal_positional_encoding_projection_layer(encoded)
    return places.repeat_interleave(split, dim=0)[None]
