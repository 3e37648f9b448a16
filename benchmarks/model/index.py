"""The folder with the data to train on: ``INDEX.json`` and the files it names."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


def read_index(folder: Path) -> list[Entry]:
    """Entries ``{id, source, licence, modality, dim, image, label}``, or ``pairs`` of image and label for pictures."""
    entries: list[Entry] = json.loads((folder / "INDEX.json").read_text(encoding="utf-8"))
    return entries


def image_paths(entry: Entry) -> list[str]:
    """Images of an entry, relative to the folder."""
    return [image for image, _ in entry["pairs"]] if entry["dim"] == 2 else [entry["image"]]


def sources(folder: Path, dims: int) -> list[Entry]:
    """What a pool of that many dimensions is made from: ``{source, licence, modality, images}``, one per source.

    Volumes serve both kinds, pictures 2D alone.
    """
    counts: Counter[tuple[str, str]] = Counter()
    modalities: dict[tuple[str, str], list[str]] = {}
    for entry in read_index(folder):
        if entry["dim"] in (dims, 3):
            key = entry["source"], entry["licence"]
            counts[key] += len(image_paths(entry))
            modalities.setdefault(key, []).append(entry["modality"])
    return [
        {
            "source": source,
            "licence": licence,
            "modality": ", ".join(dict.fromkeys(modalities[source, licence])),
            "images": count,
        }
        for (source, licence), count in counts.items()
    ]
