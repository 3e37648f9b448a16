"""From one slice to the volume, and from one frame to the series."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QPushButton, QToolButton, QWidget

from napari_medsam.widgets.wish import Wish

_EVERY = ("From the first slice", "To the last slice")
_HERE = ("From slice {}", "To slice {}")


class PropagateBar(QWidget):
    """Propagate, for the current object or for all; what is rarely needed is behind *More*."""

    propagate_requested = Signal(object)
    """A `Wish`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slice: tuple[int, int] | None = None
        self._limits: list[int | None] = [None, None]
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._button = QPushButton("Propagate")
        self._button.setToolTip(
            "Carry the mask from the slices you gave prompts on to the others, along the axis you scroll.\n"
            "Slices with prompts stay as they are: correct some, then propagate again."
        )
        self._all = QCheckBox("All objects")
        self._all.setToolTip("On: all objects together. Off: the chosen one.")
        self._more = QToolButton()
        self._more.setText("More")
        self._more.setCheckable(True)
        self._more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._frames = QCheckBox("Through all frames")
        self._frames.setToolTip(
            "On: carry the mask of the displayed frame to the same place in the other frames of the series.\n"
            "Off: from slice to slice of the displayed frame."
        )
        self._ends = [QPushButton(text) for text in _EVERY]
        for end in self._ends:
            end.setCheckable(True)
            end.setToolTip(
                "Go no further than the displayed slice; press again to take the limit away.\n"
                "On the slice with the prompts: propagate one way only."
            )
        self._close_up = QCheckBox("Close-up")
        self._close_up.setToolTip("For small structures: show the model a magnified region around the object.")
        self._quick = QCheckBox("Quick")
        self._quick.setToolTip("Remember fewer slices: somewhat faster, follows changes of shape less well.")
        self._scroll = QCheckBox("Scroll along")
        self._scroll.setToolTip(
            "On: the view goes from slice to slice with the propagation, until you scroll yourself. Drawing all those\n"
            "slices takes time away from the propagation.\n"
            "Off: the view stays where you are; a small picture at the foot of the panel shows what was answered last."
        )
        for place, part in {
            (0, 0): self._button,
            (0, 1): self._all,
            (0, 2): self._more,
        }.items():
            layout.addWidget(part, *place)
        layout.addWidget(self._frames, 1, 0, 1, 3)
        self._options = QWidget()
        options = QGridLayout(self._options)
        options.setContentsMargins(0, 0, 0, 0)
        options.setSpacing(4)
        for column, end in enumerate(self._ends):
            options.addWidget(end, 0, column)
        boxes = QHBoxLayout()
        for box in (self._scroll, self._close_up, self._quick):
            boxes.addWidget(box)
        boxes.addStretch(1)
        options.addLayout(boxes, 1, 0, 1, 2)
        layout.addWidget(self._options, 2, 0, 1, 3)
        layout.setColumnStretch(0, 1)
        chosen = (self._all, self._frames, self._scroll, self._close_up, self._quick)
        for part in (self._button, self._more, *self._ends, *chosen):
            part.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._button.clicked.connect(self._request)
        self._more.toggled.connect(self._show_more)
        for number, end in enumerate(self._ends):
            end.clicked.connect(lambda down, number=number: self._set_limit(number, down))
        self._show_more(False)
        self.set_frames(1)
        self.set_tracker(False)

    @property
    def button(self) -> QPushButton:
        """The button that starts it."""
        return self._button

    @property
    def more_button(self) -> QToolButton:
        """The button that opens what is rarely needed."""
        return self._more

    @property
    def limit_buttons(self) -> tuple[QPushButton, QPushButton]:
        """The buttons for the first and the last slice."""
        return self._ends[0], self._ends[1]

    @property
    def frames_box(self) -> QCheckBox:
        """The choice between slices and frames."""
        return self._frames

    @property
    def scroll_box(self) -> QCheckBox:
        """Whether the displayed slice goes along."""
        return self._scroll

    def set_enabled(self, enabled: bool) -> None:
        """Whether there is something to propagate, and nothing that runs."""
        self._button.setEnabled(enabled)

    def set_slice(self, axis: int, level: int) -> None:
        """Say which slice is displayed; limits are of one axis."""
        if self._slice is not None and self._slice[0] != axis:
            self._limits = [None, None]
            self._show_limits()
        self._slice = (axis, level)

    def set_frames(self, frames: int) -> None:
        """Offer the way through the frames where there are several."""
        self._frames.setVisible(frames > 1)
        if frames == 1:
            self._frames.setChecked(False)

    def set_tracker(self, tracks: bool) -> None:
        """Offer the options of models that propagate in a way of their own."""
        for box in (self._close_up, self._quick):
            box.setVisible(tracks)
            if not tracks:
                box.setChecked(False)

    def _show_more(self, more: bool) -> None:
        self._options.setVisible(more)
        self._more.setArrowType(Qt.ArrowType.DownArrow if more else Qt.ArrowType.RightArrow)

    def _set_limit(self, number: int, is_set: bool) -> None:
        level = self._slice[1] if self._slice is not None and is_set else None
        self._limits[number] = level
        first, last = self._limits
        if first is not None and last is not None and first > last:
            self._limits[1 - number] = None
        self._show_limits()

    def _show_limits(self) -> None:
        for end, level, every, here in zip(self._ends, self._limits, _EVERY, _HERE, strict=True):
            end.setChecked(level is not None)
            end.setText(every if level is None else here.format(level))

    def _request(self) -> None:
        first, last = self._limits
        self.propagate_requested.emit(
            Wish(
                self._all.isChecked(),
                self._frames.isChecked(),
                first,
                last,
                self._close_up.isChecked(),
                self._quick.isChecked(),
                self._scroll.isChecked(),
            )
        )
