"""Models by name, by family and weights, or by the folder of a fine-tuned one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.weights.folder import installed_models

Loader = Callable[[Path | None, str], Segmenter]


def _load_compact(folder: Path | None, device: str) -> Segmenter:
    # Imported here because torch takes seconds to import and listing models must not wait for it.
    from napari_medsam.engine.segmenters.compact import CompactSegmenter

    return CompactSegmenter(folder, device=device)


def _load_sam2(which: Path | None, device: str) -> Segmenter:
    if which is None:
        raise WeightsError("SAM 2 has no bundled weights: say which are meant, as in sam2:FILE or sam2:NAME.")
    from napari_medsam.engine.segmenters.sam2.loading import load_sam2_segmenter

    return load_sam2_segmenter(which, device)


_FAMILIES: dict[str, Loader] = {"compact": _load_compact, "sam2": _load_sam2}
_BUNDLED = ("compact",)


def segmenter_names() -> list[str]:
    """Names of the models that can be loaded here, the default first: bundled ones and those in the folder of models.

    A model whose card is damaged is left out; ``napari-medsam models list`` tells of it.
    """
    try:
        installed = installed_models()
    except WeightsError:
        installed = []
    return [*_BUNDLED, *(f"{m.card.family}:{m.path.name}" for m in installed if m.card.family in _FAMILIES)]


def load_segmenter(model: str | Path, device: str = "auto") -> Segmenter:
    """Load a model.

    Parameters
    ----------
    model : str or pathlib.Path
        A registered name; a family and its weights, as ``sam2:FILE`` or ``sam2:NAME``; or a folder with ``model.json``
        (its key ``family`` is a registered name) and weights.
    device : str
        Torch device, or ``"auto"`` for a GPU where there is one.

    Raises
    ------
    WeightsError
        If there is no such model or its weights do not fit.
    """
    loader = _FAMILIES.get(str(model))
    if loader is not None:
        return loader(None, device)
    family, colon, which = str(model).partition(":")
    if colon and which and family in _FAMILIES:
        return _FAMILIES[family](Path(which), device)
    folder = Path(model)
    card = folder / "model.json"
    if not card.is_file():
        known = ", ".join(_FAMILIES)
        raise WeightsError(f"There is no model {str(model)!r}: name one of {known}, or a folder with a model.json.")
    try:
        family = json.loads(card.read_text(encoding="utf-8"))["family"]
        loader = _FAMILIES[family]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{card} does not name a model family this version knows.") from error
    return loader(folder, device)
