"""``napari-medsam info``: what is installed and active, and why the rest is not."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from napari_medsam import __version__
from napari_medsam.engine.errors import MedSamError

_PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "nibabel", "pydicom", "highdicom", "monai", "nilearn", "napari")
_QT = ("PyQt6", "PySide6", "PyQt5", "PySide2")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program."""
    parser = commands.add_parser("info", help="versions, device and models: what is active, and why the rest is not")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - every command is called alike
    """Print it; 1 when no model can be used."""
    _row("napari-medsam", __version__)
    _row("Python", f"{platform.python_version()} on {platform.platform()}")
    for name in _PACKAGES:
        _row(name, _version(name) or "not installed")
    _row("window", _window())
    _row("device", _device())
    _row("masks on CPU", _kernels_on_cpu())
    _row("masks on GPU", _kernels_on_gpu())
    return 0 if _models() else 1


def _row(title: str, text: str) -> None:
    print(f"{title:14} {text}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _window() -> str:
    reason = why_no_window()
    return reason or f"napari with {next(name for name in _QT if _version(name))}"


def why_no_window() -> str:
    """Why napari cannot open here, as a sentence; empty when it can."""
    if importlib.util.find_spec("napari") is None:
        return "none: napari is not installed (pip install 'napari-medsam[all]')."
    if not any(_version(name) for name in _QT):
        return "none: napari has no Qt (pip install 'napari-medsam[all]')."
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "none: there is no display."
    return ""


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()} (CUDA {torch.version.cuda})"
    reason = "this PyTorch was built without CUDA" if torch.version.cuda is None else "there is no GPU CUDA can use"
    return f"CPU, {torch.get_num_threads()} threads; no GPU: {reason}"


def _kernels_on_cpu() -> str:
    from napari_medsam.engine.masks import compiled

    module = compiled.core()
    if module is None:
        return f"scipy, which is slow; no C++ kernels: {compiled.why_no_core()}"
    return f"C++ kernels for {module.processor()}, {module.usable_cores()} cores"


def _kernels_on_gpu() -> str:
    from napari_medsam.engine.masks import compiled

    reason = compiled.why_no_cuda()
    return f"none; no CUDA kernels: {reason}" if reason else "CUDA kernels"


def _models() -> int:
    from napari_medsam.engine.segmenters.registry import load_segmenter, segmenter_names

    usable = 0
    for name in segmenter_names():
        try:
            info = load_segmenter(name).info
        except MedSamError as error:
            _row(f"model {name}", f"not usable: {error}")
            continue
        usable += 1
        prompts = ", ".join(sorted(info.prompts))
        _row(f"model {name}", f"{info.title}, {info.licence}, weights {info.weights_hash[:12]}, takes {prompts}")
    return usable
