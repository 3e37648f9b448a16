"""Any SAM 2 checkpoint of the field as one model, told by looking at the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.segmenters.sam2.keys import is_meta_layout, to_hf_keys, with_both_positions
from napari_medsam.engine.segmenters.sam2.sizes import Size, Version, check_image_size, sam2_config, size_of_trunk
from napari_medsam.engine.weights.reading import read_checkpoint

if TYPE_CHECKING:
    from transformers import Sam2VideoModel

_TRUNK = "vision_encoder.backbone."
_NEWER = "occlusion_spatial_embedding_parameter"


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
        Side of the square images the model was trained with, pixels; no checkpoint says it.

    Raises
    ------
    WeightsError
        If the file cannot be read, is of another model, does not fit exactly, or its image size is unknown.
    """
    checkpoint = read_checkpoint(path)
    tensors = {key: value.float() for key, value in checkpoint.tensors.items()}
    state = to_hf_keys(tensors) if is_meta_layout(tensors) else with_both_positions(tensors)
    size, version = recognise_sam2(state)
    if image_size is None:
        raise WeightsError(f"The image size {checkpoint.path.name} was trained for is not known: give it.")
    check_image_size(image_size)
    model = build_sam2(size, version, image_size)
    _refuse_misfit(checkpoint.path, state, model.state_dict())
    model.load_state_dict(state)
    return Sam2Weights(model, version, size, image_size, checkpoint.sha256)


def recognise_sam2(state: Mapping[str, Tensor]) -> tuple[Size, Version]:
    """Size and version of weights in transformers' layout.

    Raises
    ------
    WeightsError
        If they are not those of a SAM 2.
    """
    patches = state.get(f"{_TRUNK}patch_embed.projection.weight")
    prefix = f"{_TRUNK}blocks."
    blocks = {key.removeprefix(prefix).partition(".")[0] for key in state if key.startswith(prefix)}
    size = size_of_trunk(patches.shape[0], len(blocks)) if patches is not None else None
    if size is None:
        raise WeightsError("This is no SAM 2.")
    return size, "2.1" if _NEWER in state else "2.0"


def _refuse_misfit(path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    if {key: value.shape for key, value in state.items()} != {key: value.shape for key, value in wanted.items()}:
        raise WeightsError(f"{path} does not fit.")
