"""SAM 2 with random weights whose answers are worth comparing, and the published predictor with the same weights.

The published predictor (PyPI ``sam2`` 1.1.0) asks for torchvision but its video part never imports it; install it with
``pip install --no-deps --no-build-isolation sam2==1.1.0 hydra-core iopath omegaconf antlr4-python3-runtime==4.9.3
portalocker``. Tests that compare with it are skipped where it is not installed.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import torch
from torch import Tensor

from napari_medsam.engine.segmenters.sam2.keys import to_meta_keys
from napari_medsam.engine.segmenters.sam2.sizes import Size, sam2_config

HAS_REFERENCE = importlib.util.find_spec("sam2") is not None


def lively_sam2(size: Size = "tiny", image_size: int = 256, seed: int = 0) -> Any:
    """A SAM 2.1 whose random weights make masks of both signs and objects that are mostly there."""
    from transformers import Sam2VideoModel

    torch.manual_seed(seed)
    model = Sam2VideoModel(sam2_config(size, "2.1", image_size)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                spread = parameter.std()
                # Fresh models have zeros in many places, which would hide mistakes there.
                parameter.normal_(std=max(float(spread), 0.02) * 1.5)
            elif not parameter.any():
                parameter.normal_(std=0.02)
        model.shared_image_embedding.positional_embedding.copy_(
            model.prompt_encoder.shared_embedding.positional_embedding
        )
        decoder = model.mask_decoder
        decoder.pred_obj_score_head.proj_out.bias.fill_(0.5)
        for hyper in decoder.output_hypernetworks_mlps:
            hyper.proj_out.weight.mul_(50)  # logits of a few units, as a trained model has
    return model


def reference_predictor(model: Any, size: Size = "tiny", keep_corrections: bool = True) -> Any:
    """The published video predictor with the weights of ``model``; corrections become key slices, as they do here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sam2  # noqa: F401  # tells hydra where the configurations are
        from hydra import compose
        from hydra.utils import instantiate

        short = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}[size]
        extra = "model.sam_mask_decoder_extra_args"
        config = compose(
            config_name=f"configs/sam2.1/sam2.1_hiera_{short}.yaml",
            overrides=[
                "++model._target_=sam2.sam2_video_predictor.SAM2VideoPredictor",
                f"++model.image_size={model.image_size}",
                f"++{extra}.dynamic_multimask_via_stability=true",
                f"++{extra}.dynamic_multimask_stability_delta=0.05",
                f"++{extra}.dynamic_multimask_stability_thresh=0.98",
                "++model.binarize_mask_from_pts_for_mem_enc=true",
            ],
        )
        predictor = instantiate(config.model, _recursive_=True).eval()
    predictor.load_state_dict(to_meta_keys(model.state_dict()), strict=True)
    predictor.add_all_frames_to_correct_as_cond = keep_corrections

    def in_one_precision(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {**kwargs, "memory": kwargs["memory"].float()}

    # Without autocast it fails where only masks (bfloat16) and no pointers (float32) are remembered.
    predictor.memory_attention.register_forward_pre_hook(in_one_precision, with_kwargs=True)
    return predictor


def reference_state(predictor: Any, slices: Tensor) -> dict[str, Any]:
    """A state of the published predictor for slices ``(n, 3, s, s)``, as its ``init_state`` makes it from a video."""
    from collections import OrderedDict

    device = torch.device("cpu")
    state: dict[str, Any] = {
        "images": slices,
        "num_frames": len(slices),
        "offload_video_to_cpu": False,
        "offload_state_to_cpu": False,
        "video_height": predictor.image_size,
        "video_width": predictor.image_size,
        "device": device,
        "storage_device": device,
        "obj_id_to_idx": OrderedDict(),
        "obj_idx_to_id": OrderedDict(),
        "obj_ids": [],
    }
    for name in (
        "point_inputs_per_obj",
        "mask_inputs_per_obj",
        "cached_features",
        "constants",
        "output_dict_per_obj",
        "temp_output_dict_per_obj",
        "frames_tracked_per_obj",
    ):
        state[name] = {}
    return state


def moving_slices(count: int, image_size: int, seed: int = 0) -> Tensor:
    """Slices ``(count, 3, s, s)`` in which bright blobs move and change slowly, as organs do."""
    generator = torch.Generator().manual_seed(seed)
    axis = torch.linspace(-1, 1, image_size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    slices = []
    for index in range(count):
        shift = 0.03 * index
        picture = torch.exp(-((x + 0.4 - shift) ** 2 + (y + 0.2) ** 2) / 0.08)
        picture = picture + 0.7 * torch.exp(-((x - 0.4) ** 2 + (y - 0.4 + shift) ** 2) / 0.15)
        picture = picture + 0.1 * torch.randn(image_size, image_size, generator=generator)
        slices.append(picture.expand(3, -1, -1) * 2 - 1)
    return torch.stack(slices)
