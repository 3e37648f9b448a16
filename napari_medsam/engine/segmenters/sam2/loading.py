"""SAM 2 as a segmenter from a file, a folder, or the name of a model that was imported or downloaded."""

from __future__ import annotations

from pathlib import Path

from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.segmenters.sam2.checkpoints import load_sam2
from napari_medsam.engine.segmenters.sam2.segmenter import Sam2Segmenter
from napari_medsam.engine.weights.card import read_card
from napari_medsam.engine.weights.folder import embeddings_folder, is_weights, models_folder
from napari_medsam.engine.weights.known import known_file, known_models

FAMILY = "sam2"
"""Its segmenters are registered as ``sam2:WHICH``."""


def load_sam2_segmenter(which: str | Path, device: str = "auto", image_size: int | None = None) -> Sam2Segmenter:
    """Load a SAM 2, or a model fine-tuned from it.

    Parameters
    ----------
    which : str or pathlib.Path
        A weights file; a folder with one; or the name of a model in the folder of models, of the table of known models
        or of its file.
    device : str
        Torch device, or ``"auto"`` for CUDA where there is one.
    image_size : int, optional
        Side of the square images to work with, pixels, where it is another than the file was trained with.

    Raises
    ------
    WeightsError
        If there is no such model, it was not downloaded yet, or its weights do not fit.
    """
    path = find_sam2(which)
    weights = load_sam2(path, image_size)
    card, known = read_card(path), known_file(path, weights.sha256)
    is_installed = path.parent == models_folder()
    return Sam2Segmenter(
        weights,
        name=f"{FAMILY}:{path.name if is_installed else path.absolute()}",
        title=card.title or (known.title if known else f"SAM {weights.version} {weights.size}: {path.stem}"),
        licence=card.licence or (known.licence if known else None) or "unknown",
        device=device,
        cache=embeddings_folder(),
    )


def find_sam2(which: str | Path) -> Path:
    """The weights file that is meant.

    Raises
    ------
    WeightsError
        If there is none.
    """
    path = Path(which)
    if path.is_file():
        return path
    if path.is_dir():
        return _only_weights(path)
    folder, name = models_folder(), str(which)
    known = next((model for model in known_models() if model.name == name), None)
    names = (name, known.file) if known else (name,)
    for installed in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_weights(installed) and (installed.name in names or installed.stem in names):
            return installed
    if known is not None:
        raise WeightsError(
            f"{known.title} is not on this computer yet: get it with 'napari-medsam models download {name}', or import "
            f"{known.file} with 'napari-medsam models import FILE'."
        )
    raise WeightsError(
        f"There is no SAM 2 {name!r}: name a weights file, or one of those that 'napari-medsam models list' shows."
    )


def _only_weights(folder: Path) -> Path:
    files = [path for path in sorted(folder.iterdir()) if is_weights(path)]
    if len(files) != 1:
        raise WeightsError(f"{folder} holds {len(files)} weights files: name the one that is meant.")
    return files[0]
