"""Checkpoints brought from elsewhere: recognised, copied into the folder of models, or written in one plain form."""

from __future__ import annotations

import shutil
from pathlib import Path

from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.io.aside import write_aside
from napari_medsam.engine.weights.card import Card, read_card, write_card
from napari_medsam.engine.weights.folder import InstalledModel, make_models_folder
from napari_medsam.engine.weights.known import known_file
from napari_medsam.engine.weights.reading import file_sha256


def import_model(source: Path, folder: Path, image_size: int | None = None) -> InstalledModel:
    """Copy a checkpoint into the folder of models, with a card saying what it is. The source is not changed.

    Parameters
    ----------
    source : pathlib.Path
        A checkpoint of a model this program knows.
    folder : pathlib.Path
        Where to; made where it is not.
    image_size : int, optional
        Side of the square images the model was trained with, pixels, where nothing else says it.

    Raises
    ------
    WeightsError
        If the file is not such a checkpoint, its image size is not known, or another file has its name.
    SaveError
        If the copy cannot be written.
    """
    card = _recognised(source, image_size)
    make_models_folder(folder)
    target = folder / source.name
    if target.exists() and file_sha256(target) != card.sha256:
        raise WeightsError(f"{folder} has another file named {source.name}: rename the one to import.")
    with write_aside(target) as aside:
        shutil.copyfile(source, aside)
        if file_sha256(aside) != card.sha256:
            raise WeightsError(
                f"{source} could not be copied whole into {folder}: its disk or this one may be failing."
            )
    write_card(target, card)
    return InstalledModel(target, card)


def convert_model(source: Path, target: Path, image_size: int | None = None) -> InstalledModel:
    """Write a checkpoint as safetensors in transformers' layout, float32, low-rank updates merged, with its card.

    Raises
    ------
    WeightsError
        If the source is not a checkpoint of a known model, its image size is not known, or the target is of another
        kind.
    SaveError
        If the target cannot be written.
    """
    # Imported here because torch takes seconds to import and importing this module must not wait for it.
    from dataclasses import replace

    from safetensors.torch import save_file

    from napari_medsam.engine.segmenters.sam2.checkpoints import load_sam2

    if target.suffix != ".safetensors":
        raise WeightsError(f"Weights are converted to safetensors only: name the target {target.stem}.safetensors.")
    card = _recognised(source, image_size)
    model = load_sam2(source, card.image_size).model
    state = {key: value.clone().contiguous() for key, value in model.state_dict().items()}
    with write_aside(target) as aside:
        save_file(state, aside, metadata={"format": "pt"})
    card = replace(card, sha256=file_sha256(target), lora_alpha=None)
    write_card(target, card)
    return InstalledModel(target, card)


def _recognised(source: Path, image_size: int | None) -> Card:
    """Card of a checkpoint, made from the file and from what is known of it."""
    from napari_medsam.engine.segmenters.sam2.checkpoints import load_sam2

    found = load_sam2(source, image_size)
    said = read_card(source)
    known = known_file(source, found.sha256)
    return Card(
        title=said.title or (known.title if known else None),
        family="sam2",
        size=found.size,
        version=found.version,
        image_size=found.image_size,
        lora_alpha=said.lora_alpha,
        licence=said.licence or (known.licence if known else None),
        sha256=found.sha256,
        source=said.source or source.name,
    )
