"""The encoder and memory attention beside transformers' own way through the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lively import lively_sam2, moving_slices

from napari_medsam.engine.segmenters.sam2 import memory_attention
from napari_medsam.engine.segmenters.sam2.encoding import Positions, encode_slice
from napari_medsam.engine.segmenters.sam2.memory_attention import attend
from napari_medsam.engine.segmenters.sam2.sizes import Size

SIDE = 8  # of the coarse features of an image of 128 x 128
MEMORIES, POINTERS = 3, 8


@pytest.fixture(scope="module")
def model() -> Any:
    return lively_sam2(image_size=16 * SIDE).requires_grad_(False)


@pytest.mark.parametrize(("size", "image_size"), [("tiny", 128), ("small", 224), ("base_plus", 128), ("large", 128)])
def test_embeddings_are_the_same_to_the_last_bit(size: Size, image_size: int) -> None:
    model, pixels = lively_sam2(size, image_size), moving_slices(1, image_size)
    with torch.inference_mode():
        fine, middle, coarse = model.vision_encoder(pixels).fpn_hidden_states
        expected = model.mask_decoder.conv_s0(fine), model.mask_decoder.conv_s1(middle), coarse
        for positions in (None, Positions.of(model)):
            found = encode_slice(model, pixels, positions).tensors
            assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


def remembered(objects: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(objects)
    tokens = MEMORIES * SIDE**2 + POINTERS
    return (
        torch.randn(objects, SIDE**2, 256, generator=random),
        torch.randn(objects, tokens, 64, generator=random),
        torch.randn(objects, tokens, 64, generator=random),
    )


@pytest.mark.parametrize("objects", [1, 3])
@pytest.mark.parametrize("room", [1 << 20, 10_000, 300], ids=["all at once", "some at a time", "one at a time"])
@pytest.mark.parametrize("gradients", [False, True])
def test_memory_attention_is_the_same(
    model: Any, objects: int, room: int, gradients: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_attention, "_SCORES", room)
    positions, (coarse, memories, places) = Positions.of(model), remembered(objects)
    with torch.set_grad_enabled(gradients):
        seen = attend(
            model.memory_attention, coarse + 0.1 * positions.slice, memories, places, POINTERS, positions.turns
        )
        expected = model.memory_attention(
            coarse.transpose(0, 1),
            memories.transpose(0, 1),
            positions.slice.transpose(0, 1).expand(-1, objects, -1),
            places.transpose(0, 1),
            POINTERS,
        )
    torch.testing.assert_close(seen, expected.reshape(objects, SIDE**2, 256), atol=2e-5, rtol=0)
