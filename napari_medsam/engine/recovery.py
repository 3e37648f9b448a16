"""From the records of a journal back to the session they tell of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_medsam.engine.errors import ImageError, JournalError, PromptError
from napari_medsam.engine.history import Command, Document, Inputs
from napari_medsam.engine.journal import Record, read_journal
from napari_medsam.engine.objects import Overlap
from napari_medsam.engine.prompts import Prompt, prompt_from_json
from napari_medsam.engine.recorder import FORMAT
from napari_medsam.engine.volume import Volume


@dataclass(frozen=True)
class Given:
    """A prompt that waits to be predicted.

    Parameters
    ----------
    object_id : int
        The object it is for.
    prompt : Prompt
        The gesture.
    time : str
        When it was given, UTC, ISO 8601.
    recorded : bool
        Whether the journal has it.
    """

    object_id: int
    prompt: Prompt
    time: str
    recorded: bool = False


@dataclass
class Retold:
    """A session as far as its records tell."""

    document: Document = field(default_factory=Document)
    pending: dict[str, Given] = field(default_factory=dict)
    overlap: Overlap = Overlap.KEEP
    inputs: Inputs = field(default_factory=Inputs)

    def command(self, record: Record) -> Command:
        """The command of a record of the type ``"command"``."""
        return Command.from_json(record["command"], self.inputs)

    def hear(self, record: Record) -> None:
        """Take in the next record."""
        document = self.document
        match record["type"]:
            case "prompt":
                prompt = prompt_from_json(record["prompt"])
                self.inputs.prompts[prompt.id] = prompt
                self.pending[prompt.id] = Given(int(record["object"]), prompt, record["given"], recorded=True)
            case "dropped":
                self.pending.pop(record["prompt"])
            case "command":
                command = self.command(record)
                document.do(command)
                if "overlap" in command.details:
                    self.overlap = Overlap(command.details["overlap"])
            case "undo":
                document.undo()
            case "redo":
                document.redo()
        self.pending = still_pending(self.pending, document)


def still_pending(pending: dict[str, Given], document: Document) -> dict[str, Given]:
    """The prompts whose object exists and has not taken them in."""
    taken = {prompt.id for item in document.objects.values() for prompt in item.prompts}
    return {k: given for k, given in pending.items() if given.object_id in document.objects and k not in taken}


def retell(records: Sequence[Record], path: Path) -> Retold:
    """Rebuild a session from its journal, without a model.

    Raises
    ------
    JournalError
        If the journal is of another format, or a record makes no sense.
    """
    check_format(records[0], path)
    told = Retold()
    for number, record in enumerate(records, 1):
        try:
            told.hear(record)
        except (KeyError, TypeError, ValueError, IndexError, PromptError) as error:
            raise JournalError(f"Record {number} of the journal {path} cannot be understood ({error!r}).") from error
    return told


def check_format(header: Record, path: Path) -> None:
    """Raise `JournalError` unless this version reads the journal with this first record."""
    if header.get("format") != FORMAT:
        raise JournalError(
            f"The journal {path} has the format {header.get('format')}; this version reads format {FORMAT}: "
            "use the version that wrote it."
        )


def find_image(header: Record, path: Path) -> Volume:
    """The image a journal is about, verified by its hash.

    Parameters
    ----------
    header : dict
        First record.
    path : pathlib.Path
        The journal.

    Raises
    ------
    JournalError
        If the image is gone or not what it was.
    """
    image = header["image"]
    place = path.with_name(image["copy"]) if image["copy"] else Path(image["source"])
    try:
        if image["copy"]:
            volume = Volume(np.load(place, allow_pickle=False), np.array(image["affine"]), modality=image["modality"])
        else:
            # Imported here: readers of medical formats take long to import, and most sessions bring their image.
            from napari_medsam.engine.io import open_volume

            volume = open_volume(place, frame=image["frame"])
    except (OSError, ValueError, ImageError) as error:
        raise JournalError(
            f"The image of the journal, {place}, cannot be opened any more: put it back, or open it from its new place "
            f"and recover with it. ({error})"
        ) from error
    check_image(header, volume)
    return volume


def model_of(path: Path) -> str:
    """Name or folder of the model that wrote a journal last. Raises `JournalError` as `read_journal`."""
    return str(engines_of(read_journal(path).records)[-1]["model"]["name"])


def frame_of(path: Path) -> int:
    """Which volume of a 4D image a journal is about. Raises `JournalError` as `read_journal`."""
    return int(read_journal(path).records[0]["image"]["frame"])


def engines_of(records: Sequence[Record]) -> list[Record]:
    """The records that tell what computed, one for each time the session was opened."""
    return [record for record in records if record["type"] in ("session", "opened")]


def check_image(header: Record, volume: Volume) -> None:
    """Raise `JournalError` unless the journal is about this very image."""
    if volume.hash != header["image"]["hash"]:
        where = f", {volume.source}," if volume.source else ""
        raise JournalError(
            f"The image{where} is not the one the journal was written for: its voxels or its geometry have changed "
            "since. Put the original back to recover."
        )
