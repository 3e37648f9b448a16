"""Clean masks: fill holes, drop islands, keep the largest piece; folded away until asked for."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QGridLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_medsam.engine.cleaning import Cleaning, CleaningKind

_USUAL_ISLAND = 50.0  # mm³: a speck of four millimetres across, which no finding is outlined at
_LARGEST_ISLAND = 1e6  # mm³, a litre


class CleanBar(QWidget):
    """What cleans the current object or all, behind *Clean up*."""

    clean_requested = Signal(object, bool)
    """A `Cleaning`, and whether it is for all objects."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fold = QToolButton()
        self._fold.setText("Clean up")
        self._fold.setCheckable(True)
        self._fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._fill = QPushButton("Fill holes")
        self._fill.setToolTip(
            "Fill what the mask encloses on all sides. A mask of one slice is filled within the slice."
        )
        self._keep = QPushButton("Keep largest")
        self._keep.setToolTip("Keep the largest piece of the mask and remove all others.")
        self._remove = QPushButton("Remove islands under")
        self._remove.setToolTip("Remove the pieces that are smaller than this. The largest piece always stays.")
        self._smallest = QDoubleSpinBox()
        self._smallest.setDecimals(1)
        self._smallest.setRange(0.1, _LARGEST_ISLAND)
        self._smallest.setValue(_USUAL_ISLAND)
        self._smallest.setSuffix(" mm³")
        self._smallest.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self._all = QCheckBox("All objects")
        self._all.setToolTip("On: each of the objects. Off: the chosen one.")
        self._inside = QWidget()
        grid = QGridLayout(self._inside)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for place, part in {
            (0, 0): self._fill,
            (0, 1): self._keep,
            (1, 0): self._remove,
            (1, 1): self._smallest,
            (2, 0): self._all,
        }.items():
            grid.addWidget(part, *place)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._fold)
        column.addWidget(self._inside)
        for button in (self._fold, self._fill, self._keep, self._remove, self._all):
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._fold.toggled.connect(self._unfold)
        self._fill.clicked.connect(lambda: self._request(Cleaning(CleaningKind.FILL_HOLES)))
        self._keep.clicked.connect(lambda: self._request(Cleaning(CleaningKind.KEEP_LARGEST)))
        self._remove.clicked.connect(
            lambda: self._request(Cleaning(CleaningKind.REMOVE_ISLANDS, self._smallest.value()))
        )
        self._unfold(False)

    @property
    def fold_button(self) -> QToolButton:
        """The button that shows the others."""
        return self._fold

    @property
    def buttons(self) -> dict[CleaningKind, QPushButton]:
        """The buttons that clean."""
        return {
            CleaningKind.FILL_HOLES: self._fill,
            CleaningKind.REMOVE_ISLANDS: self._remove,
            CleaningKind.KEEP_LARGEST: self._keep,
        }

    @property
    def smallest_field(self) -> QDoubleSpinBox:
        """The volume from which on an island stays."""
        return self._smallest

    @property
    def all_box(self) -> QCheckBox:
        """The choice between the current object and all."""
        return self._all

    def set_enabled(self, enabled: bool) -> None:
        """Whether there is a mask to clean."""
        for button in self.buttons.values():
            button.setEnabled(enabled)

    def _unfold(self, is_open: bool) -> None:
        self._inside.setVisible(is_open)
        self._fold.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)

    def _request(self, cleaning: Cleaning) -> None:
        self.clean_requested.emit(cleaning, self._all.isChecked())
