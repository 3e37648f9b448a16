"""Progress and cancellation of one piece of work, shared by the thread that does it and the one that watches."""

from __future__ import annotations

import threading
from collections.abc import Callable

from napari_medsam.engine.errors import Cancelled

ProgressCallback = Callable[[float, str], None]


class Task:
    """A cancellable piece of work that reports its progress.

    Parameters
    ----------
    on_progress : callable, optional
        Called as ``on_progress(fraction, text)`` from the working thread; ``fraction`` is in [0, 1].
    """

    def __init__(self, on_progress: ProgressCallback | None = None) -> None:
        self._cancelled = threading.Event()
        self._on_progress = on_progress

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask the work to stop at its next checkpoint. Safe from any thread, any number of times."""
        self._cancelled.set()

    def check(self) -> None:
        """Checkpoint of the work.

        Raises
        ------
        Cancelled
            If `cancel` was called.
        """
        if self._cancelled.is_set():
            raise Cancelled

    def progress(self, fraction: float, text: str = "") -> None:
        """Report progress and pass a checkpoint.

        Raises
        ------
        Cancelled
            If `cancel` was called.
        """
        self.check()
        if self._on_progress is not None:
            self._on_progress(min(max(fraction, 0.0), 1.0), text)
