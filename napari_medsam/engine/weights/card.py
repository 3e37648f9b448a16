"""What is known of a weights file beside its weights: a small JSON file next to it, ``<file>.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from napari_medsam.engine.errors import WeightsError


@dataclass(frozen=True)
class Card:
    """Facts about a weights file that the file itself does not hold. Every one may be unknown.

    Parameters
    ----------
    title : str, optional
        Name for people.
    family, size, version : str, optional
        What the model is, as ``sam2``, ``tiny``, ``2.1``.
    image_size : int, optional
        Side of the square images it was trained with, pixels.
    lora_alpha : float, optional
        Scale of the low-rank updates the file holds, where it holds any.
    licence : str, optional
        SPDX identifier of the licence of the weights.
    sha256 : str, optional
        Hex digest of the file.
    source : str, optional
        Where it came from: an address, or the name of the imported file.
    """

    title: str | None = None
    family: str | None = None
    size: str | None = None
    version: str | None = None
    image_size: int | None = None
    lora_alpha: float | None = None
    licence: str | None = None
    sha256: str | None = None
    source: str | None = None


_KINDS: dict[str, type | tuple[type, ...]] = {"image_size": int, "lora_alpha": (int, float)}


def card_path(weights: Path) -> Path:
    """Path of the card of a weights file."""
    return weights.with_name(f"{weights.name}.json")


def read_card(weights: Path) -> Card:
    """Card of a weights file; an empty one where there is none. Keys it does not know are passed over.

    Raises
    ------
    WeightsError
        If the card cannot be read or says something of the wrong kind.
    """
    path = card_path(weights)
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Card()
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{path}, which describes {weights.name}, cannot be read as JSON: mend or remove it."
        ) from error
    if not isinstance(said, dict):
        raise WeightsError(f"{path}, which describes {weights.name}, is no JSON object: mend or remove it.")
    known = {field.name: said[field.name] for field in fields(Card) if said.get(field.name) is not None}
    for name, value in known.items():
        if isinstance(value, bool) or not isinstance(value, _KINDS.get(name, str)):
            raise WeightsError(f"{path} says {value!r} for {name}, which cannot be: mend or remove it.")
    return Card(**known)


def write_card(weights: Path, card: Card) -> None:
    """Write the card of a weights file, whole or not at all.

    Raises
    ------
    SaveError
        If the system refuses.
    """
    # Imported here because reading images brings many libraries, and listing models must not wait for them.
    from napari_medsam.engine.io.aside import write_aside

    said = {name: value for name, value in asdict(card).items() if value is not None}
    with write_aside(card_path(weights)) as aside:
        aside.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
