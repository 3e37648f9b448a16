"""The append-only file a session is written to: one record a line, each chained to the one before by its hash.

A line is ``<hex sha256> <json>``. The hash is taken over the hash of the line before (64 zeros for the first) and the
JSON text, so a line that was changed, removed or put in breaks the chain from there on. The file is plain ASCII: it
can be read, searched and archived without this program.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from napari_medsam.engine.errors import JournalError
from napari_medsam.engine.file_lock import lock

Record = dict[str, Any]

_START = "0" * 64
_BINARY = getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class JournalContents:
    """What was read from a journal.

    Parameters
    ----------
    records : tuple of dict
        The whole records, oldest first.
    digest : str
        Hash of the last of them.
    size : int
        Bytes they take.
    tail : bytes
        What follows them and is no whole record: the rest of an interrupted write, or the part after a damage.
    """

    records: tuple[Record, ...]
    digest: str
    size: int
    tail: bytes

    @property
    def was_altered(self) -> bool:
        """Whether the tail holds whole lines: a write that was only interrupted leaves one line without an end."""
        return b"\n" in self.tail


def read_journal(path: Path) -> JournalContents:
    """Read and verify a journal without changing it.

    Raises
    ------
    JournalError
        If the file cannot be read or its first record is no journal's.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"The journal {path} cannot be read ({error.strerror}).") from error
    contents = _parse(data)
    if not contents.records or contents.records[0].get("type") != "session":
        raise JournalError(f"{path} is not a journal of a session, or its first line is damaged.")
    return contents


class Journal:
    """A journal open for appending, locked against every other process.

    Made by `create` or `reopen`.
    """

    def __init__(self, path: Path, descriptor: int, digest: str, size: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._digest = digest
        self._size = size

    @classmethod
    def create(cls, path: Path) -> Journal:
        """Start a new file, readable by its owner only, in a folder that is made if need be.

        Raises
        ------
        JournalError
            If there is one already or it cannot be made.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise JournalError(f"The folder {path.parent} for journals cannot be made ({error.strerror}).") from error
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | _BINARY, 0o600)
        except FileExistsError as error:
            raise JournalError(f"There is a journal {path} already: recover it, or choose another name.") from error
        except OSError as error:
            raise JournalError(f"The journal {path} cannot be made ({error.strerror}).") from error
        _lock_or_close(descriptor, path)
        _sync_folder(path.parent)
        return cls(path, descriptor, _START, 0)

    @classmethod
    def reopen(cls, path: Path) -> tuple[Journal, JournalContents]:
        """Open a journal to go on after its last whole record; `put_tail_aside` comes before the first `append`.

        Raises
        ------
        JournalError
            If it cannot be read or written, is no journal, or another process writes it.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | _BINARY)
        except OSError as error:
            raise JournalError(f"The journal {path} cannot be opened for writing ({error.strerror}).") from error
        _lock_or_close(descriptor, path)
        try:
            contents = read_journal(path)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, contents.digest, contents.size), contents

    def put_tail_aside(self, contents: JournalContents) -> Path | None:
        """Move what follows the last whole record to a file beside the journal.

        Returns
        -------
        pathlib.Path or None
            The file; None if nothing follows.

        Raises
        ------
        JournalError
            If that fails; the journal is unchanged.
        """
        if not contents.tail:
            return None
        try:
            aside = _write_beside(self.path, contents.tail)
            os.ftruncate(self._descriptor, self._size)
            os.fsync(self._descriptor)
        except OSError as error:
            raise JournalError(f"The damaged end of {self.path} cannot be put aside ({error.strerror}).") from error
        return aside

    def append(self, records: Sequence[Record]) -> None:
        """Write records; on disk when this returns.

        Raises
        ------
        JournalError
            If the disk refuses; none of them is in the file then.
        """
        digest, lines = self._digest, []
        for record in records:
            payload = json.dumps(record, separators=(",", ":"), allow_nan=False, default=_plain)
            digest = _chain(digest, payload.encode("ascii"))
            lines.append(f"{digest} {payload}\n")
        data = "".join(lines).encode("ascii")
        try:
            _write(self._descriptor, data)
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise JournalError(
                f"The journal {self.path} cannot be written ({error.strerror}): the session goes on in memory, "
                "save your result soon."
            ) from error
        self._digest = digest
        self._size += len(data)

    def close(self) -> None:
        """Close the file and free the lock."""
        os.close(self._descriptor)


def is_locked(path: Path) -> bool:
    """Whether a living process writes the journal.

    Raises
    ------
    OSError
        If it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | _BINARY)
    try:
        return not lock(descriptor)
    finally:
        os.close(descriptor)


def now() -> str:
    """The time in UTC as ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _parse(data: bytes) -> JournalContents:
    records: list[Record] = []
    digest, size = _START, 0
    for line in _whole_lines(data):
        stated, _, payload = line.partition(b" ")
        chained = _chain(digest, payload)
        if stated.decode("ascii", "replace") != chained:
            break
        try:
            record = json.loads(payload)
        except ValueError:
            break
        if not isinstance(record, dict):
            break
        records.append(record)
        digest, size = chained, size + len(line) + 1
    return JournalContents(tuple(records), digest, size, data[size:])


def _whole_lines(data: bytes) -> Iterator[bytes]:
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        yield data[start:end]
        start = end + 1


def _plain(value: object) -> object:
    # Coordinates and colours often come out of arrays.
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} has no place in a journal.")


def _chain(digest: str, payload: bytes) -> str:
    return hashlib.sha256(digest.encode("ascii") + payload).hexdigest()


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _lock_or_close(descriptor: int, path: Path) -> None:
    try:
        if lock(descriptor):
            return
        sentence = f"The journal {path} is being written by another session: close that one first."
    except OSError as error:
        sentence = (
            f"The folder of the journal {path} does not support file locks ({error.strerror}): choose another one "
            "with the environment variable NAPARI_MEDSAM_JOURNALS."
        )
    os.close(descriptor)
    raise JournalError(sentence)


def _write_beside(path: Path, tail: bytes) -> Path:
    number = 1
    while True:
        aside = path.with_name(f"{path.name}.damaged-{number}")
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
        except FileExistsError:
            number += 1
            continue
        try:
            _write(descriptor, tail)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _sync_folder(path.parent)
        return aside


def _sync_folder(folder: Path) -> None:
    # The name of a new file is durable only when its folder is; Windows has no such call and does not need it.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
