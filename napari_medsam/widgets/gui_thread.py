"""Brings calls from worker threads to the GUI thread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from qtpy.QtCore import QObject, Qt, QTimer, Signal

_TURN = 0.01
"""Seconds of calls in a row: then the window may draw and listen before it goes on with the next."""


class GuiThread(QObject):
    """Runs functions on the thread it was made on, in the order in which they were handed over."""

    _called = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: deque[Callable[[], None]] = deque()
        self._turns = QTimer(self)
        self._turns.setInterval(0)
        self._turns.timeout.connect(self._run)
        self._called.connect(self._turns.start, Qt.ConnectionType.QueuedConnection)

    def call(self, function: Callable[[], None]) -> None:
        """Run ``function`` on the GUI thread soon. From any thread; after this object is gone, nothing happens."""
        self._waiting.append(function)
        try:
            self._called.emit()
        except RuntimeError:
            # Qt deleted the object: the window was closed while a worker was still busy for it.
            return

    def _run(self) -> None:
        begun = time.perf_counter()
        while self._waiting:
            if time.perf_counter() - begun > _TURN:
                return
            self._waiting.popleft()()
        self._turns.stop()
