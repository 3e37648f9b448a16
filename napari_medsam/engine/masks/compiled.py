"""Which compiled kernels there are, and why the others are not.

The modules ``_core`` (C++) and ``_cuda`` lie beside this file when their compilers worked at install time;
``kernels.json`` is what the build has to say about what it left out.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from functools import cache
from pathlib import Path
from types import ModuleType

# To see the slow path at work, and to go around a kernel somebody has trouble with.
PURE_SWITCH = "NAPARI_MEDSAM_PURE"
# Nobody has seen the CUDA kernels run on a GPU yet, so they wait until they are asked for.
CUDA_SWITCH = "NAPARI_MEDSAM_CUDA_KERNELS"


@cache
def core() -> ModuleType | None:
    """The C++ kernels, or None when `why_no_core` says why."""
    return _load("core")[0]


def why_no_core() -> str:
    """Why the C++ kernels are not used, as a sentence; empty when they are."""
    return _load("core")[1]


@cache
def cuda() -> ModuleType | None:
    """The CUDA kernels, or None when `why_no_cuda` says why."""
    return _load("cuda")[0]


def why_no_cuda() -> str:
    """Why the CUDA kernels are not used, as a sentence; empty when they are."""
    module, reason = _load("cuda")
    if module is None:
        return reason
    devices, problem = module.devices()
    return "" if devices else f"there is no GPU that CUDA can use ({problem})"


def cuda_is_built() -> bool:
    """Whether the CUDA kernels came with this install."""
    return importlib.util.find_spec(f"{__package__}._cuda") is not None


@cache
def _load(name: str) -> tuple[ModuleType | None, str]:
    if os.environ.get(PURE_SWITCH, "") not in ("", "0"):
        return None, f"{PURE_SWITCH} asks for pure Python"
    if name == "cuda" and os.environ.get(CUDA_SWITCH, "") in ("", "0"):
        if not cuda_is_built():
            return None, _build_note(name)
        return None, f"built, but never yet seen to run on a GPU; set {CUDA_SWITCH}=1 to try them"
    try:
        return importlib.import_module(f"{__package__}._{name}"), ""
    except ModuleNotFoundError:
        return None, _build_note(name)
    except ImportError as error:
        return None, f"they cannot be loaded: {error}"


def _build_note(name: str) -> str:
    for folder in importlib.import_module(__package__).__path__:
        try:
            note = json.loads((Path(folder) / "kernels.json").read_text(encoding="utf-8"))[name]
        except (OSError, ValueError, KeyError):
            continue
        if note:
            return f"not built: {note}"
    return "not built: this is a pure Python install"
