"""The prompt tools a user chooses from, and the keys that choose them."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType


class Tool(Enum):
    """One way to give a prompt with the mouse."""

    POINT = "point"
    BOX = "box"
    SCRIBBLE = "scribble"
    LASSO = "lasso"


class Key:
    """Keys of the *Segment* widget, as both Qt and napari spell them.

    They are bound to the layer being segmented and to the widget's own layers, never to the whole application: napari
    gives image layers none of these, so nothing of napari's is taken away.
    """

    TOOLS = MappingProxyType({Tool.POINT: "P", Tool.BOX: "B", Tool.SCRIBBLE: "S", Tool.LASSO: "L"})
    POLARITY = "T"
    EXTEND = "E"
    NEXT_OBJECT = "N"
    RUN = "Enter"
    LEAVE = "Escape"
    UNDO = "Ctrl+Z"
    REDO = "Ctrl+Shift+Z"
