"""Whether a device multiplies faster in bfloat16 than in single precision."""

import torch


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether networks run faster in bfloat16 there: processors with AVX512_BF16 or AMX.

    Other processors emulate bfloat16 and are slower with it. False where torch cannot tell, and for a GPU.
    """
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if device.type != "cpu" or capabilities is None:
        return False
    known = capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
