"""The published predictor (PyPI ``sam2`` 1.1.0) with the weights of a model of ours.

It asks for torchvision but its video part never imports it; install it with ``pip install --no-deps
--no-build-isolation sam2==1.1.0 hydra-core iopath omegaconf antlr4-python3-runtime==4.9.3 portalocker``. Where it is
not installed, what it said is read from ``golden/``, which ``make_golden.py`` writes.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor

from napari_medsam.engine.segmenters.sam2.keys import to_meta_keys
from napari_medsam.engine.segmenters.sam2.sizes import Size

HAS_REFERENCE = importlib.util.find_spec("sam2") is not None


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
