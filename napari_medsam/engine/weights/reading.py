"""Tensors of a checkpoint file, whatever wraps them. Nothing in the file is executed."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.file_hash import sha256_of

# Names under which training programs keep the weights of the model, the usual one first.
_WRAPPERS = ("model", "model_state_dict", "state_dict")
# Prefixes that DataParallel and torch.compile put before every name.
_PREFIXES = ("module.", "_orig_mod.")
# Training programs keep scores as numpy scalars beside the weights. What these name in a pickle holds numbers and
# nothing else; torch reads no other foreign types.
_NUMBERS: list[Any] = [np.dtype, np.float64(0).__reduce__()[0], *(type(np.dtype(code)) for code in "?bBhHiIlLqQefd")]


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    sha256 : str
        Hex digest of the file.
    tensors : mapping of str to torch.Tensor
        The weights on the CPU as stored, without wrapper and without prefixes of training programs.
    beside : frozenset of str
        Names of what the wrapper holds beside the weights, such as an optimizer's state.
    """

    path: Path
    sha256: str
    tensors: Mapping[str, Tensor]
    beside: frozenset[str]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a ``.pt``, ``.pth`` or ``.safetensors`` file, told apart by their contents.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, no checkpoint, without weights, or holds anything that would have to be
        executed to be read.
    """
    path = Path(path)
    digest = file_sha256(path)
    with path.open("rb") as file:
        start = file.read(512)
    _refuse_other_files(path, start)
    payload = _read_pickled(path) if _is_torch(start) else _read_safetensors(path)
    tensors, beside = _unwrapped(path, payload)
    return Checkpoint(path, digest, _without_prefixes(tensors), beside)


def file_sha256(path: Path) -> str:
    """Hex digest of a file.

    Raises
    ------
    WeightsError
        If it cannot be read.
    """
    try:
        return sha256_of(path)
    except FileNotFoundError as error:
        raise WeightsError(f"There is no file {path}.") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from error


def _is_torch(start: bytes) -> bool:
    # Zip archives since torch 1.6, a bare pickle before.
    return start.startswith((b"PK\x03\x04", b"\x80"))


def _refuse_other_files(path: Path, start: bytes) -> None:
    text = start.lstrip().lower()
    if not start:
        raise WeightsError(f"{path} is empty: copy or download it again.")
    if text.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a Git LFS pointer, not the weights: fetch the file itself (git lfs pull).")
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise WeightsError(f"{path} is a web page, not weights: the download was answered by a page, try it again.")


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is no checkpoint this program can read (.pt, .pth, .safetensors), or it is cut off: copy or "
            "download it again."
        ) from error


def _read_pickled(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(_why_unsafe(path, str(error))) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if "TorchScript" in str(error):
            raise WeightsError(
                f"{path} is a TorchScript program, not weights: ask for the checkpoint itself."
            ) from error
        raise WeightsError(f"{path} is damaged or cut off: copy or download it again.") from error


def _why_unsafe(path: Path, message: str) -> str:
    # torch names the first thing that it would have had to call, in one of a few wordings.
    found = re.search(r"GLOBAL (\S+)|(?:type|class|function|global) [`'\"<]*([\w.]+\.\w+)", message)
    what = next((name for name in found.groups() if name), None) if found else None
    if what is None:
        return f"{path} is damaged, or it holds more than weights: it was not read, and nothing in it was run."
    return (
        f"{path} holds a program's object ({what}) beside the weights, which could run code on this computer: it was "
        "not read, and nothing in it was run. Ask for the weights alone, best as .safetensors."
    )


def _unwrapped(path: Path, payload: Any) -> tuple[Mapping[str, Tensor], frozenset[str]]:
    if isinstance(payload, Mapping):
        for name in _WRAPPERS:
            inner = payload.get(name)
            if _is_state(inner):
                return inner, frozenset(str(key) for key in payload if key != name)
        if _is_state(payload):
            return payload, frozenset()
        names = ", ".join(sorted(str(key) for key in payload)[:6])
        if any("optim" in str(key) for key in payload):
            raise WeightsError(f"{path} holds the state of a training but no weights of a model (only {names}).")
        raise WeightsError(f"{path} holds no weights of a model (only {names or 'nothing'}).")
    raise WeightsError(f"{path} holds no weights of a model, but one object of type {type(payload).__name__}.")


def _is_state(value: object) -> TypeGuard[Mapping[str, Tensor]]:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(key, str) and isinstance(item, Tensor) for key, item in value.items())
    )


def _without_prefixes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    stripped = dict(tensors)
    while prefix := next((p for p in _PREFIXES if all(key.startswith(p) for key in stripped)), None):
        stripped = {key.removeprefix(prefix): value for key, value in stripped.items()}
    return stripped
