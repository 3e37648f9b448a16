"""The objects being segmented, to choose, rename and delete."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QListWidget, QListWidgetItem, QPushButton, QVBoxLayout, QWidget

from napari_medsam.widgets.tools import Key

_VISIBLE_ROWS = 4


@dataclass(frozen=True)
class ObjectRow:
    """One object as the list shows it."""

    id: Hashable
    name: str
    colour: tuple[int, int, int]
    detail: str = ""


class ObjectList(QWidget):
    """A list of names with their colours; selecting one makes it current, a double click renames it."""

    object_chosen = Signal(object)
    object_renamed = Signal(object, str)
    next_requested = Signal()
    delete_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._shown: tuple[tuple[ObjectRow, ...], Hashable | None] | None = None
        """The rows as they are; None once the user changed something in the list itself."""
        self._list = QListWidget()
        self._list.setToolTip("Choose an object to go on with it; double-click to rename it.")
        row_height = self._list.fontMetrics().height() + 10
        self._list.setFixedHeight(_VISIBLE_ROWS * row_height)
        self._list.currentItemChanged.connect(self._on_current)
        self._list.itemChanged.connect(self._on_changed)
        layout.addWidget(self._list)
        row = QHBoxLayout()
        row.setSpacing(4)
        self._next = QPushButton(f"Next object  ({Key.NEXT_OBJECT})")
        self._next.setToolTip("Start another object; this one stays as it is.")
        self._delete = QPushButton("Delete object")
        self._delete.setToolTip("Delete the chosen object with its prompts. Undo brings it back.")
        for button, signal in ((self._next, self.next_requested), (self._delete, self.delete_requested)):
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(signal)
            row.addWidget(button)
        layout.addLayout(row)

    @property
    def names(self) -> list[str]:
        """Names in the order shown."""
        return [self._list.item(i).data(Qt.ItemDataRole.EditRole) for i in range(self._list.count())]

    def set_rows(self, rows: Sequence[ObjectRow], current: Hashable | None) -> None:
        """Show these objects, the current one selected."""
        shown = tuple(rows), current
        if shown == self._shown:
            # Every change of anything comes by here, and the list takes as long to paint as the canvas.
            return
        self._shown = shown
        self._list.blockSignals(True)
        self._list.clear()
        for row in rows:
            item = QListWidgetItem(_swatch(row.colour), row.name)
            item.setData(Qt.ItemDataRole.UserRole, row.id)
            item.setToolTip(row.detail)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            self._list.addItem(item)
            if row.id == current:
                self._list.setCurrentItem(item)
        self._list.blockSignals(False)
        self._delete.setEnabled(bool(rows) and current is not None)

    def choose(self, index: int) -> None:
        """Select the row at ``index`` as a click on it does."""
        self._list.setCurrentRow(index)

    def set_editable(self, editable: bool) -> None:
        """Enable the list and its buttons."""
        self.setEnabled(editable)

    def _on_current(self, item: QListWidgetItem | None, _: QListWidgetItem | None) -> None:
        self._shown = None
        if item is not None:
            self.object_chosen.emit(item.data(Qt.ItemDataRole.UserRole))

    def _on_changed(self, item: QListWidgetItem) -> None:
        self._shown = None
        self.object_renamed.emit(item.data(Qt.ItemDataRole.UserRole), item.text())


def _swatch(colour: tuple[int, int, int]) -> QIcon:
    pixmap = QPixmap(16, 16)
    pixmap.fill(QColor(*colour))
    icon = QIcon(pixmap)
    # Without a picture of its own the selected row would be tinted, and the colour be another one.
    icon.addPixmap(pixmap, QIcon.Mode.Selected)
    return icon
