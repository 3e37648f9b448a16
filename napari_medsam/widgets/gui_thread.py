"""Brings calls from worker threads to the GUI thread."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, Qt, Signal


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

    def _run(self, function: Callable[[], None]) -> None:
        function()
