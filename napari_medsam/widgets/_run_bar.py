"""When to predict, and going back and forth in what was done."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QPushButton, QWidget

from napari_medsam.widgets.tools import Key


class RunBar(QWidget):
    """Auto-run, Run, Undo, Redo and Save."""

    auto_run_changed = Signal(bool)
    run_requested = Signal()
    undo_requested = Signal()
    redo_requested = Signal()
    save_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._auto = QCheckBox("Run after each prompt")
        self._auto.setToolTip("Off: give several prompts first, then press Run.")
        self._auto.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._auto.toggled.connect(self.auto_run_changed)
        self._run = self._button(f"Run  ({Key.RUN})", "Predict from the prompts that wait.", self.run_requested)
        self._undo = self._button(f"Undo  ({Key.UNDO})", "Take the last step back.", self.undo_requested)
        self._redo = self._button(f"Redo  ({Key.REDO})", "Do the step again.", self.redo_requested)
        self._save = self._button("Save…", "Write the objects: NIfTI, NRRD, DICOM SEG and more.", self.save_requested)
        layout.addWidget(self._auto, 0, 0)
        layout.addWidget(self._run, 0, 1)
        layout.addWidget(self._undo, 1, 0)
        layout.addWidget(self._redo, 1, 1)
        layout.addWidget(self._save, 2, 0, 1, 2)

    def set_auto_run(self, on: bool) -> None:
        """Show whether prompts are answered at once."""
        self._auto.setChecked(on)

    def set_enabled(self, *, run: bool, undo: bool, redo: bool, save: bool) -> None:
        """Enable what can be done now."""
        self._run.setEnabled(run)
        self._undo.setEnabled(undo)
        self._redo.setEnabled(redo)
        self._save.setEnabled(save)

    def _button(self, text: str, tip: str, signal: Signal) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(signal)
        return button
