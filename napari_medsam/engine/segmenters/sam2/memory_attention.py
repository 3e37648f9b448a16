"""How a slice is seen in the light of memories: memory attention, over the weights that transformers holds.

What is computed is the same but for the order of sums, with less work on a processor. Rows of attention add up to one,
so memories may be averaged first, in their 64 channels, and projected to 256 after: a third of the operations less.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_THETA = 10000.0
"""Base of the rotary encoding's wavelengths in SAM 2."""

_SCORES = 8 << 20
"""Attention scores computed at a time on a processor, in 32 MB; with a quarter of that it takes half as long again."""


def rotations(channels: int, side: int, device: torch.device) -> Tensor:
    """Rotary encoding of the places of a slice: complex64 ``(side * side, channels / 2)``.

    Half of the pairs of channels turn with the column and half with the row (RoFormer, arXiv 2104.09864, along two
    axes, arXiv 2403.13298).
    """
    quarter = torch.arange(0, channels // 2, 2, dtype=torch.float32, device=device)
    frequencies = 1.0 / _THETA ** (quarter / (channels // 2))
    angles = torch.arange(side, dtype=torch.float32, device=device)[:, None] * frequencies
    columns = angles[None].expand(side, -1, -1)
    rows = angles[:, None].expand(-1, side, -1)
    both = torch.cat([columns, rows], dim=-1).flatten(0, 1)
    return torch.polar(torch.ones_like(both), both)


def attend(attention: Any, coarse: Tensor, memories: Tensor, places: Tensor, pointers: int, turns: Tensor) -> Tensor:
    """Features of a slice after they looked at memories.

    Parameters
    ----------
    attention : transformers.Sam2VideoMemoryAttention
        The module.
    coarse : Tensor
        ``(n, t, 256)`` features of ``n`` objects' slice with a tenth of their positions added; ``t`` places.
    memories, places : Tensor
        ``(n, m * t + pointers, 64)``: ``m`` whole memories, then the tokens of pointers; and their positions.
    pointers : int
        Tokens of pointers, which have no place in the slice.
    turns : Tensor
        From `rotations`.

    Returns
    -------
    Tensor
        ``(n, t, 256)``.
    """
    x, keys = coarse, memories + places
    # For all layers: fresh pages for each would cost a tenth of the time.
    scores = x.new_empty(_SCORES) if x.device.type == "cpu" and not torch.is_grad_enabled() else None
    for layer in attention.layers:
        x = x + layer.dropout1(_of_itself(layer.self_attn, layer.layer_norm1(x), turns))
        seen = layer.layer_norm2(x)
        x = x + layer.dropout2(_of_memories(layer.cross_attn_image, seen, keys, memories, pointers, turns, scores))
        x = x + layer.dropout3(layer.linear2(layer.dropout(layer.activation(layer.linear1(layer.layer_norm3(x))))))
    answer: Tensor = attention.layer_norm(x)
    return answer


def _of_itself(attention: Any, x: Tensor, turns: Tensor) -> Tensor:
    query, key = _turned(attention.q_proj(x), turns), _turned(attention.k_proj(x), turns)
    answer: Tensor = attention.o_proj(_fused(query, key, attention.v_proj(x)))
    return answer


def _of_memories(
    attention: Any,
    x: Tensor,
    keys: Tensor,
    memories: Tensor,
    pointers: int,
    turns: Tensor,
    scores: Tensor | None,
) -> Tensor:
    query, key = _turned(attention.q_proj(x), turns), attention.k_proj(keys)
    whole = key.shape[1] - pointers
    key = torch.cat([_turned(key[:, :whole], turns), key[:, whole:]], dim=1)
    if scores is not None and query.dtype == key.dtype == memories.dtype == scores.dtype:
        answer = attention.v_proj(_averaged(query, key, memories, scores))
    else:
        # Fused kernels want equally many channels everywhere, and keep no scores for gradients.
        answer = _fused(query, key, attention.v_proj(memories))
    projected: Tensor = attention.o_proj(answer)
    return projected


def _fused(query: Tensor, key: Tensor, values: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(query[:, None], key[:, None], values[:, None])[:, 0]


def _averaged(query: Tensor, key: Tensor, values: Tensor, scores: Tensor) -> Tensor:
    """Attention whose values have fewer channels than queries and keys, with room for some scores at a time."""
    query = query * query.shape[-1] ** -0.5
    answer = query.new_empty(*query.shape[:2], values.shape[2])
    rows = max(len(scores) // key.shape[1], 1)
    for queries, its_keys, its_values, its_answer in zip(query, key, values, answer, strict=True):
        for some, its_rows in zip(queries.split(rows), its_answer.split(rows), strict=True):
            weights = scores[: len(some) * len(its_keys)].view(len(some), len(its_keys))
            torch.mm(some, its_keys.T, out=weights)
            torch.softmax(weights, dim=-1, out=weights)
            torch.mm(weights, its_values, out=its_rows)
    return answer


def _turned(x: Tensor, turns: Tensor) -> Tensor:
    """Tokens ``(n, m * t, channels)`` turned by their places, in full precision as the model was trained."""
    places, pairs = turns.shape
    whole = torch.view_as_complex(x.float().reshape(len(x), -1, places, pairs, 2))
    return torch.view_as_real(whole * turns).reshape(x.shape).type_as(x)
