"""From one slice to the volume."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QWidget


class PropagateBar(QWidget):
    """Propagate, for the current object or for all."""

    propagate_requested = Signal(bool)
    """Whether all objects are meant."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._button = QPushButton("Propagate")
        self._button.setToolTip(
            "Carry the mask from the slices you gave prompts on to the others, along the axis you scroll.\n"
            "Slices with prompts stay as they are: correct some, then propagate again."
        )
        self._button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._all = QCheckBox("All objects")
        self._all.setToolTip("On: all objects together. Off: the chosen one.")
        self._all.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._button.clicked.connect(self._request)
        layout.addWidget(self._button, 1)
        layout.addWidget(self._all)

    @property
    def button(self) -> QPushButton:
        """The button that starts it."""
        return self._button

    def _request(self) -> None:
        self.propagate_requested.emit(self._all.isChecked())

    def set_enabled(self, enabled: bool) -> None:
        """Whether there is something to propagate, and nothing that runs."""
        self._button.setEnabled(enabled)
