"""Torch tensors as masks: checked here, worked on by the operators, so that tracing passes through."""

from __future__ import annotations

from typing import Any

import torch

from napari_medsam.engine.errors import MaskError
from napari_medsam.engine.masks.arrays import check_kind
from napari_medsam.engine.masks.operators import operator
from napari_medsam.engine.masks.points import Points, as_indices


def clean(
    name: str,
    mask: torch.Tensor,
    out: torch.Tensor | None,
    options: dict[str, Any],
    points: dict[str, Points | torch.Tensor | None],
) -> torch.Tensor:
    """Carry out an operation by its operator. Raises `MaskError` for what cannot be used."""
    _check(mask, options)
    if options["score"] is not None and mask.requires_grad and torch.is_grad_enabled():
        raise MaskError("Cleaning scores has no gradient: detach them, or clean them under torch.no_grad().")
    in_place = out is mask
    detached = mask.detach()
    for key, given in points.items():
        options[key] = None if given is None else _indices(given, mask)
    if out is None:
        result: torch.Tensor = operator(name)(detached, **options)
        return result
    _check_device(mask, out, "result")
    if in_place:
        operator(f"{name}_")(detached, **options)
        return out
    if out.requires_grad and torch.is_grad_enabled():
        raise MaskError("The result requires a gradient and cleaning has none: detach it, or use torch.no_grad().")
    operator(f"{name}_into")(detached, out.detach(), **options)
    return out


def label(mask: torch.Tensor, out: torch.Tensor | None, options: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Number components by the operator. Raises `MaskError` for what cannot be used."""
    _check(mask, options)
    mask = mask.detach()
    if out is None:
        labels, counts = operator("label")(mask, **options)
        return labels, counts
    _check_device(mask, out, "result")
    return out, operator("label_into")(mask, out, **options)


def _check(mask: torch.Tensor, options: dict[str, Any]) -> None:
    if not isinstance(mask, torch.Tensor):
        raise MaskError(f"A mask is a NumPy array or a torch tensor, not a {type(mask).__name__}.")
    if mask.layout != torch.strided:
        raise MaskError("A mask is a dense tensor; call to_dense() on this one.")
    if mask.device.type not in ("cpu", "cuda", "meta"):
        raise MaskError(f"Masks are cleaned on CPU and CUDA, not on {mask.device.type}: move this one to the CPU.")
    check_kind(str(mask.dtype).removeprefix("torch."), mask.ndim, options["dims"], options["threshold"])


def _check_device(mask: torch.Tensor, other: Any, name: str) -> None:
    if not isinstance(other, torch.Tensor):
        raise MaskError(f"The {name} of a tensor is a tensor, not a {type(other).__name__}.")
    if other.device != mask.device:
        raise MaskError(f"The {name} is on {other.device}, the mask on {mask.device}: bring them to one device.")


def _indices(points: Points | torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    if isinstance(points, torch.Tensor):
        _check_device(mask, points, "list of points")
        if points.ndim != 2 or points.shape[1] != mask.ndim or points.dtype != torch.int64:
            raise MaskError(f"Points are int64, {mask.ndim} for each point of this mask.")
        return points
    return torch.from_numpy(as_indices(points, tuple(mask.shape))).to(mask.device)
