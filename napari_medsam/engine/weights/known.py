"""Checkpoints this program knows by name; a table in ``known.json``, never a list on a server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.weights.card import Card

_TABLE = Path(__file__).with_name("known.json")


@dataclass(frozen=True)
class KnownModel:
    """One checkpoint of the table; a None is not known and not verified here.

    Parameters
    ----------
    name : str
        As given on the command line.
    title : str
        Name for people.
    family : str
        Kind of model.
    version, size : str or None
        Which of its kind; where None, the file tells.
    image_size : int or None
        Side of the square images it was trained with, pixels.
    licence : str or None
        SPDX identifier of the licence of the weights.
    file : str
        Name of the file.
    bytes : int or None
        Length of the file.
    sha256 : str or None
        Hex digest of the file.
    url : str
        Address to download it from.
    """

    name: str
    title: str
    family: str
    version: str | None
    size: str | None
    image_size: int | None
    licence: str | None
    file: str
    bytes: int | None
    sha256: str | None
    url: str

    def card(self, sha256: str) -> Card:
        """Card for the downloaded file, whose digest is ``sha256``."""
        return Card(
            title=self.title,
            family=self.family,
            size=self.size,
            version=self.version,
            image_size=self.image_size,
            licence=self.licence,
            sha256=sha256,
            source=self.url,
        )


@cache
def known_models() -> tuple[KnownModel, ...]:
    """All of them, in the order of the table."""
    rows = json.loads(_TABLE.read_text(encoding="utf-8"))["models"]
    return tuple(KnownModel(**row) for row in rows)


def known_model(name: str) -> KnownModel:
    """The one of this name.

    Raises
    ------
    WeightsError
        If there is none.
    """
    for model in known_models():
        if model.name == name:
            return model
    names = ", ".join(model.name for model in known_models())
    raise WeightsError(f"There is no known model {name!r}: name one of {names}.")


def known_file(path: Path, sha256: str) -> KnownModel | None:
    """The known model that a file is: by its digest, or by its name where the table has no digest for that name."""
    for model in known_models():
        if model.sha256 == sha256 or (model.sha256 is None and model.file == path.name):
            return model
    return None
