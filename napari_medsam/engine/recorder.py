"""Writes a session into its journal: what it is about, then everything that happens."""

from __future__ import annotations

import contextlib
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from napari_medsam import __version__
from napari_medsam.engine.errors import JournalError, SaveError
from napari_medsam.engine.journal import Journal, Record, now
from napari_medsam.engine.segmenters.base import SegmenterInfo
from napari_medsam.engine.volume import Volume

FORMAT = 1


class Recorder:
    """The records of one session, kept until they are on disk.

    The file is made at the first `flush`: a session in which nothing was segmented leaves none. A record names no
    user: who sat at the workstation is not this program's to know.

    Parameters
    ----------
    path : pathlib.Path or None
        The journal; None records nothing.
    volume, info
        What the session is about.
    journal : Journal, optional
        The open journal of a recovered session.

    Attributes
    ----------
    has_begun : bool
        Whether something was to be put on disk yet.
    """

    def __init__(self, path: Path | None, volume: Volume, info: SegmenterInfo, journal: Journal | None = None) -> None:
        self._path = path
        self._volume = volume
        self._info = info
        self._journal = journal
        self._waiting: list[Record] = []
        self._header: Record | None = None
        self._beginning = threading.Lock()
        self._is_headed = journal is not None
        self.has_begun = journal is not None
        if journal is not None:
            self.add("opened", **engine_record(info))

    def add(self, kind: str, **fields: Any) -> None:
        """Queue a record for the next `flush`."""
        if self._path is not None:
            self._waiting.append({"type": kind, "time": now(), **fields})

    def begin_ahead(self) -> None:
        """Do now, without any lock of the session, what would make the first `flush` slow; failures wait for that."""
        with contextlib.suppress(JournalError):
            self._begin()

    def flush(self) -> None:
        """Put everything queued on disk.

        Raises
        ------
        JournalError
            If that fails; the records stay queued and the next call tries again.
        """
        self.has_begun = True
        journal, header = self._begin()
        if journal is None:
            return
        if not self._is_headed and header is not None:
            self._waiting.insert(0, header)
            self._is_headed = True
        if self._waiting:
            journal.append(self._waiting)
            self._waiting.clear()

    def close(self) -> None:
        """Free the journal; what is still queued is lost."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self._path = None
        self._waiting.clear()

    def _begin(self) -> tuple[Journal | None, Record | None]:
        with self._beginning:
            if self._path is not None:
                if self._journal is None:
                    self._journal = Journal.create(self._path)
                if self._header is None and not self._is_headed:
                    self._header = _header(self._path, self._volume, self._info)
            return self._journal, self._header


def _header(path: Path, volume: Volume, info: SegmenterInfo) -> Record:
    copy = None
    if volume.source is None:
        copy = f"{path.stem}.image.npy"
        _save_voxels(path.with_name(copy), volume)
    image = {
        "source": None if volume.source is None else str(volume.source.absolute()),
        "copy": copy,
        "frame": volume.frame,
        "modality": volume.modality,
        "shape": list(volume.data.shape),
        "dtype": volume.data.dtype.str,
        "affine": volume.affine.tolist(),
        "hash": volume.hash,
    }
    return {"type": "session", "format": FORMAT, "time": now(), "image": image, **engine_record(info)}


def engine_record(info: SegmenterInfo) -> Record:
    """What computes here: package, model, weights, device and numerics."""
    # A segmenter that works with torch has imported it; one that does not should not pay for the import.
    torch = sys.modules.get("torch")
    return {
        "package": __version__,
        "model": {"name": info.name, "weights_hash": info.weights_hash, "device": info.device},
        "torch": None if torch is None else {"version": str(torch.__version__), "threads": torch.get_num_threads()},
    }


def _save_voxels(path: Path, volume: Volume) -> None:
    # Imported here: readers and writers of medical formats take long to import, and most images come from a file.
    from napari_medsam.engine.io import write_aside

    try:
        with write_aside(path) as aside:
            np.save(aside, volume.data, allow_pickle=False)
    except SaveError as error:
        raise JournalError(f"{error} The session goes on in memory: save your result soon.") from error
