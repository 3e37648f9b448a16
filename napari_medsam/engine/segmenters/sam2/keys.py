"""Names of SAM 2's weights in the published code and in transformers, one to one.

The published layout is that of every ``.pt`` and ``.pth`` file of the field; transformers' is that of its
``model.safetensors``. Three things are more than a new name: four point embeddings are one table of four rows, and
the random matrix of the positional encoding is held twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

_MOST_BLOCKS = 48  # of the largest trunk

_POINTS = "sam_prompt_encoder.point_embeddings.{}.weight"
_POINT_TABLE = "prompt_encoder.point_embed.weight"
_POSITIONS = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
_PROMPT_POSITIONS = "prompt_encoder.shared_embedding.positional_embedding"
_IMAGE_POSITIONS = "shared_image_embedding.positional_embedding"


def is_meta_layout(keys: Mapping[str, object]) -> bool:
    """Whether the keys are those of the published code."""
    return any(key.startswith("image_encoder.trunk.") for key in keys)


def is_hf_layout(keys: Mapping[str, object]) -> bool:
    """Whether the keys are those of transformers."""
    return any(key.startswith("vision_encoder.backbone.") for key in keys)


def to_hf_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the published layout in transformers' layout; tensors are shared where they can be.

    Names it does not know are passed on as they are, so that a strict load tells of them.
    """
    renamed = {_renamed(key, _TO_HF): value for key, value in state.items() if not _is_special(key)}
    points = [_POINTS.format(row) for row in range(4)]
    if all(key in state for key in points):
        renamed[_POINT_TABLE] = torch.cat([state[key] for key in points])
    if _POSITIONS in state:
        renamed[_PROMPT_POSITIONS] = state[_POSITIONS]
        renamed[_IMAGE_POSITIONS] = state[_POSITIONS]
    return renamed


def to_meta_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Exact inverse of `to_hf_keys`.

    Raises
    ------
    ValueError
        If the two copies of the positional encoding differ: the published layout has room for one.
    """
    special = (_POINT_TABLE, _PROMPT_POSITIONS, _IMAGE_POSITIONS)
    renamed = {_renamed(key, _TO_META): value for key, value in state.items() if key not in special}
    if _POINT_TABLE in state:
        table = state[_POINT_TABLE]
        renamed |= {_POINTS.format(row): table[row : row + 1] for row in range(len(table))}
    copies = [state[key] for key in (_PROMPT_POSITIONS, _IMAGE_POSITIONS) if key in state]
    if copies:
        if not all(torch.equal(copy, copies[0]) for copy in copies):
            raise ValueError("the positional encodings of prompts and image differ")
        renamed[_POSITIONS] = copies[0]
    return renamed


def with_both_positions(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in transformers' layout with both copies of the positional encoding.

    Early versions of transformers tied the two and saved one.
    """
    completed = dict(state)
    for one, other in ((_PROMPT_POSITIONS, _IMAGE_POSITIONS), (_IMAGE_POSITIONS, _PROMPT_POSITIONS)):
        if one in state and other not in state:
            completed[other] = state[one]
    return completed


def _is_special(key: str) -> bool:
    return key == _POSITIONS or key in {_POINTS.format(row) for row in range(4)}


def _renamed(key: str, names: Mapping[str, str]) -> str:
    if key in names:
        return names[key]
    module, dot, leaf = key.rpartition(".")
    return names.get(module, module) + dot + leaf


def _pairs() -> Iterator[tuple[str, str]]:
    """Modules and lone parameters, published name first; a leaf ``.weight`` or ``.bias`` is the same in both."""
    yield from _loose()
    yield from _trunk()
    yield from _prompt_encoder()
    yield from _mask_decoder()
    yield from _memory()


def _loose() -> Iterator[tuple[str, str]]:
    yield "maskmem_tpos_enc", "memory_temporal_positional_encoding"
    yield "no_mem_embed", "no_memory_embedding"
    yield "no_mem_pos_enc", "no_memory_positional_encoding"
    yield "no_obj_ptr", "no_object_pointer"
    yield "no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"
    yield "obj_ptr_tpos_proj", "temporal_positional_encoding_projection_layer"
    yield from _three_layers("obj_ptr_proj", "object_pointer_proj")
    # `mask_downsample` is the same in both.


def _trunk() -> Iterator[tuple[str, str]]:
    meta, hf = "image_encoder.trunk", "vision_encoder.backbone"
    yield f"{meta}.pos_embed", f"{hf}.pos_embed"
    yield f"{meta}.pos_embed_window", f"{hf}.pos_embed_window"
    yield f"{meta}.patch_embed.proj", f"{hf}.patch_embed.projection"
    for block in range(_MOST_BLOCKS):
        old, new = f"{meta}.blocks.{block}", f"{hf}.blocks.{block}"
        yield f"{old}.norm1", f"{new}.layer_norm1"
        yield f"{old}.norm2", f"{new}.layer_norm2"
        yield f"{old}.attn.qkv", f"{new}.attn.qkv"
        yield f"{old}.attn.proj", f"{new}.attn.proj"
        yield f"{old}.proj", f"{new}.proj"
        yield from _two_layers(f"{old}.mlp", f"{new}.mlp")
    for level in range(4):
        yield f"image_encoder.neck.convs.{level}.conv", f"vision_encoder.neck.convs.{level}"


