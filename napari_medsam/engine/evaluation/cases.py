"""The list of labelled structures that simulated users segment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import MedSamError
from napari_medsam.engine.evaluation.pictures import picture_entries
from napari_medsam.engine.io import open_challenge, open_labels, open_volume
from napari_medsam.engine.volume import Volume

LabelArray = npt.NDArray[np.integer[Any]]


class CasesError(MedSamError):
    """A list of cases cannot be used; the text has one sentence for each bad entry."""


@dataclass(frozen=True)
class Case:
    """One labelled image.

    Parameters
    ----------
    id : str
        Name of the case, unique in its list.
    dataset : str
        Group that is averaged before the mean over datasets is taken.
    modality : str
        DICOM modality code where it is known, else ``""``.
    image, label : pathlib.Path
        Files of the image and of its labels; one and the same for an ``.npz`` of the CVPR-2025 challenge.
    values : tuple of tuple of int
        Each inner tuple is one structure: the label values that belong to it.
    """

    id: str
    dataset: str
    modality: str
    image: Path
    label: Path
    values: tuple[tuple[int, ...], ...]

    def read(self) -> tuple[Volume, LabelArray]:
        """Image and labels, both ``(z, y, x)``.

        Raises
        ------
        ImageError
            If a file cannot be read or the labels do not lie on the image.
        """
        volume = open_volume(self.image)
        if self.label.suffix != ".npz":
            return volume, open_labels(self.label, like=volume)
        labels = open_challenge(self.label).labels
        if labels is None:
            raise CasesError(f"{self.label} holds no labels: it has no array 'gts'.")
        return volume, labels


def load_cases(path: Path, datasets: Sequence[str] = ()) -> list[Case]:
    """Read a list of cases.

    Parameters
    ----------
    path : pathlib.Path
        JSON: a list of objects with ``id``, ``dataset``, ``image``, ``label`` (paths relative to the file),
        ``values`` (a list of lists of label values, each one structure) and optionally ``modality``. Or the
        ``image2label`` or ``label2image`` list of a set of pictures in the SA-Med2D layout, or a folder of such lists.
    datasets : sequence of str
        Keep only the cases of these datasets; all when empty.

    Raises
    ------
    CasesError
        If the file is no such list, an entry is bad (all bad ones are named), or nothing is left.
    """
    lists = sorted(path.glob("*.json")) if path.is_dir() else [path]
    entries = [entry for part in lists for entry in _entries(part)]
    cases, faults = [], []
    seen: set[str] = set()
    for number, entry in enumerate(entries, start=1):
        try:
            case = _case(entry, path.parent)
            if case.id in seen:
                raise ValueError(f"its id {case.id!r} was given before")
            seen.add(case.id)
            cases.append(case)
        except ValueError as error:
            name = entry.get("id", "") if isinstance(entry, dict) else ""
            faults.append(f"Entry {number}{f' ({name})' if name else ''}: {error}.")
    if faults:
        raise CasesError("\n".join([f"{path} has {len(faults)} bad entries.", *faults]))
    known = sorted({case.dataset for case in cases})
    unknown = sorted(set(datasets) - set(known))
    if unknown:
        raise CasesError(f"{path} has no dataset {', '.join(unknown)}; it has {', '.join(known)}.")
    chosen = [case for case in cases if not datasets or case.dataset in datasets]
    if not chosen:
        raise CasesError(f"{path} lists no cases.")
    return chosen


def _entries(path: Path) -> list[Any]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CasesError(f"The list of cases {path} cannot be read: {error}.") from error
    if isinstance(entries, dict) and entries:
        try:
            return list(picture_entries(entries, path))
        except (TypeError, ValueError) as error:
            raise CasesError(f"{path} is no list of pictures and their masks: {error}.") from error
    if not isinstance(entries, list):
        raise CasesError(f"{path} is not a list of cases: its outermost value must be a JSON list.")
    return entries


def _case(entry: Any, folder: Path) -> Case:
    if not isinstance(entry, dict):
        raise ValueError("it is not a JSON object")
    name, dataset, image, label = (_text(entry, key) for key in ("id", "dataset", "image", "label"))
    modality = entry.get("modality", "")
    if not isinstance(modality, str):
        raise ValueError(f"modality must be a text and is {modality!r}")
    files = folder / image, folder / label
    missing = sorted({str(file) for file in files if not file.exists()})
    if missing:
        raise ValueError(f"there is no file {' and no file '.join(missing)}")
    return Case(name, dataset, modality, *files, _values(entry.get("values")))


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} must be a text and is {value!r}")
    return value


def _values(values: Any) -> tuple[tuple[int, ...], ...]:
    def is_structure(item: Any) -> bool:
        return isinstance(item, list) and bool(item) and all(type(v) is int and v > 0 for v in item)

    if not isinstance(values, list) or not values or not all(is_structure(item) for item in values):
        raise ValueError("values must be a list of lists of positive label values, such as [[1], [2, 3]]")
    return tuple(tuple(item) for item in values)
