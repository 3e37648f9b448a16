"""The folder in which one user keeps weights."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.weights.card import Card, card_path, read_card

_VARIABLE = "NAPARI_MEDSAM_MODELS"
_CACHE_VARIABLE = "NAPARI_MEDSAM_CACHE"
_SUFFIXES = frozenset({".pt", ".pth", ".safetensors"})


@dataclass(frozen=True)
class InstalledModel:
    """A weights file of the folder.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    card : Card
        What is known of it.
    """

    path: Path
    card: Card


def models_folder() -> Path:
    """Folder of this user's weights: ``$NAPARI_MEDSAM_MODELS``, else the system's place for a program's data.

    That is ``$XDG_DATA_HOME`` or ``~/.local/share`` (Linux), ``~/Library/Application Support`` (macOS),
    ``%LOCALAPPDATA%`` (Windows), and in it ``napari-medsam/models``.
    """
    chosen = os.environ.get(_VARIABLE)
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = _local_app_data()
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "napari-medsam" / "models"


def embeddings_folder() -> Path:
    """Folder of what models said about this user's images: ``$NAPARI_MEDSAM_CACHE``, else the system's for caches.

    That is ``$XDG_CACHE_HOME`` or ``~/.cache`` (Linux), ``~/Library/Caches`` (macOS), ``%LOCALAPPDATA%`` (Windows), and
    in it ``napari-medsam/embeddings``. It may be removed at any time.
    """
    chosen = os.environ.get(_CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = _local_app_data()
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "napari-medsam" / "embeddings"


def _local_app_data() -> Path:
    return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")


def is_weights(path: Path) -> bool:
    """Whether a file is one of weights, by its suffix."""
    return path.suffix in _SUFFIXES and path.is_file()


def make_models_folder(folder: Path) -> None:
    """Make the folder where it is not yet.

    Raises
    ------
    WeightsError
        If the system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(
            f"The folder of models {folder} cannot be made ({(error.strerror or str(error)).lower()}): name another "
            f"with {_VARIABLE}."
        ) from error


def installed_models(folder: Path | None = None) -> list[InstalledModel]:
    """The weights files of a folder that have a card, by name.

    Raises
    ------
    WeightsError
        If a card is damaged.
    """
    folder = folder or models_folder()
    if not folder.is_dir():
        return []
    files = [path for path in sorted(folder.iterdir()) if is_weights(path) and card_path(path).is_file()]
    return [InstalledModel(path, read_card(path)) for path in files]


def installed_model(name: str, folder: Path | None = None) -> InstalledModel:
    """The weights file of this name in the folder, with or without its suffix.

    Raises
    ------
    WeightsError
        If there is none.
    """
    found = installed_models(folder)
    for model in found:
        if name in (model.path.name, model.path.stem):
            return model
    names = ", ".join(model.path.name for model in found) or "none"
    raise WeightsError(f"There is no model {name!r} in {folder or models_folder()} (there are: {names}).")


def verify_model(model: InstalledModel) -> None:
    """Compare a weights file with the digest noted when it came.

    Raises
    ------
    WeightsError
        If it is another file, none was noted, or it cannot be read.
    """
    if model.card.sha256 is None:
        raise WeightsError(f"{model.path} has no checksum noted beside it: import it again.")
    # Imported here because it brings torch, and listing models must not wait for it.
    from napari_medsam.engine.weights.reading import file_sha256

    digest = file_sha256(model.path)
    if digest != model.card.sha256:
        raise WeightsError(
            f"{model.path} is damaged or was changed (sha256 {digest[:12]}... and not {model.card.sha256[:12]}...): "
            "remove it, and import or download it again."
        )
