"""The image encoder's way from pixels to features, over the weights that transformers holds.

Its own way computes an attention in every block and positions of every level that nobody uses: an eighth of its time on
a processor. What is computed here is the same to the last bit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def patch_positions(encoder: Any, image_size: int) -> Tensor:
    """Learned positions of the patches of an image, ``(1, image_size / 4, image_size / 4, channels)``."""
    trunk, side = encoder.backbone, image_size // 4
    background = functional.interpolate(trunk.pos_embed, size=(side, side), mode="bicubic")
    repeats = side // trunk.pos_embed_window.shape[-1]
    positions: Tensor = (background + trunk.pos_embed_window.tile(1, 1, repeats, repeats)).permute(0, 2, 3, 1)
    return positions


def pyramid(encoder: Any, pixels: Tensor, patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features of images at a quarter, an eighth and a sixteenth of their size.

    Parameters
    ----------
    encoder : transformers.Sam2VisionModel
        The encoder.
    pixels : Tensor
        ``(n, 3, s, s)`` normalised as ImageNet.
    patches : Tensor
        From `patch_positions`.

    Returns
    -------
    tuple of three Tensors
        ``(n, 256, side, side)``, from fine to coarse.
    """
    trunk, convolutions = encoder.backbone, encoder.neck.convs
    x = trunk.patch_embed(pixels) + patches
    stages = []
    for index, block in enumerate(trunk.blocks):
        x = _through(block, x)
        if index in trunk.stage_ends:
            stages.append(x)
    deepest, coarse, middle, fine = (
        convolve(stage.permute(0, 3, 1, 2)) for convolve, stage in zip(convolutions, reversed(stages), strict=True)
    )
    # Of SAM 2's levels only this one is told what the next coarser one saw.
    return fine, middle, coarse + functional.interpolate(deepest, scale_factor=2.0, mode="nearest")


def _through(block: Any, x: Tensor) -> Tensor:
    """One block of Hiera (arXiv 2306.00989) on tokens ``(n, rows, columns, channels)``."""
    seen = block.layer_norm1(x)
    if block.dim != block.dim_out:
        x = _pooled(block.proj(seen), block.query_stride)
    if block.window_size:
        answer = _attention(block.attn, _windows(seen, block.window_size), block.query_stride)
        x = x + _whole(answer, x.shape)
    else:
        x = x + _attention(block.attn, seen, block.query_stride)
    after: Tensor = x + block.mlp(block.layer_norm2(x))
    return after


def _attention(attention: Any, x: Tensor, stride: tuple[int, int] | None) -> Tensor:
    n, rows, columns, _ = x.shape
    heads = attention.num_attention_heads
    query, key, value = attention.qkv(x).reshape(n, rows * columns, 3, heads, -1).unbind(2)
    if stride is not None:
        query = _pooled(query.reshape(n, rows, columns, -1), stride)
        rows, columns = query.shape[1:3]
        query = query.reshape(n, rows * columns, heads, -1)
    answer = functional.scaled_dot_product_attention(
        query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), scale=attention.scale
    )
    projected: Tensor = attention.proj(answer.transpose(1, 2).reshape(n, rows, columns, -1))
    return projected


def _pooled(x: Tensor, stride: tuple[int, int] | None) -> Tensor:
    if stride is None:
        return x
    return functional.max_pool2d(x.permute(0, 3, 1, 2), stride).permute(0, 2, 3, 1)


def _windows(x: Tensor, side: int) -> Tensor:
    """Tokens ``(n, rows, columns, c)``, padded with zeros, as windows ``(n * windows, side, side, c)``."""
    n, rows, columns, channels = x.shape
    down, right = -rows % side, -columns % side
    if down or right:
        x = functional.pad(x, (0, 0, 0, right, 0, down))
    x = x.view(n, (rows + down) // side, side, (columns + right) // side, side, channels)
    return x.transpose(2, 3).reshape(-1, side, side, channels)


def _whole(windows: Tensor, shape: torch.Size) -> Tensor:
    """Inverse of `_windows`: tokens of ``shape``."""
    (n, rows, columns, channels), side = shape, windows.shape[1]
    down, across = -(-rows // side), -(-columns // side)
    x = windows.view(n, down, across, side, side, channels).transpose(2, 3)
    return x.reshape(n, down * side, across * side, channels)[:, :rows, :columns]
