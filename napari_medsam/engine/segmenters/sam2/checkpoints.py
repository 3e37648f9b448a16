"""Any SAM 2 checkpoint of the field as one model, told by looking at the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.segmenters.sam2.keys import is_meta_layout, to_hf_keys, with_both_positions
from napari_medsam.engine.segmenters.sam2.lora import merged_lora
from napari_medsam.engine.segmenters.sam2.misfits import difference, seems_to_be
from napari_medsam.engine.segmenters.sam2.sizes import Size, Version, check_image_size, sam2_config, size_of_trunk
from napari_medsam.engine.weights.card import Card, read_card
from napari_medsam.engine.weights.known import known_file
from napari_medsam.engine.weights.reading import Checkpoint, read_checkpoint

if TYPE_CHECKING:
    from transformers import Sam2VideoModel

_TRUNK = "vision_encoder.backbone."
# The two learned parts that came with version 2.1; either tells it.
_NEWER = ("occlusion_spatial_embedding_parameter", "temporal_positional_encoding_projection_layer.weight")


@dataclass(frozen=True)
class Sam2Weights:
    """A SAM 2 ready to be used.

    Parameters
    ----------
    model : transformers.Sam2VideoModel
        In evaluation mode, float32, on the CPU, for images of ``image_size``.
    version : str
        ``"2.0"`` or ``"2.1"``.
    size : str
        ``"tiny"``, ``"small"``, ``"base_plus"`` or ``"large"``.
    image_size : int
        Side of the square images it takes, pixels.
    sha256 : str
        Hex digest of the file: names the model in journals.
    """

    model: Sam2VideoModel
    version: Version
    size: Size
    image_size: int
    sha256: str


@dataclass(frozen=True)
class Sam2File:
    """What a checkpoint file holds, before a model is made of it.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        Weights in transformers' layout, float32, low-rank updates merged.
    version, size : str
        Which SAM 2.
    image_size : int or None
        Side of the images it was trained with, pixels, where that is known.
    sha256 : str
        Hex digest of the file.
    """

    state: Mapping[str, Tensor]
    version: Version
    size: Size
    image_size: int | None
    sha256: str


def build_sam2(size: Size, version: Version, image_size: int) -> Sam2VideoModel:
    """A SAM 2 with random weights, in evaluation mode.

    Raises
    ------
    WeightsError
        If the encoder cannot take images of that size.
    """
    config = sam2_config(size, version, image_size)
    # Imported here because it takes seconds.
    from transformers import Sam2VideoModel

    model = Sam2VideoModel(config)
    model.train(False)
    # One random matrix encodes positions of prompts and of the image; transformers holds it twice.
    model.shared_image_embedding.positional_embedding.copy_(model.prompt_encoder.shared_embedding.positional_embedding)
    return model


def load_sam2(path: str | Path, image_size: int | None = None) -> Sam2Weights:
    """Load a checkpoint of SAM 2 or of a model fine-tuned from it. Nothing in the file is executed.

    Parameters
    ----------
    path : str or pathlib.Path
        A ``.pt``, ``.pth`` or ``.safetensors`` file.
    image_size : int, optional
        Side of the square images to work with, pixels. When None, that of the ``.json`` beside the file or of the
        table of known models: no checkpoint says it.

    Raises
    ------
    WeightsError
        If the file cannot be read, is of another model, does not fit exactly, or its image size is unknown.
    """
    found = inspect_sam2(path)
    side = image_size if image_size is not None else found.image_size
    if side is None:
        raise WeightsError(
            f"{path} does not say the size of the images it was trained with: give the image size (512 for MedSAM2, "
            "1024 for Meta's own), or write it into a .json file beside the weights."
        )
    with torch.random.fork_rng(devices=[]), _NoRandomWeights():
        model = build_sam2(found.size, found.version, side)
    misfit = difference(found.state, model.state_dict())
    if misfit is not None:
        raise WeightsError(f"{path} is a SAM {found.version} {found.size} that does not fit: {misfit}.")
    model.load_state_dict(found.state)
    return Sam2Weights(model, found.version, found.size, side, found.sha256)


def inspect_sam2(path: str | Path) -> Sam2File:
    """Read a checkpoint and tell which SAM 2 it is. Nothing in the file is executed.

    Raises
    ------
    WeightsError
        If the file cannot be read, is of another model, or is not the one its card describes.
    """
    checkpoint = read_checkpoint(path)
    card = read_card(checkpoint.path)
    if card.sha256 not in (None, checkpoint.sha256):
        raise WeightsError(
            f"{path} is not the file its .json describes (sha256 {checkpoint.sha256[:12]}... and not "
            f"{card.sha256[:12]}...): it was changed or damaged; import or download it again."
        )
    tensors = {key: value.float() for key, value in checkpoint.tensors.items()}
    if is_meta_layout(tensors):
        state = to_hf_keys(merged_lora(tensors, card.lora_alpha))
    else:
        state = with_both_positions(tensors)
    size = _size(state)
    if size is None:
        raise WeightsError(f"{path} holds no SAM 2: it seems to be {seems_to_be(tensors)}.")
    broken = next((key for key, value in state.items() if not torch.isfinite(value).all()), None)
    if broken is not None:
        raise WeightsError(f"{path} is a SAM 2 whose training failed: {broken} holds values that are no numbers.")
    version: Version = "2.1" if any(key in state for key in _NEWER) else "2.0"
    return Sam2File(state, version, size, _image_size(checkpoint, card), checkpoint.sha256)


def _size(state: Mapping[str, Tensor]) -> Size | None:
    patches = state.get(f"{_TRUNK}patch_embed.projection.weight")
    if patches is None or f"{_TRUNK}pos_embed_window" not in state:
        return None
    prefix = f"{_TRUNK}blocks."
    blocks = {key.removeprefix(prefix).partition(".")[0] for key in state if key.startswith(prefix)}
    return size_of_trunk(patches.shape[0], len(blocks))


def _image_size(checkpoint: Checkpoint, card: Card) -> int | None:
    if card.image_size is not None:
        check_image_size(card.image_size)
        return card.image_size
    known = known_file(checkpoint.path, checkpoint.sha256)
    if known is not None:
        return known.image_size
    return _transformers_image_size(checkpoint.path)


def _transformers_image_size(path: Path) -> int | None:
    # transformers keeps a model as a folder with these two names.
    if path.name != "model.safetensors":
        return None
    try:
        config = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    side = config.get("image_size") if isinstance(config, dict) else None
    return side if isinstance(side, int) else None


class _NoRandomWeights(TorchFunctionMode):
    """Leaves out the random numbers that fresh modules fill themselves with, when a file is to replace them all.

    Filling costs far more than the rest of building a model: for the large one 3.9 s of processor time against 0.2 s.
    """

    _FILLING = frozenset({"kaiming_uniform_", "normal_", "trunc_normal_", "uniform_", "xavier_uniform_"})

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in self._FILLING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
