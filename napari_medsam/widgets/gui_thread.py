"""Brings calls from worker threads to the GUI thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from qtpy.QtCore import QObject, Qt, QTimer, Signal


class GuiThread(QObject):
    """Runs functions on the thread it was made on, in the order in which they were handed over."""

    _called = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._called.connect(self._run, Qt.ConnectionType.QueuedConnection)

    def call(self, function: Callable[[], None]) -> None:
        """Run ``function`` on the GUI thread soon. From any thread; after this object is gone, nothing happens."""
        try:
            self._called.emit(function)
        except RuntimeError:
            # Qt deleted the object: the window was closed while a worker was still busy for it.
            return

    def wait_for_pause(self, timeout: float = 0.25) -> None:
        """Wait until the window has done and drawn what it was asked for so far, at most ``timeout`` seconds.

        From any thread but the GUI thread.
        """
        paused = threading.Event()
        # Timers come after all events that wait, and drawing is one; one of no time would be an event itself.
        self.call(lambda: QTimer.singleShot(1, paused.set))
        paused.wait(timeout)

    def _run(self, function: Callable[[], None]) -> None:
        function()
