"""Whether an error of torch means that memory is full, in the several ways in which it says so."""

from __future__ import annotations

import torch

_WORDING = "can't allocate memory"  # the CPU's allocator raises a plain RuntimeError


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory was full, of a GPU or of the computer."""
    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or _WORDING in str(error)
