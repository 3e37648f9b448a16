"""Progress of the work on the engine thread, with a way to stop it."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QSizePolicy, QWidget

_SHOW_AFTER_MS = 200
_STEPS = 1000


class ProgressRow(QWidget):
    """A bar and a Cancel button that appear when work lasts longer than 200 ms; shorter work does not flicker."""

    cancel_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._bar = QProgressBar()
        self._bar.setRange(0, _STEPS)
        self._bar.setTextVisible(True)
        self._bar.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._cancel = QPushButton("Cancel")
        self._cancel.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._cancel.clicked.connect(self.cancel_requested)
        layout.addWidget(self._bar, 1)
        layout.addWidget(self._cancel)
        # The row keeps its place while hidden, so that nothing jumps when it appears.
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.setSizePolicy(policy)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(_SHOW_AFTER_MS)
        self._delay.timeout.connect(self.show)
        self.hide()

    @property
    def cancel_button(self) -> QPushButton:
        """The button that stops the work."""
        return self._cancel

    def set_progress(self, fraction: float, text: str) -> None:
        """Show how far the work is; ``fraction`` in [0, 1]."""
        # A bar in sight paints itself, and an OpenGL window with it, before setValue returns; like this it waits.
        self._bar.setUpdatesEnabled(False)
        self._bar.setValue(round(fraction * _STEPS))
        self._bar.setFormat(text or "Working")
        self._bar.setUpdatesEnabled(True)
        if not self.isVisible() and not self._delay.isActive():
            self._delay.start()

    def finish(self) -> None:
        """Hide: there is no work."""
        self._delay.stop()
        self.hide()
        self._bar.reset()
