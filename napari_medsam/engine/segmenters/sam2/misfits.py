"""What a checkpoint that is no SAM 2 seems to be, said in one sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_SHOWN = 3

# Each: what it is, and a weight that it has and no SAM 2 has (dimensions where the name alone does not tell), the
# more particular first.
_STRANGERS: tuple[tuple[str, str, int | None], ...] = (
    ("SAM-Med3D", r"image_encoder\.patch_embed\.proj\.weight", 5),
    ("SAM-UNet or another model with a ResNet", r"(?:.+\.)?layer1\.0\.conv1\.weight", None),
    ("MobileSAM or LiteMedSAM", r"image_encoder\.patch_embed\.seq\..*", None),
    ("SAM 1, MedSAM or another fine-tune of SAM 1", r"image_encoder\.blocks\.\d+\.attn\.rel_pos_h", None),
    ("SAM 1 as transformers keeps it", r"vision_encoder\.layers\.\d+\.attn\.rel_pos_h", None),
    ("SAM 3", r"(?:detector|tracker|detector_model|tracker_model)\..*", None),
    ("an nnU-Net or nnInteractive", r"(?:encoder\.stages|decoder\.stages)\..*", None),
)


def seems_to_be(state: Mapping[str, Tensor]) -> str:
    """Name of the kind of model that weights in either layout of SAM 2, or in none, seem to be of."""
    for title, name, dimensions in _STRANGERS:
        pattern = re.compile(name)
        if any(pattern.fullmatch(key) and dimensions in (None, value.ndim) for key, value in state.items()):
            return title
    has_windows = any(key.endswith(".pos_embed_window") for key in state)
    if any(key.startswith("image_encoder.trunk.") for key in state) and not has_windows:
        return "EfficientTAM, efficient-medsam2 or EdgeTAM, whose image encoders are not SAM 2's"
    if has_windows:
        return "a SAM 2 whose image encoder has another shape than tiny, small, base_plus and large"
    first = ", ".join(sorted(state)[:_SHOWN])
    return f"no model this program knows (it begins with {first})"


def difference(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    """How weights in transformers' layout differ from those a model wants, as part of a sentence; None if not."""
    missing, foreign = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    memory = {key for key in wanted if key.startswith("memory_")}
    if memory and memory.isdisjoint(state):
        return "its memory is missing: it is a model for single images"
    if missing:
        return f"{len(missing)} of its weights are missing ({_shortened(missing)})"
    if foreign:
        return f"it has {len(foreign)} weights that SAM 2 has not ({_shortened(foreign)})"
    reshaped = [key for key in sorted(wanted) if state[key].shape != wanted[key].shape]
    if reshaped:
        key = reshaped[0]
        return f"{key} is of shape {tuple(state[key].shape)} and not {tuple(wanted[key].shape)}"
    return None


def _shortened(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (", ..." if len(keys) > _SHOWN else "")
