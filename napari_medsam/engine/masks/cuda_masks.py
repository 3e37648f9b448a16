"""Orders carried out on CUDA tensors by the CUDA kernels, on the caller's stream and without waiting for it."""

from __future__ import annotations

import torch

from napari_medsam.engine.errors import MaskError
from napari_medsam.engine.masks.compiled import cuda, why_no_cuda
from napari_medsam.engine.masks.order import Order
from napari_medsam.engine.masks.plan import Rule

# The kernels number runs and voxels with 32 bits.
_MOST_VOXELS = 2**31 - 1


def clean(mask: torch.Tensor, order: Order, out: torch.Tensor | None) -> torch.Tensor:
    """Carry out an order; ``out`` is returned where it is given. Raises `MaskError` for what cannot be used."""
    module = cuda()
    if module is None:
        raise MaskError(f"The mask is on {mask.device}; the CUDA kernels are not used: {why_no_cuda()}.")
    if order.rule in (Rule.ALL_BUT_LARGEST, Rule.UNTOUCHED) or order.points is not None or order.region is not None:
        raise MaskError("On CUDA there are hole filling and island removal of whole masks; move the mask to the CPU.")
    if order.score is not None:
        raise MaskError("Scores are cleaned as scores on the CPU only; leave the score out, or move them there.")
    dtype = torch.bool if order.threshold is not None else mask.dtype
    if out is None:
        out = torch.empty(mask.shape, dtype=dtype, device=mask.device)
    if out.shape != mask.shape or out.dtype != dtype:
        raise MaskError(f"The result is {dtype} of shape {tuple(mask.shape)}; the tensor to write into is not.")
    if not mask.is_contiguous() or not out.is_contiguous():
        raise MaskError("On CUDA masks are contiguous; call contiguous() on this one.")
    if mask.numel() > _MOST_VOXELS:
        raise MaskError("On CUDA a batch has fewer than 2,147,483,648 voxels; give it in parts, or move it to the CPU.")
    if out.data_ptr() != mask.data_ptr() and _overlap(mask, out):
        raise MaskError("The result overlaps the mask in memory: use the mask itself, or a tensor apart from it.")
    if not mask.numel():
        return out
    no_points = torch.empty((0, 4), dtype=torch.int64).numpy()
    plan = order.plan(tuple(mask.shape), no_points, 1)
    lead, space = mask.shape[: mask.ndim - order.dims], mask.shape[mask.ndim - order.dims :]
    shape = (lead.numel(), *((1, *space) if order.dims == 2 else space))
    is_sized = order.rule is not Rule.ALL
    size = module.workspace(shape, is_sized)
    if not size:
        raise MaskError("On CUDA a mask this narrow and long is too large to number; move it to the CPU.")
    workspace = torch.empty(size, dtype=torch.uint8, device=mask.device)
    problem = module.clean(
        mask.data_ptr(),
        out.data_ptr(),
        workspace.data_ptr(),
        shape,
        order.threshold is not None,
        plan.threshold,
        plan.background,
        plan.connectivity,
        plan.open_faces,
        int(plan.rule),
        min(plan.size, _MOST_VOXELS),
        mask.device.index,
        torch.cuda.current_stream(mask.device).cuda_stream,
    )
    if problem:
        raise MaskError(f"The GPU refused the work: {problem}.")
    return out


def _overlap(first: torch.Tensor, second: torch.Tensor) -> bool:
    start, end = first.data_ptr(), first.data_ptr() + first.nbytes
    return start < second.data_ptr() + second.nbytes and second.data_ptr() < end
