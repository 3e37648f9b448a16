"""Interactive segmentation of medical images: a box or a click gives a 3D mask, more clicks correct it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_medsam.engine.io import open_volume
    from napari_medsam.engine.prompts import Box, Lasso, MaskPrompt, Point, Scribble
    from napari_medsam.engine.segmenters.registry import load_segmenter
    from napari_medsam.engine.session import Session

try:
    __version__ = version("napari-medsam")
except PackageNotFoundError:
    __version__ = "0+not-installed"

__all__ = [
    "Box",
    "Lasso",
    "MaskPrompt",
    "Point",
    "Scribble",
    "Session",
    "__version__",
    "load_segmenter",
    "open_volume",
]

_HOMES = {
    "Box": "napari_medsam.engine.prompts",
    "Lasso": "napari_medsam.engine.prompts",
    "MaskPrompt": "napari_medsam.engine.prompts",
    "Point": "napari_medsam.engine.prompts",
    "Scribble": "napari_medsam.engine.prompts",
    "Session": "napari_medsam.engine.session",
    "load_segmenter": "napari_medsam.engine.segmenters.registry",
    "open_volume": "napari_medsam.engine.io",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: napari reads the manifest and the command line prints its help without waiting for torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
