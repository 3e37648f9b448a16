"""Hands to use the Segment widget with: keys and mouse events as Qt sends them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from napari_medsam.engine.region import Region
from napari_medsam.widgets.segment_widget import SegmentWidget
from napari_medsam.widgets.tools import Key, Tool

PATIENCE_MS = 600_000
NO_MODIFIER = Qt.KeyboardModifier.NoModifier


class Desk:
    """A viewer, the widget in its dock, and a user's hands."""

    def __init__(self, viewer: Any, widget: SegmentWidget, qtbot: Any) -> None:
        self.viewer = viewer
        self.widget = widget
        self.qtbot = qtbot
        window = widget.window()
        self.canvas = next(w for w in window.findChildren(QWidget) if type(w).__name__ == "CanvasBackendDesktop")

    @property
    def work(self) -> Any:
        return self.widget.controller.work

    @property
    def image(self) -> Any:
        return self.widget.stage.scene.image

    @property
    def labels(self) -> Any:
        return self.widget.stage.scene.result.layer

    def press_key(self, key: str) -> None:
        """Press a key with the focus on the canvas, as `Key` spells it."""
        *modifiers, last = key.split("+")
        held = NO_MODIFIER
        for name in modifiers:
            held |= {
                "Ctrl": Qt.KeyboardModifier.ControlModifier,
                "Shift": Qt.KeyboardModifier.ShiftModifier,
            }[name]
        QTest.keyClick(self.canvas, getattr(Qt.Key, f"Key_{'Return' if last == 'Enter' else last}"), held)

    def use(self, tool: Tool) -> None:
        """Choose a tool with its key, unless it is chosen."""
        if self.widget.tool is not tool:
            self.press_key(Key.TOOLS[tool])
        assert self.widget.tool is tool

    def show(self, *voxel: float) -> None:
        """Scroll to the slice of a data coordinate and let the whole image fit the canvas."""
        self.viewer.dims.point = self._world(voxel)
        self.settle()

    def settle(self) -> None:
        """Wait until the canvas has its size and the camera its place: a busy machine lays windows out late."""
        before: object = None
        for _ in range(100):
            self.qtbot.wait(50)
            camera = self.viewer.scene.camera
            now = (self.canvas.width(), self.canvas.height(), tuple(camera.center), camera.zoom)
            if now == before:
                return
            before = now

    def pixel(self, *voxel: float) -> QPoint:
        """Where a data coordinate of the image is drawn on the canvas."""
        world = np.asarray(self._world(voxel))[list(self.viewer.dims.displayed)]
        camera = self.viewer.scene.camera
        size = np.array([self.canvas.height(), self.canvas.width()])
        row, column = (world - np.asarray(camera.center)[-2:]) * camera.zoom + size / 2
        return QPoint(round(column), round(row))

    def click(self, *voxel: float) -> None:
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, NO_MODIFIER, self.pixel(*voxel))

    def drag(self, *voxels: Sequence[float], modifier: Qt.KeyboardModifier = NO_MODIFIER) -> None:
        """Press at the first coordinate, move over the others, release at the last."""
        pixels = [self.pixel(*voxel) for voxel in voxels]
        QTest.mousePress(self.canvas, Qt.MouseButton.LeftButton, modifier, pixels[0])
        for before, after in itertools.pairwise(pixels):
            for step in np.linspace(0.25, 1, 4):
                QTest.mouseMove(self.canvas, before + (after - before) * float(step))
                self.qtbot.wait(1)
            # napari passes on one move in 5 ms: a corner must not be among those left out.
            self.qtbot.wait(10)
        QTest.mouseRelease(self.canvas, Qt.MouseButton.LeftButton, modifier, pixels[-1])

    def wait(self, until: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(until, timeout=PATIENCE_MS)

    def wait_idle(self) -> None:
        """Wait until no work is under way and everything it told has arrived."""
        # An answer that arrives can begin other work: idle is what stays idle once everything has arrived.
        idle = 0
        while idle < 2:
            self.wait(lambda: not self.widget.controller.busy)
            self.qtbot.wait(30)
            idle = 0 if self.widget.controller.busy else idle + 1

    def _world(self, voxel: Sequence[float]) -> tuple[float, ...]:
        # Through the scene, because napari's proxy of the viewer would hand out proxies of its layers.
        return tuple(self.image.data_to_world(voxel))


def dice(mask: Region, truth: Region, shape: tuple[int, int, int]) -> float:
    a, b = mask.full(shape), truth.full(shape)
    return float(2 * np.count_nonzero(a & b) / max(np.count_nonzero(a) + np.count_nonzero(b), 1))
