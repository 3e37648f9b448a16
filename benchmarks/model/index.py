"""The folder with the data to train on: ``INDEX.json`` and the files it names."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


def read_index(folder: Path) -> list[Entry]:
    """Entries ``{id, source, licence, modality, dim, image, label}``, or ``pairs`` of image and label for pictures.

    The image of a label map alone is None.
    """
    entries: list[Entry] = json.loads((folder / "INDEX.json").read_text(encoding="utf-8"))
    return entries


def image_paths(entry: Entry) -> list[str]:
    """Images of an entry, relative to the folder; the label map where there is nothing else."""
    return [image for image, _ in entry["pairs"]] if entry["dim"] == 2 else [entry["image"] or entry["label"]]


def is_held_out(entry: Entry) -> bool:
    """Whether an entry is of the tenth of volumes, whole patients, that a pool made with ``--hold-out`` leaves out."""
    patient = f"{entry['source']} {entry.get('patient') or entry['id']}"
    return entry["dim"] == 3 and hashlib.sha256(patient.encode()).digest()[0] % 10 == 0


def entries_for(folder: Path, dims: int, hold_out: bool) -> list[Entry]:
    """Entries that a pool of that many dimensions is made from: volumes serve both kinds, pictures 2D alone."""
    return [e for e in read_index(folder) if e["dim"] in (dims, 3) and not (hold_out and is_held_out(e))]


def sources(folder: Path, dims: int, hold_out: bool = False) -> list[Entry]:
    """What a pool of that many dimensions is made from: ``{source, licence, modality, images}``, one per source."""
    counts: Counter[tuple[str, str]] = Counter()
    modalities: dict[tuple[str, str], list[str]] = {}
    for entry in entries_for(folder, dims, hold_out):
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
