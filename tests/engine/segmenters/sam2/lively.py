"""SAM 2 with random weights whose answers are worth comparing, the same on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_medsam.engine.segmenters.sam2.checkpoints import build_sam2
from napari_medsam.engine.segmenters.sam2.sizes import Size, Version


def lively_sam2(size: Size = "tiny", image_size: int = 256, version: Version = "2.1", seed: int = 0) -> Any:
    """A SAM 2 whose random weights make masks of both signs and objects that are mostly there.

    Nothing is zero, as it is in a fresh model in many places: that would hide mistakes there. numpy's legacy generator
    is frozen for good, so that the weights are the same wherever the golden files are read.
    """
    random = np.random.RandomState(seed)
    model = build_sam2(size, version, image_size)
    state = model.state_dict()
    for name in sorted(state):
        weight = state[name]
        noise = torch.from_numpy(random.standard_normal(tuple(weight.shape)).astype(np.float32))
        weight.copy_(noise * _spread(name, weight) + _centre(name, weight))
    model.shared_image_embedding.positional_embedding.copy_(model.prompt_encoder.shared_embedding.positional_embedding)
    return model


def _spread(name: str, weight: Tensor) -> float:
    leaf = name.rpartition(".")[2]
    if leaf == "positional_embedding":
        return 1.0
    if weight.ndim > 1 and leaf == "weight" and "point_embed" not in name:
        return float(weight[0].numel() ** -0.5)
    return 0.2 if weight.ndim > 1 else 0.1


def _centre(name: str, weight: Tensor) -> float:
    if name == "mask_decoder.pred_obj_score_head.proj_out.bias":
        return 1.0
    return 1.0 if weight.ndim == 1 and name.endswith("weight") else 0.0


def moving_slices(count: int, image_size: int, seed: int = 0) -> Tensor:
    """Slices ``(count, 3, s, s)`` in which bright blobs move and change slowly, as organs do."""
    random = np.random.RandomState(seed)
    axis = np.linspace(-1, 1, image_size)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    slices = []
    for index in range(count):
        shift = 0.03 * index
        picture = np.exp(-((x + 0.4 - shift) ** 2 + (y + 0.2) ** 2) / 0.08)
        picture += 0.7 * np.exp(-((x - 0.4) ** 2 + (y - 0.4 + shift) ** 2) / 0.15)
        picture += 0.1 * random.standard_normal((image_size, image_size))
        slices.append(np.broadcast_to(picture * 2 - 1, (3, image_size, image_size)))
    return torch.from_numpy(np.stack(slices).astype(np.float32))
