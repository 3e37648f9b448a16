"""Files that say what to segment in which image."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_medsam.engine.errors import MedSamError, PromptError
from napari_medsam.engine.prompts import Box, MaskPrompt, Point, Prompt
from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import Index3, Volume

EVERY = "*"
"""Stands for every image that has no entry of its own."""


@dataclass(frozen=True)
class Wanted:
    """One object to segment.

    Parameters
    ----------
    name : str or None
        Name for people.
    prompts : list of dict
        As the file has them.
    """

    name: str | None
    prompts: list[dict[str, Any]]


def read_prompt_file(path: Path) -> dict[str, list[Wanted]]:
    """What to segment, by the name of the image; see ``napari-medsam predict --help``.

    Raises
    ------
    PromptError
        If the file cannot be read or is not of this format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PromptError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    except ValueError as error:
        raise PromptError(f"{path} is no JSON file: {error}.") from error
    if not isinstance(content, dict) or not content:
        raise PromptError(f"{path} names no image: see napari-medsam predict --help for its format.")
    return {image: _wanted(objects, image, path) for image, objects in content.items()}


def make_prompts(wanted: Wanted, volume: Volume, folder: Path) -> list[Prompt]:
    """The prompts of an object for an image.

    Parameters
    ----------
    wanted : Wanted
        The object.
    volume : Volume
        The image.
    folder : pathlib.Path
        Folder of the file of prompts, from which masks are found.

    Raises
    ------
    PromptError
        If one is not a prompt.
    ImageError
        If a mask cannot be opened or does not lie on the image.
    """
    return [_prompt(entry, volume, folder) for entry in wanted.prompts]


def _wanted(objects: Any, image: str, path: Path) -> list[Wanted]:
    if not isinstance(objects, list) or not objects:
        raise PromptError(f"{path}: the entry of {image} is not a list of objects.")
    for item in objects:
        prompts = item.get("prompts") if isinstance(item, dict) else None
        if not isinstance(prompts, list) or not prompts or not all(isinstance(entry, dict) for entry in prompts):
            raise PromptError(f"{path}: an object of {image} has no list of prompts.")
    return [Wanted(item.get("name"), item["prompts"]) for item in objects]


def _prompt(entry: dict[str, Any], volume: Volume, folder: Path) -> Prompt:
    positive = not entry.get("negative", False)
    try:
        match entry:
            case {"box": [*corners]}:
                z0, y0, x0, z1, y1, x1 = (_whole(value) for value in corners)
                return Box((z0, y0, x0), (z1, y1, x1), positive=positive)
            case {"point": [*position]}:
                z, y, x = (float(value) for value in position)
                return Point((z, y, x), positive=positive)
            case {"mask": str(file)}:
                return MaskPrompt(_mask(folder / file, entry.get("value"), volume), positive=positive)
    except (TypeError, ValueError) as error:
        raise PromptError(f"This is not a prompt: {json.dumps(entry)} ({error}).") from error
    raise PromptError(f"This is not a prompt: {json.dumps(entry)}. A prompt has a box, a point or a mask.")


def _mask(path: Path, value: int | None, volume: Volume) -> Region:
    # Imported here: readers of medical formats take long to import, and mistakes in the file are told before.
    from napari_medsam.engine.io import open_labels

    try:
        labels = open_labels(path, like=volume)
    except MedSamError as error:
        raise PromptError(f"The mask {path.name} cannot be used: {error}") from error
    return Region.of(labels != 0 if value is None else labels == int(value))


def _whole(value: float) -> int:
    if value != int(value):
        raise ValueError("the corners of a box are whole voxels")
    return int(value)


def slice_axis_of(prompts: list[Prompt], shape: Index3) -> int:
    """The axis across the slice that prompts were drawn in: that of the first flat box or mask, else z."""
    for prompt in prompts:
        if isinstance(prompt, Box | MaskPrompt):
            thin = [axis for axis, n in enumerate(prompt.region(shape).voxels.shape) if n == 1 < shape[axis]]
            if thin:
                return thin[0]
    return 0
