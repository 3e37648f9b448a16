"""Where journals live, and which of them wait to be recovered."""

from __future__ import annotations

import json
import os
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_medsam.engine.journal import is_locked

_VARIABLE = "NAPARI_MEDSAM_JOURNALS"
_SUFFIX = ".journal"


@dataclass(frozen=True)
class JournalSummary:
    """One journal of a folder, without its contents.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    image : str
        Path of the image, or ``""`` if it came from no file.
    started, changed : datetime.datetime
        When it was begun and last written, UTC.
    is_closed : bool
        Whether the session was closed in order.
    is_open : bool
        Whether a living process writes it.
    """

    path: Path
    image: str
    started: datetime
    changed: datetime
    is_closed: bool
    is_open: bool


def journal_folder() -> Path:
    """Folder of this user's journals: ``$NAPARI_MEDSAM_JOURNALS``, else the system's place for a program's state.

    That is ``$XDG_STATE_HOME`` or ``~/.local/state`` (Linux), ``~/Library/Application Support`` (macOS),
    ``%LOCALAPPDATA%`` (Windows), and in it ``napari-medsam/journals``.
    """
    chosen = os.environ.get(_VARIABLE)
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "napari-medsam" / "journals"


def new_journal(folder: Path | None = None) -> Path:
    """Path for the journal of a new session. Its name tells the time and nothing about the patient."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    return (folder or journal_folder()) / f"{stamp}-{uuid.uuid4().hex[:8]}{_SUFFIX}"


def list_journals(folder: Path | None = None) -> list[JournalSummary]:
    """The journals of a folder, the newest first; files that are no journals are passed over."""
    folder = folder or journal_folder()
    if not folder.is_dir():
        return []
    found = [summary for path in sorted(folder.glob(f"*{_SUFFIX}")) if (summary := _summary(path)) is not None]
    return sorted(found, key=lambda summary: summary.changed, reverse=True)


def unfinished(folder: Path | None = None) -> list[JournalSummary]:
    """The journals that were neither closed in order nor are being written now: those to offer for recovery."""
    return [summary for summary in list_journals(folder) if not summary.is_closed and not summary.is_open]


def _summary(path: Path) -> JournalSummary | None:
    # Only the first and the last line are read: years of journals must not slow the start of the program.
    try:
        with path.open("rb") as file:
            first = _payload(file.readline())
            file.seek(max(path.stat().st_size - 4096, 0))
            last = file.read().splitlines()[-1:]
        if first is None or first.get("type") != "session":
            return None
        closing = _payload(last[0]) if last else None
        return JournalSummary(
            path,
            str(first["image"]["source"] or ""),
            datetime.fromisoformat(first["time"]),
            datetime.fromtimestamp(path.stat().st_mtime, UTC),
            closing is not None and closing.get("type") == "closed",
            is_locked(path),
        )
    except (OSError, KeyError, TypeError, ValueError):
        return None


def _payload(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line.partition(b" ")[2])
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
