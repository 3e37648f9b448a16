"""A journal opened to go on with, together with its image and its model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_medsam.engine.journal import Journal
from napari_medsam.engine.ledger import Ledger
from napari_medsam.engine.recorder import Recorder
from napari_medsam.engine.recovery import check_image, engines_of, find_image, retell
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.segmenters.registry import load_segmenter
from napari_medsam.engine.volume import Volume


@dataclass(frozen=True)
class Reopened:
    """What a session goes on with.

    Parameters
    ----------
    volume : Volume
        The image.
    segmenter : Segmenter
        The model.
    ledger : Ledger
        All that happened so far; it writes on in the same journal.
    notes : tuple of str
        A sentence for whatever is not as it was.
    """

    volume: Volume
    segmenter: Segmenter
    ledger: Ledger
    notes: tuple[str, ...]


def reopen(path: Path, volume: Volume | None, segmenter: Segmenter | None) -> Reopened:
    """See `Session.recover`."""
    journal, contents = Journal.reopen(path)
    try:
        header = contents.records[0]
        told = retell(contents.records, path)
        if volume is None:
            volume = find_image(header, path)
        else:
            check_image(header, volume)
        written = engines_of(contents.records)[-1]["model"]
        segmenter = segmenter or load_segmenter(written["name"])
        tail = journal.put_tail_aside(contents)
    except BaseException:
        journal.close()
        raise
    ledger = Ledger(Recorder(path, volume, segmenter.info, journal), told)
    with ledger.changing() as events:
        ledger.flush(events)
    notes = []
    if tail is not None:
        notes.append(f"The end of the journal was damaged: everything before it is here, the rest was put into {tail}.")
    if written["weights_hash"] != segmenter.info.weights_hash:
        notes.append("The model is not the one that worked on this session before: its answers may differ.")
    return Reopened(volume, segmenter, ledger, tuple(notes))
