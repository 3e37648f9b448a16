"""How long the window stands still while a mask is propagated: the longest gap between two beats of a timer of 5 ms.

A real napari window with the demo's volume. The box tool, a box on a slice, propagate, cancel half-way, correct on
another slice, propagate again, undo, propagate with the view scrolling along, which is off by default; with the bundled
model and with a SAM 2.1 tiny of random weights at 512. Scrolling to the slice where a box is drawn is the user's and
napari's, and not counted. Beside a phase stands the limit of 100 ms, or where napari adds layers or scrolls in it, the
longest gap of napari alone doing that, with no work under way. Where OpenGL is done by the processor, drawing is most
of a gap: a second figure leaves it out, as a graphics card nearly would. What is this package's is the longest call
that its threads made on the GUI thread: masks written into the layer, pictures shown, the panel brought up to date.
Needs a display.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/window_stalls.py [--quick] [--json FILE]
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import napari
import numpy as np
import torch
from _rows import Rows, arguments, hardware
from napari.layers import Labels, Shapes
from qtpy import API_NAME
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget
from vispy.app import use_app

from napari_medsam.engine.samples import Sample, mni152
from napari_medsam.engine.segmenters.sam2.keys import to_meta_keys
from napari_medsam.engine.weights.card import Card, write_card
from napari_medsam.widgets.gui_thread import GuiThread
from napari_medsam.widgets.launch import open_window
from napari_medsam.widgets.segment_widget import SegmentWidget
from napari_medsam.widgets.tools import Key, Tool

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "engine" / "segmenters" / "sam2"))
from lively import lively_sam2

LIMIT = 100.0
"""Milliseconds that the window may stand still at most."""

Pair = tuple[float, float]

_BEAT = 5
_SAM2 = "random.pt"


class Drawing:
    """Adds up the milliseconds that canvases spend in OpenGL."""

    def __init__(self) -> None:
        self.spent = 0.0
        backend = use_app(API_NAME).backend_module.CanvasBackendDesktop
        draw = backend.paintGL

        def timed(canvas: QWidget) -> None:
            begun = time.perf_counter()
            draw(canvas)
            self.spent += 1000 * (time.perf_counter() - begun)

        backend.paintGL = timed


class Heart:
    """Beats on the GUI thread and keeps the longest gap between two beats, with and without the drawing in it."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing
        self.begin()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start(_BEAT)

    def begin(self) -> None:
        self._latest, self._drawn = time.perf_counter(), self._drawing.spent
        self.longest = self.undrawn = 0.0

    def _beat(self) -> None:
        now, drawn = time.perf_counter(), self._drawing.spent
        gap = 1000 * (now - self._latest)
        self.longest = max(self.longest, gap)
        self.undrawn = max(self.undrawn, gap - (drawn - self._drawn))
        self._latest, self._drawn = now, drawn


class Calls:
    """Keeps how long the longest call from a worker thread held the GUI thread."""

    def __init__(self) -> None:
        self.longest = 0.0
        call = GuiThread.call

        def timed(gui: GuiThread, function: Callable[[], None]) -> None:
            call(gui, lambda: self._run(function))

        GuiThread.call = timed

    def _run(self, function: Callable[[], None]) -> None:
        begun = time.perf_counter()
        function()
        self.longest = max(self.longest, 1000 * (time.perf_counter() - begun))


class User:
    """A window, and hands to use it."""

    def __init__(self, sample: Sample, model: str) -> None:
        self.viewer = open_window(sample.volume, name="brain")
        self.widget: SegmentWidget = self.viewer.window.dock_widgets["Segment"]
        self.widget.window().resize(1280, 800)
        QTest.qWait(1000)
        self.viewer.reset_view()
        QTest.qWait(500)
        found = self.widget.window().findChildren(QWidget)
        self.canvas = next(w for w in found if type(w).__name__ == "CanvasBackendDesktop")
        self.image = next(iter(self.viewer.layers))
        choosers = self.widget.choosers
        choosers.choose_model(choosers.models.index(model))

    def show(self, *voxel: float) -> None:
        self.viewer.dims.point = self.image.data_to_world(voxel)

    def press(self, key: str) -> None:
        *modifiers, last = key.split("+")
        held = Qt.KeyboardModifier.ControlModifier if modifiers else Qt.KeyboardModifier.NoModifier
        QTest.keyClick(self.canvas, getattr(Qt.Key, f"Key_{last}"), held)

    def drag(self, first: Sequence[float], last: Sequence[float]) -> None:
        start, end = self._pixel(first), self._pixel(last)
        left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        QTest.mousePress(self.canvas, left, none, start)
        for part in np.linspace(0.1, 1, 10):
            QTest.mouseMove(self.canvas, start + (end - start) * float(part))
            QTest.qWait(10)
        QTest.mouseRelease(self.canvas, left, none, end)

    def scroll(self, levels: Sequence[int], voxel: Sequence[float]) -> None:
        for level in levels:
            self.show(level, *voxel[1:])
            QTest.qWait(50)

    def wait(self, until: Callable[[], bool] = lambda: False) -> None:
        """Wait until nothing is under way, or until something has happened."""
        idle = 0
        while idle < 3 and not until():
            QTest.qWait(20)
            idle = 0 if self.widget.controller.busy else idle + 1

    def close(self) -> None:
        self.viewer.close()
        QTest.qWait(200)

    def _pixel(self, voxel: Sequence[float]) -> QPoint:
        world = np.asarray(self.image.data_to_world(voxel))[list(self.viewer.dims.displayed)]
        camera = self.viewer.scene.camera
        size = np.array([self.canvas.height(), self.canvas.width()])
        row, column = (world - np.asarray(camera.center)[-2:]) * camera.zoom + size / 2
        return QPoint(round(column), round(row))


