"""The operations as operators of torch, so that ``torch.compile`` and ``torch.export`` pass through them.

Each operation is three operators: ``fill_holes`` returns a new tensor, ``fill_holes_`` works in place, and
``fill_holes_into`` writes into a tensor of the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch

# So that autograd notices when what it keeps for a gradient was written over.
from torch.autograd.graph import increment_version

from napari_medsam.engine.errors import MaskError
from napari_medsam.engine.masks import cuda_masks, numpy_masks, orders
from napari_medsam.engine.masks.order import Order
from napari_medsam.engine.masks.points import as_indices

_COMMON = "int dims, int? connectivity, float? threshold, int? threads"
_OPTIONS = {
    "fill_holes": f"{_COMMON}, int? background, int? max_size, bool open_border, float? score, Tensor? spare, "
    "SymInt[]? region",
    "remove_islands": f"{_COMMON}, int min_size, float? score, SymInt[]? region",
    "keep_largest": f"{_COMMON}, float? score",
    "keep_touching": f"{_COMMON}, Tensor points, float? score, SymInt[]? region",
}

# Kept for as long as the program runs: without it the operators go away. Any: torch has no types for its methods.
_library: Any = cast(Any, torch.library.Library)("napari_medsam", "FRAGMENT")
_TAGS = (torch.Tag.pt2_compliant_tag,)


def operator(name: str) -> Any:
    """The operator of this name."""
    return getattr(torch.ops.napari_medsam, name)


def _order(name: str, mask: torch.Tensor, options: dict[str, Any]) -> Order:
    options = dict(options)
    for key in ("spare", "points"):
        if options.get(key) is not None:
            options[key] = as_indices(options[key].cpu().numpy(), tuple(mask.shape))
    order: Order = getattr(orders, name)(**options)
    return order


def _on_cpu(name: str, mask: torch.Tensor, out: torch.Tensor | None, options: dict[str, Any]) -> torch.Tensor:
    # A view of the tensor's memory, either way.
    result = numpy_masks.clean(mask.numpy(), _order(name, mask, options), None if out is None else out.numpy())
    return torch.from_numpy(result) if out is None else out


def _on_cuda(name: str, mask: torch.Tensor, out: torch.Tensor | None, options: dict[str, Any]) -> torch.Tensor:
    return cuda_masks.clean(mask, _order(name, mask, options), out)


def _result_dtype(mask: torch.Tensor, options: dict[str, Any]) -> torch.dtype:
    is_mask = options["threshold"] is not None and options["score"] is None
    return torch.bool if is_mask else mask.dtype


def _define(name: str, options: str) -> None:
    _library.define(f"{name}(Tensor mask, *, {options}) -> Tensor", tags=_TAGS)
    _library.define(f"{name}_(Tensor(a!) mask, *, {options}) -> ()", tags=_TAGS)
    _library.define(f"{name}_into(Tensor mask, Tensor(a!) out, *, {options}) -> ()", tags=_TAGS)

    def implement(key: str, work: Callable[..., torch.Tensor]) -> None:
        def new(mask: torch.Tensor, **given: Any) -> torch.Tensor:
            return work(name, mask, None, given)

        def in_place(mask: torch.Tensor, **given: Any) -> None:
            work(name, mask, mask, given)
            increment_version(mask)

        def into(mask: torch.Tensor, out: torch.Tensor, **given: Any) -> None:
            work(name, mask, out, given)
            increment_version(out)

        _library.impl(name, new, key)
        _library.impl(f"{name}_", in_place, key)
        _library.impl(f"{name}_into", into, key)

    def fake(mask: torch.Tensor, **given: Any) -> torch.Tensor:
        return torch.empty(mask.shape, dtype=_result_dtype(mask, given), device=mask.device)

    def nothing(*_: torch.Tensor, **__: Any) -> None:
        return None

    implement("CPU", _on_cpu)
    implement("CUDA", _on_cuda)
    torch.library.register_fake(f"napari_medsam::{name}", fake, lib=_library)
    torch.library.register_fake(f"napari_medsam::{name}_", nothing, lib=_library)
    torch.library.register_fake(f"napari_medsam::{name}_into", nothing, lib=_library)


def _define_label() -> None:
    _library.define(f"label(Tensor mask, *, {_COMMON}) -> (Tensor, Tensor)", tags=_TAGS)
    _library.define(f"label_into(Tensor mask, Tensor(a!) out, *, {_COMMON}) -> Tensor", tags=_TAGS)

    def new(mask: torch.Tensor, **given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        labels, counts = numpy_masks.label(mask.numpy(), orders.label(**given), None)
        return torch.from_numpy(labels), torch.from_numpy(counts)

    def into(mask: torch.Tensor, out: torch.Tensor, **given: Any) -> torch.Tensor:
        counts = numpy_masks.label(mask.numpy(), orders.label(**given), out.numpy())[1]
        increment_version(out)
        return torch.from_numpy(counts)

    def no_cuda(mask: torch.Tensor, *_: torch.Tensor, **__: Any) -> torch.Tensor:
        raise MaskError(f"Pieces are numbered on the CPU only; move the mask from {mask.device} to it first.")

    def fake(mask: torch.Tensor, **given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return mask.new_empty(mask.shape, dtype=torch.int32), fake_counts(mask, **given)

    def fake_counts(mask: torch.Tensor, *_: torch.Tensor, **given: Any) -> torch.Tensor:
        return mask.new_empty(mask.shape[: mask.ndim - given["dims"]], dtype=torch.int32)

    for name, work, imitation in (("label", new, fake), ("label_into", into, fake_counts)):
        _library.impl(name, work, "CPU")
        _library.impl(name, no_cuda, "CUDA")
        torch.library.register_fake(f"napari_medsam::{name}", imitation, lib=_library)


for _name, _options in _OPTIONS.items():
    _define(_name, _options)
_define_label()
