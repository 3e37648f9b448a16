"""Checkpoint files as the programs of the field write them, with weights that mean nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_medsam.engine.segmenters.sam2.keys import to_meta_keys
from napari_medsam.engine.segmenters.sam2.sizes import Size, Version, sam2_config


@cache
def shapes(size: Size, version: Version) -> dict[str, torch.Size]:
    """Names and shapes of a whole model in transformers' layout."""
    from transformers import Sam2VideoModel

    with torch.device("meta"):
        return {key: value.shape for key, value in Sam2VideoModel(sam2_config(size, version, 512)).state_dict().items()}


def transformers_state(size: Size = "tiny", version: Version = "2.1") -> dict[str, Tensor]:
    """Weights in transformers' layout: every tensor holds one number of its own, so that mixed up names show."""
    numbered = enumerate(shapes(size, version).items())
    state = {key: torch.tensor([number / 1000]).expand(shape) for number, (key, shape) in numbered}
    state["shared_image_embedding.positional_embedding"] = state["prompt_encoder.shared_embedding.positional_embedding"]
    return state


def published_state(size: Size = "tiny", version: Version = "2.1") -> dict[str, Tensor]:
    """Weights in the layout of the published code.

    Each is one number seen through a stride of zero, and so it is saved: a file of the large model takes some hundred
    kilobytes instead of 900 MB.
    """
    return to_meta_keys(transformers_state(size, version))


def save(path: Path, payload: Any) -> Path:
    torch.save(payload, path)
    return path


class Bomb:
    """Makes a file when it is unpickled by a reader that runs what it reads."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return open, (str(self.target), "w")


def small_checkpoint(path: Path, shift: float = 0.0) -> Path:
    """A SAM 2.1 tiny, of some hundred kilobytes; another ``shift``, other weights."""
    state = published_state()
    if shift:
        state = {key: (value.flatten()[:1] + shift).expand(value.shape) for key, value in state.items()}
    return save(path, {"model": state})