def measure(model: str, title: str, sample: Sample, reach: int, rows: Rows, drawing: Drawing, calls: Calls) -> None:
    """The whole way with one model; no further than ``reach`` slices from the first."""
    user = User(sample, model)
    calls.longest = 0.0
    heart = Heart(drawing)
    truth = sample.truth("left lateral ventricle")
    middle = (truth.lower[0] + truth.upper[0]) // 2
    corner, opposite = truth.lower[1:], tuple(u - 1 for u in truth.upper[1:])
    user.press(Key.TOOLS[Tool.BOX])
    user.wait()
    QTest.qWait(500)
    chosen = heart.longest, heart.undrawn, calls.longest
    heart.begin()
    layers = [Labels(np.zeros(sample.volume.shape, np.uint8)), Shapes(ndim=3)]
    for layer in layers:
        user.viewer.add_layer(layer)
        QTest.qWait(500)
    adding = heart.longest, heart.undrawn
    levels = [*range(middle - 10, middle + 10), middle]
    user.scroll(levels, truth.lower)
    heart.begin()
    user.scroll(levels, truth.lower)
    scrolling = heart.longest, heart.undrawn
    for layer in layers:
        user.viewer.layers.remove(layer)
    user.viewer.layers.selection.active = user.image
    QTest.qWait(500)

    def record(name: str, stall: float, undrawn: float, call: float, peer: str, theirs: Pair) -> None:
        rows.add(f"{title}: {name}", "longest stall", "ms", stall, peer, theirs[0])
        rows.add(f"{title}: {name}", "longest stall but for OpenGL", "ms", undrawn, peer, theirs[1])
        rows.add(f"{title}: {name}", "longest call of ours", "ms", call, "limit", LIMIT)

    @contextmanager
    def phase(name: str, peer: str = "limit", theirs: Pair = (LIMIT, LIMIT)) -> Iterator[None]:
        QTest.qWait(500)
        heart.begin()
        calls.longest = 0.0
        yield
        QTest.qWait(3 * _BEAT)
        record(name, heart.longest, heart.undrawn, calls.longest, peer, theirs)

    def draw(name: str, level: int) -> None:
        user.show(level, *corner)
        with phase(name):
            user.drag((level, *corner), (level, *opposite))
            user.wait()

    record("box tool chosen", *chosen, "napari alone, adding the layers", adding)
    bar, propagation = user.widget.propagate, user.widget.controller.propagation.slices
    draw("first box", middle)
    for button, level in zip(bar.limit_buttons, (middle - reach, middle + reach), strict=True):
        user.show(level, *corner)
        QTest.qWait(50)
        button.click()
    user.show(middle, *corner)
    seen = itertools.count(1)
    half: list[int] = []
    propagation.answered.connect(lambda *_: half.append(next(seen)))
    with phase("propagate, cancelled half-way"):
        bar.button.click()
        user.wait(lambda: len(half) >= reach)
        user.widget.progress.cancel_button.click()
        user.wait()
    draw("corrected on another slice", middle + reach // 2)
    with phase("propagate again"):
        bar.button.click()
        user.wait()
    with phase("undo"):
        user.press(Key.UNDO)
        user.wait()
    bar.scroll_box.setChecked(True)
    with phase("propagate, scrolling along", "napari alone, scrolling", scrolling):
        bar.button.click()
        user.wait()
    steps = [command.kind for command in user.widget.controller.work.session.history]
    assert steps == ["add", "predict", "propagate", "predict", "propagate"], steps
    user.close()


def save_sam2(folder: Path) -> None:
    """A SAM 2.1 tiny of random weights, as a file of a folder of models."""
    path = folder / _SAM2
    torch.save({"model": to_meta_keys(lively_sam2(image_size=512).state_dict())}, path)
    write_card(path, Card(title="Random", family="sam2", size="tiny", version="2.1", image_size=512))


def main() -> None:
    options = arguments(__doc__).parse_args()
    print(hardware())
    rows, drawing, calls = Rows(), Drawing(), Calls()
    sample = mni152()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "NAPARI_MEDSAM_JOURNALS": f"{folder}/journals",
            "NAPARI_MEDSAM_MODELS": folder,
            "NAPARI_MEDSAM_CACHE": f"{folder}/cache",
        }
        save_sam2(Path(folder))
        measure("compact", "compact", sample, 4 if options.quick else 16, rows, drawing, calls)
        measure(f"sam2:{_SAM2}", "SAM 2.1 tiny, 512", sample, 3 if options.quick else 8, rows, drawing, calls)
    rows.save(options.json)


if __name__ == "__main__":
    main()
    napari.Viewer.close_all()
