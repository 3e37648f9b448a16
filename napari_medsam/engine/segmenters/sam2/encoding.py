"""What the image encoder says about a slice, and the positions that are the same for every slice.

The model is transformers' ``Sam2VideoModel``, of which only the parts are used (encoder, prompt encoder, mask decoder,
memory attention, memory encoder), never its session: that loses corrections and cannot be trained through.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from napari_medsam.engine.segmenters.sam2.image_encoder import patch_positions, pyramid
from napari_medsam.engine.segmenters.sam2.memory_attention import rotations

Sam2Model = Any
"""``transformers.Sam2VideoModel``; not named as a type because its import takes seconds and it has no useful types."""


@dataclass(frozen=True, eq=False)
class SliceFeatures:
    """Embeddings of one slice, shared by all objects and all prompts.

    Parameters
    ----------
    fine : Tensor
        ``(1, 32, s / 4, s / 4)`` where ``s`` is the model's image size.
    middle : Tensor
        ``(1, 64, s / 8, s / 8)``.
    coarse : Tensor
        ``(1, 256, s / 16, s / 16)``: what memories and prompts act on.
    """

    fine: Tensor
    middle: Tensor
    coarse: Tensor

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """All three, from fine to coarse."""
        return self.fine, self.middle, self.coarse

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def to(self, *args: Any, **kwargs: Any) -> SliceFeatures:
        """The same on another device or in another precision, as `torch.Tensor.to`."""
        return SliceFeatures(*(getattr(self, field.name).to(*args, **kwargs) for field in fields(self)))


def encode_slice(model: Sam2Model, pixels: Tensor, positions: Positions | None = None) -> SliceFeatures:
    """Run the image encoder.

    Parameters
    ----------
    model : Sam2VideoModel
        The model.
    pixels : Tensor
        ``(1, 3, s, s)`` normalised as ImageNet, on the model's device.
    positions : Positions, optional
        Of the model, where they were made before; without them gradients reach the learned ones.
    """
    encoder = model.vision_encoder
    patches = patch_positions(encoder, model.image_size) if positions is None else positions.patches
    fine, middle, coarse = pyramid(encoder, pixels, patches)
    # The decoder's projections of the two fine levels do not depend on prompts: done here, they are done once a slice.
    return SliceFeatures(model.mask_decoder.conv_s0(fine), model.mask_decoder.conv_s1(middle), coarse)


def feature_shapes(image_size: int) -> tuple[tuple[int, int, int], ...]:
    """``(channels, height, width)`` of the three tensors of a slice."""
    fine, middle, coarse = (image_size // stride for stride in (4, 8, 16))
    return (32, fine, fine), (64, middle, middle), (256, coarse, coarse)


@dataclass(frozen=True, eq=False)
class Positions:
    """Position encodings, which are the same for every slice.

    Parameters
    ----------
    decoder : Tensor
        ``(1, 256, g, g)`` for the mask decoder; ``g`` is the side of the coarse features.
    slice : Tensor
        ``(1, g * g, 256)`` for the slice in memory attention.
    memory : Tensor
        ``(1, g * g, 64)`` for a memory in memory attention.
    turns : Tensor
        Rotary encoding for both there; see `rotations`.
    patches : Tensor
        Learned positions for the encoder; see `patch_positions`.
    """

    decoder: Tensor
    slice: Tensor
    memory: Tensor
    turns: Tensor
    patches: Tensor

    @classmethod
    def of(cls, model: Sam2Model) -> Positions:
        """The encodings of a model on its device."""
        side = model.image_size // 16
        device = model.no_memory_embedding.device
        # In full precision wherever the model runs: neighbours differ in digits that bfloat16 has not.
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            encoder = model.vision_encoder.neck.position_encoding(
                torch.Size((1, model.hidden_dim, side, side)), device, torch.float32
            )
            memory = model.memory_encoder.position_encoding(
                torch.Size((1, model.mem_dim, side, side)), device, torch.float32
            )
            decoder = model.get_image_wide_positional_embeddings()
            turns = rotations(model.hidden_dim, side, device)
            patches = patch_positions(model.vision_encoder, model.image_size)
        return cls(decoder, tokens(encoder), tokens(memory), turns, patches)


def tokens(grid: Tensor) -> Tensor:
    """``(n, channels, height, width)`` as ``(n, height * width, channels)``, the order memory attention reads."""
    return grid.flatten(2).transpose(1, 2).contiguous()