def _prompt_encoder() -> Iterator[tuple[str, str]]:
    meta, hf = "sam_prompt_encoder", "prompt_encoder"
    yield f"{meta}.not_a_point_embed", f"{hf}.not_a_point_embed"
    yield f"{meta}.no_mask_embed", f"{hf}.no_mask_embed"
    for place, name in ((0, "conv1"), (1, "layer_norm1"), (3, "conv2"), (4, "layer_norm2"), (6, "conv3")):
        yield f"{meta}.mask_downscaling.{place}", f"{hf}.mask_embed.{name}"


def _mask_decoder() -> Iterator[tuple[str, str]]:
    meta, hf = "sam_mask_decoder", "mask_decoder"
    for token in ("iou_token", "mask_tokens", "obj_score_token", "conv_s0", "conv_s1"):
        yield f"{meta}.{token}", f"{hf}.{token}"
    for layer in range(2):
        old, new = f"{meta}.transformer.layers.{layer}", f"{hf}.transformer.layers.{layer}"
        for attention in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token"):
            yield from _attention(f"{old}.{attention}", f"{new}.{attention}")
        for norm in range(1, 5):
            yield f"{old}.norm{norm}", f"{new}.layer_norm{norm}"
        yield from _two_layers(f"{old}.mlp", f"{new}.mlp")
    final = "transformer.final_attn_token_to_image"
    yield from _attention(f"{meta}.{final}", f"{hf}.{final}")
    yield f"{meta}.transformer.norm_final_attn", f"{hf}.transformer.layer_norm_final_attn"
    for place, name in ((0, "upscale_conv1"), (1, "upscale_layer_norm"), (3, "upscale_conv2")):
        yield f"{meta}.output_upscaling.{place}", f"{hf}.{name}"
    for mask in range(4):
        name = f"output_hypernetworks_mlps.{mask}"
        yield from _three_layers(f"{meta}.{name}", f"{hf}.{name}")
    for head in ("iou_prediction_head", "pred_obj_score_head"):
        yield from _three_layers(f"{meta}.{head}", f"{hf}.{head}")


def _memory() -> Iterator[tuple[str, str]]:
    yield "memory_attention.norm", "memory_attention.layer_norm"
    for layer in range(4):
        name = f"memory_attention.layers.{layer}"
        for attention in ("self_attn", "cross_attn_image"):
            yield from _attention(f"{name}.{attention}", f"{name}.{attention}")
        for norm in range(1, 4):
            yield f"{name}.norm{norm}", f"{name}.layer_norm{norm}"
        # `linear1` and `linear2` are the same in both.
    encoder, mask_encoder = "memory_encoder", "memory_encoder.mask_downsampler"
    yield f"{encoder}.pix_feat_proj", f"{encoder}.feature_projection"
    yield f"{encoder}.out_proj", f"{encoder}.projection"
    for layer in range(4):
        yield f"{mask_encoder}.encoder.{3 * layer}", f"{mask_encoder}.layers.{layer}.conv"
        yield f"{mask_encoder}.encoder.{3 * layer + 1}", f"{mask_encoder}.layers.{layer}.layer_norm"
    yield f"{mask_encoder}.encoder.12", f"{mask_encoder}.final_conv"
    for layer in range(2):
        old, new = f"{encoder}.fuser.layers.{layer}", f"{encoder}.memory_fuser.layers.{layer}"
        yield f"{old}.gamma", f"{new}.scale"
        yield f"{old}.dwconv", f"{new}.depthwise_conv"
        yield f"{old}.norm", f"{new}.layer_norm"
        yield f"{old}.pwconv1", f"{new}.pointwise_conv1"
        yield f"{old}.pwconv2", f"{new}.pointwise_conv2"


def _attention(old: str, new: str) -> Iterator[tuple[str, str]]:
    yield f"{old}.out_proj", f"{new}.o_proj"
    for part in ("q_proj", "k_proj", "v_proj"):
        yield f"{old}.{part}", f"{new}.{part}"


def _two_layers(old: str, new: str) -> Iterator[tuple[str, str]]:
    yield f"{old}.layers.0", f"{new}.proj_in"
    yield f"{old}.layers.1", f"{new}.proj_out"


def _three_layers(old: str, new: str) -> Iterator[tuple[str, str]]:
    yield f"{old}.layers.0", f"{new}.proj_in"
    yield f"{old}.layers.1", f"{new}.layers.0"
    yield f"{old}.layers.2", f"{new}.proj_out"


_TO_HF = dict(_pairs())
_TO_META = {new: old for old, new in _TO_HF.items()}
