"""An offer to go on with what a crash interrupted, that never stands in the way."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget


class RecoveryBar(QFrame):
    """A sentence with *Recover*, *Discard* and *Later*."""

    recover_requested = Signal()
    discard_requested = Signal()
    later_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        self._text = QLabel()
        self._text.setWordWrap(True)
        layout.addWidget(self._text)
        row = QHBoxLayout()
        row.setSpacing(4)
        self._buttons: dict[str, QPushButton] = {}
        for name, tip, signal in (
            ("Recover", "Open the image again with every prompt and mask.", self.recover_requested),
            ("Discard", "Forget it here; its file is kept aside on disk.", self.discard_requested),
            ("Later", "Ask again at the next start.", self.later_requested),
        ):
            button = QPushButton(name)
            button.setToolTip(tip)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(signal)
            row.addWidget(button)
            self._buttons[name] = button
        layout.addLayout(row)
        self.hide()

    def button(self, name: str) -> QPushButton:
        """One of the buttons ``"Recover"``, ``"Discard"``, ``"Later"``."""
        return self._buttons[name]

    def offer(self, sentence: str) -> None:
        """Show the offer."""
        self._text.setText(sentence)
        self.show()
