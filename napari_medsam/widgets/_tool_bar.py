"""Buttons that choose the prompt tool and its polarity."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_medsam.widgets.tools import Key, Tool

_HINTS = {
    Tool.POINT: "Click on the object, or on what does not belong to it. Dragging still moves the picture.",
    Tool.BOX: "Drag from corner to corner around the object.",
    Tool.SCRIBBLE: "Drag a line through the object.",
    Tool.LASSO: "Draw around the object; the line closes itself.",
}
_POLARITY_STYLE = "QPushButton {{ background-color: {}; color: white; font-weight: bold; }}"


class ToolBar(QWidget):
    """Four toggle buttons, of which at most one is down, the polarity, and what needs no mouse on the canvas."""

    tool_chosen = Signal(object)
    """The tool whose button was pressed down, or None when it was released."""
    polarity_flipped = Signal()
    extend_requested = Signal()
    everything_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._buttons: dict[Tool, QPushButton] = {}
        for index, tool in enumerate(Tool):
            button = _button(f"{tool.value.capitalize()}  ({Key.TOOLS[tool]})", _HINTS[tool])
            button.setCheckable(True)
            button.clicked.connect(lambda down, tool=tool: self.tool_chosen.emit(tool if down else None))
            layout.addWidget(button, index // 2, index % 2)
            self._buttons[tool] = button
        self._polarity = _button("", "What the next prompts do to the object.")
        self._polarity.clicked.connect(self.polarity_flipped)
        layout.addWidget(self._polarity, 2, 0, 1, 2)
        self._extend = _button(
            f"Extend box to this slice  ({Key.EXTEND})",
            "Scroll to the other end of the object, then press this to turn the last box into a 3D box.",
        )
        self._extend.clicked.connect(self.extend_requested)
        layout.addWidget(self._extend, 3, 0, 1, 2)
        self._everything = _button(
            "Segment everything on this slice",
            "Make an object of each thing the model finds on the displayed slice. Undo takes all of them back.",
        )
        self._everything.clicked.connect(self.everything_requested)
        layout.addWidget(self._everything, 4, 0, 1, 2)
        self.set_positive(True)
        self.set_extendable(False)
        self.set_finder(False)

    def button(self, tool: Tool) -> QPushButton:
        """The toggle button of a tool."""
        return self._buttons[tool]

    def set_tool(self, tool: Tool | None) -> None:
        """Show which tool is active."""
        for other, button in self._buttons.items():
            button.setChecked(other is tool)

    def set_tools_enabled(self, tools: frozenset[Tool]) -> None:
        """Enable only the buttons of the given tools."""
        for tool, button in self._buttons.items():
            button.setEnabled(tool in tools)
        self._polarity.setEnabled(bool(tools))

    def set_positive(self, positive: bool) -> None:
        """Show the polarity of the next prompt."""
        self._polarity.setText(f"+  Include  ({Key.POLARITY})" if positive else f"-  Exclude  ({Key.POLARITY})")
        self._polarity.setStyleSheet(_POLARITY_STYLE.format("rgb(0, 110, 10)" if positive else "rgb(160, 10, 5)"))

    @property
    def everything_button(self) -> QPushButton:
        """The button that finds all objects of a slice."""
        return self._everything

    def set_finder(self, finds: bool) -> None:
        """Offer to find all objects of a slice, where the model can."""
        self._everything.setVisible(finds)

    def set_extendable(self, extendable: bool) -> None:
        """Enable the step from a 2D to a 3D box."""
        self._extend.setEnabled(extendable)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    # The canvas keeps the keyboard after a click here, so that napari's keys and ours go on working.
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
