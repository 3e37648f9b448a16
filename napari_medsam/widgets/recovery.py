"""Sessions that a crash left unfinished: found at the start, offered one at a time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from psygnal import Signal

from napari_medsam.engine.journals import JournalSummary, unfinished
from napari_medsam.engine.session import Session
from napari_medsam.widgets.jobs import Jobs


class Recovery:
    """Looks for unfinished journals and opens, discards or passes over the newest of them.

    Parameters
    ----------
    jobs : Jobs
        Where reading happens.
    """

    offered = Signal(str)
    """A sentence: there is a session to recover."""
    settled = Signal()
    """Nothing is offered any more."""
    recovered = Signal(Session)
    """The session is open again."""
    failed = Signal(Exception)

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._found: list[JournalSummary] = []

    def look(self) -> None:
        """Look for unfinished journals; offers the newest."""
        self._jobs.submit("look", "Looking for unfinished work", lambda _: unfinished(), self._offer, self._on_failed)

    def recover(self) -> None:
        """Open the session that is offered."""
        journal = self._found.pop(0)
        self.settled.emit()
        self._jobs.submit(
            ("recover", journal.path),
            "Recovering",
            lambda _: Session.recover(journal.path),
            self.recovered.emit,
            self._on_failed,
        )

    def discard(self) -> None:
        """Keep the journal that is offered out of the way, as a file that nobody is asked about again."""
        journal = self._found.pop(0)
        self._jobs.submit(
            ("discard", journal.path),
            "Putting aside",
            lambda _: journal.path.rename(_aside(journal.path)),
            lambda _: self._offer(self._found),
            self._on_failed,
        )

    def later(self) -> None:
        """Ask again at the next start."""
        self._found.clear()
        self.settled.emit()

    def _offer(self, found: list[JournalSummary]) -> None:
        self._found = found
        if not found:
            self.settled.emit()
            return
        newest = found[0]
        image = Path(newest.image).name if newest.image else "an image without a file"
        more = f" {len(found) - 1} older ones wait, too." if len(found) > 1 else ""
        self.offered.emit(f"Unfinished work on {image} was found, of {_local(newest.changed)}.{more}")

    def _on_failed(self, error: Exception) -> None:
        self.settled.emit()
        self.failed.emit(error)


def _aside(journal: Path) -> Path:
    return journal.with_suffix(".discarded")


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%d %B, %H:%M}"
