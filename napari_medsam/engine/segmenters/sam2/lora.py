"""Low-rank updates of the image encoder's attention, added into the weights they update.

NeuroSAM2 keeps beside each attention's ``qkv`` and ``proj`` two thin matrices per updated part, ``lora_A_*`` of shape
``(in, rank)`` and ``lora_B_*`` of shape ``(rank, out)``, and computes ``x W' + (alpha / rank) x A B`` (Hu et al.,
LoRA, 2021). Merged, the weight is ``W + (alpha / rank) (A B)'`` and the model an ordinary SAM 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from napari_medsam.engine.errors import WeightsError

_FACTOR = re.compile(r"(?P<attention>.+\.attn)\.lora_(?P<factor>[AB])_(?P<part>q|v|proj)")
# NeuroSAM2's own; no checkpoint says it.
_RANK, _ALPHA = 4, 8.0


def merged_lora(state: Mapping[str, Tensor], alpha: float | None) -> dict[str, Tensor]:
    """Weights of the published layout with every low-rank update merged; all of them where there is none.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        Weights in the published layout, float32.
    alpha : float, optional
        Scale of the updates; NeuroSAM2's 8 where the rank is its 4.

    Raises
    ------
    WeightsError
        If an update has no partner, fits no weight, or is of another rank and ``alpha`` is not given.
    """
    factors = {match.groups(): key for key in state if (match := _FACTOR.fullmatch(key))}
    merged = {key: value for key, value in state.items() if key not in factors.values()}
    for attention, part in sorted({(attention, part) for attention, _, part in factors}):
        try:
            first, second = (state[factors[attention, factor, part]] for factor in "AB")
            name = f"{attention}.proj.weight" if part == "proj" else f"{attention}.qkv.weight"
            change = _scale(first.shape[1], alpha) * (first @ second).T
            weight = merged[name].clone()
            _rows(weight, part).add_(change)
        except (KeyError, IndexError, RuntimeError) as error:
            raise WeightsError(f"The low-rank update {attention}.lora_*_{part} fits no weight of the model.") from error
        merged[name] = weight
    return merged


def _scale(rank: int, alpha: float | None) -> float:
    if alpha is None:
        if rank != _RANK:
            raise WeightsError(
                f"The low-rank updates are of rank {rank}, and no file says by how much they count: give lora_alpha in "
                "the .json file beside the weights."
            )
        alpha = _ALPHA
    return alpha / rank


def _rows(weight: Tensor, part: str) -> Tensor:
    # Queries, keys and values are the three thirds of one matrix, in this order.
    third = len(weight) // 3
    return {"q": weight[:third], "v": weight[2 * third :], "proj": weight}[part]
