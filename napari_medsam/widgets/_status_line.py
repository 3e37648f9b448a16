"""What the user is told: one sentence, with the details of an error behind a button."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

_ERROR_STYLE = "QLabel { color: rgb(255, 120, 110); }"
_WARNING_STYLE = "QLabel { color: rgb(235, 170, 60); }"
_LINES = 3


class StatusLine(QWidget):
    """A sentence, a *Details* button when an error has more to tell, and the device the model runs on."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self._text.setMinimumHeight(_LINES * self._text.fontMetrics().lineSpacing() + 4)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout.addWidget(self._text)
        row = QHBoxLayout()
        self._device = QLabel()
        self._device.setWordWrap(True)
        self._button = QPushButton("Details…")
        self._button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._button.clicked.connect(self.show_details)
        self._button.hide()
        row.addWidget(self._device, 1)
        row.addWidget(self._button)
        layout.addLayout(row)
        self._details = ""

    @property
    def text(self) -> str:
        """The sentence shown."""
        return str(self._text.text())

    @property
    def details_button(self) -> QPushButton:
        """The button that opens the details; hidden when there are none."""
        return self._button

    def show_message(self, sentence: str) -> None:
        """Tell what happened or what to do next."""
        self._show(sentence, "", "")

    def show_error(self, sentence: str, details: str) -> None:
        """Tell what went wrong; ``details`` are for the person who will help."""
        self._show(sentence, details, _ERROR_STYLE)

    def set_device(self, text: str, *, warn: bool) -> None:
        """Show for good what the model runs on; ``warn`` when that is slow."""
        self._device.setText(text)
        self._device.setStyleSheet(_WARNING_STYLE if warn else "")

    def show_details(self) -> None:
        """Open the details in a window of their own that can be resized and copied."""
        dialog = ErrorDialog(self.text, self._details, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def _show(self, sentence: str, details: str, style: str) -> None:
        self._text.setStyleSheet(style)
        self._text.setText(sentence)
        self._details = details
        self._button.setVisible(bool(details))


class ErrorDialog(QDialog):
    """The sentence and the details of one error, copied with one button."""

    def __init__(self, sentence: str, details: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("What went wrong")
        self.resize(640, 360)
        layout = QVBoxLayout(self)
        label = QLabel(sentence)
        label.setWordWrap(True)
        self._edit = QPlainTextEdit(details)
        self._edit.setReadOnly(True)
        self._edit.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        copy = buttons.addButton("Copy", QDialogButtonBox.ButtonRole.ActionRole)
        copy.clicked.connect(lambda: QApplication.clipboard().setText(f"{sentence}\n\n{details}"))
        layout.addWidget(label)
        layout.addWidget(self._edit, 1)
        layout.addWidget(buttons)

    @property
    def details(self) -> str:
        """The text that *Copy* takes along with the sentence."""
        return str(self._edit.toPlainText())
