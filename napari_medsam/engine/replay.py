"""Prove a journal: ask the model everything again, clean again, and compare each edit bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_medsam.engine.clean_up import cleaned_masks
from napari_medsam.engine.cleaning import Cleaning
from napari_medsam.engine.errors import ImageError, JournalError, PromptError
from napari_medsam.engine.history import Command, Document
from napari_medsam.engine.journal import Record, read_journal
from napari_medsam.engine.objects import Overlap, SegmentedObject
from napari_medsam.engine.overlap import settle, settle_all
from napari_medsam.engine.predictor import Predictor
from napari_medsam.engine.propagation import Route, Seed
from napari_medsam.engine.recorder import engine_record
from napari_medsam.engine.recovery import Retold, check_image, engines_of, find_image, retell
from napari_medsam.engine.region import Edit, Region
from napari_medsam.engine.saving import save_masks
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume
from napari_medsam.engine.window import Window

_PROVABLE = ("predict", "remove_prompt", "propagate", "clean")


@dataclass(frozen=True)
class ReplayedCommand:
    """One answer of the model, or one cleaning, then and now.

    Parameters
    ----------
    number : int
        Number of the command in the journal.
    kind : str
        ``"predict"``, ``"remove_prompt"``, ``"propagate"`` or ``"clean"``.
    object_id : int
        The object it is about; the first one of several.
    prompts : tuple of str
        Kinds of the prompts predicted with, the newest last.
    voxels : int
        Voxels changed then, in all objects.
    differing : int
        Voxels that change differently now; 0 when the edits are the same bit for bit.
    problem : str
        Why the model gave no answer now, or ``""``.
    """

    number: int
    kind: str
    object_id: int
    prompts: tuple[str, ...]
    voxels: int
    differing: int
    problem: str = ""

    @property
    def is_same(self) -> bool:
        """Whether the model answered as it did then."""
        return not self.differing and not self.problem


class Replay:
    """A journal, its image and its model, ready to be proved.

    The file is only read: a journal that a running session writes can be replayed as far as it goes.

    Parameters
    ----------
    path : pathlib.Path
        The journal.
    segmenter : Segmenter
        The model that should have written it.
    volume : Volume, optional
        The image; by default it is opened from where it was.

    Attributes
    ----------
    doubts : tuple of str
        A sentence for everything that makes a proof impossible even if all edits agree: another model, a journal that
        was altered.
    remarks : tuple of str
        A sentence for whatever explains a difference but is none: another torch, device or number of threads.
    document : Document
        The session at the end of the journal.

    Raises
    ------
    JournalError
        If the journal cannot be read, or its image is gone or has changed.
    """

    def __init__(self, path: Path, segmenter: Segmenter, volume: Volume | None = None) -> None:
        contents = read_journal(path)
        header = contents.records[0]
        self.document: Document = retell(contents.records, path).document
        self._records = contents.records
        if volume is None:
            volume = find_image(header, path)
        else:
            check_image(header, volume)
        self.volume = volume
        self._predictor = Predictor(segmenter, volume)
        engines = engines_of(contents.records)
        self.doubts = tuple(_doubts(path, contents.tail, contents.was_altered, engines, segmenter))
        self.remarks = tuple(_remarks(engines, segmenter))

    def run(self, task: Task) -> Iterator[ReplayedCommand]:
        """Answer after answer, in the order of the journal.

        Each starts from what the journal holds, so that one difference does not spread to all that follow.

        Raises
        ------
        Cancelled
            If ``task`` was cancelled.
        """
        told = Retold()
        for place, record in enumerate(self._records):
            task.progress(place / len(self._records), "Replaying")
            if record["type"] == "command" and record["command"]["kind"] in _PROVABLE:
                yield self._again(told.document, told.command(record), task)
            told.hear(record)

    def save(self, path: Path) -> None:
        """Write the masks at the end of the journal. Raises what `Session.save` raises."""
        save_masks(path, self.volume, self.document.objects.values())

    def _again(self, document: Document, command: Command, task: Task) -> ReplayedCommand:
        object_id = _subjects(command)[0]
        change = command.changes[object_id]
        after = change.after
        if after is None:
            raise JournalError(f"Command {command.number} predicts for an object that it removes.")
        before = document.objects[object_id]
        overlap = Overlap(command.details["overlap"])
        kinds = tuple(prompt.kind for prompt in after.prompts)
        voxels = sum(_size(c.edit) for c in command.changes.values())
        window = command.details.get("window")
        self._predictor.show(Window(*window) if window else None, task)
        try:
            if command.kind == "clean":
                masks = self._cleaned(document, command, overlap, task)
            elif command.kind == "propagate":
                masks = self._propagated(document, command, overlap, task)
            else:
                masks = self._masks(document, command.kind, before, after, overlap, task)
        except (PromptError, ImageError) as error:
            return ReplayedCommand(command.number, command.kind, object_id, kinds, voxels, voxels, str(error))
        differing = 0
        for id_ in masks.keys() | command.changes.keys():
            old = document.objects[id_].mask
            then = command.changes[id_].edit if id_ in command.changes else Edit.nothing()
            differing += _distance(then.apply(old), masks.get(id_, old))
        return ReplayedCommand(command.number, command.kind, object_id, kinds, voxels, differing)

    def _cleaned(self, document: Document, command: Command, overlap: Overlap, task: Task) -> dict[int, Region]:
        objects = document.objects
        cleaned = {id_: objects[id_] for id_ in _subjects(command)}
        masks = cleaned_masks(cleaned, Cleaning.from_json(command.details["cleaning"]), self.volume, task)
        return settle_all(objects, masks, overlap)

    def _propagated(self, document: Document, command: Command, overlap: Overlap, task: Task) -> dict[int, Region]:
        objects, details = document.objects, command.details
        seeds = {int(id_): Seed(objects[int(id_)].mask, tuple(keys)) for id_, keys in details["keys"].items()}
        limit = None if details["complete"] else int(details["answered"])
        result = self._predictor.propagate(seeds, Route(**details["route"]), task, limit=limit)
        if result.stopped_by is not None:
            raise result.stopped_by
        return settle_all(objects, result.masks, overlap)

    def _masks(
        self,
        document: Document,
        kind: str,
        before: SegmentedObject,
        after: SegmentedObject,
        overlap: Overlap,
        task: Task,
    ) -> dict[int, Region]:
        objects = document.objects
        if kind == "predict":
            region = self._predictor.answer(after.prompts, before.mask, task, before.is_answer).region
            return settle(objects, before.id, region, before.mask, overlap)
        region = self._predictor.retrace(after.steps, objects, before.id, overlap, task)
        return settle(objects, before.id, region, Region.empty(), overlap)


def _subjects(command: Command) -> list[int]:
    # Objects that only gave way to another one keep their steps.
    return [
        id_
        for id_, c in command.changes.items()
        if c.before is None or c.after is None or c.before.steps != c.after.steps
    ]


def _size(edit: Edit) -> int:
    return int(np.count_nonzero(edit.added) + np.count_nonzero(edit.removed))


def _distance(one: Region, other: Region) -> int:
    return _size(Edit.between(one, other))


def _doubts(
    path: Path, tail: bytes, was_altered: bool, engines: Sequence[Record], segmenter: Segmenter
) -> Iterator[str]:
    if was_altered:
        yield (
            f"The journal {path} was damaged or altered: {len(tail)} bytes at its end do not fit the chain and are "
            "left out."
        )
    for engine in engines:
        model = engine["model"]
        if (model["name"], model["weights_hash"]) != (segmenter.info.name, segmenter.info.weights_hash):
            yield (
                f"The journal was written with the model {model['name']} (weights {model['weights_hash'][:12]}), this "
                f"is {segmenter.info.name} (weights {segmenter.info.weights_hash[:12]}): replay with the one it names."
            )
            return


def _remarks(engines: Sequence[Record], segmenter: Segmenter) -> Iterator[str]:
    here = engine_record(segmenter.info)
    for engine in engines:
        then = (engine["package"], engine["torch"], engine["model"]["device"])
        today = (here["package"], here["torch"], here["model"]["device"])
        if then != today:
            yield (
                f"Written with {_engine_text(*then)}; replayed with {_engine_text(*today)}. Answers are the same bit "
                "for bit only where all of these are."
            )
            return


def _engine_text(package: str, torch: Record | None, device: str) -> str:
    numerics = "no torch" if torch is None else f"torch {torch['version']} with {torch['threads']} threads"
    return f"version {package}, {numerics}, on {device}"
