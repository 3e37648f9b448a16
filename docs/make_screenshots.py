"""Makes the pictures of the Segment widget in ``docs/images`` from the real window, with real keys and mouse events.

xvfb-run -a -s "-screen 0 1600x1000x24" python docs/make_screenshots.py [SAM 2 WEIGHTS]

With a file of weights, named as for ``load_segmenter`` without ``sam2:``, there is a picture of everything on a slice.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import napari
import numpy as np
from PIL import Image as Picture
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from napari_medsam.engine.journals import new_journal
from napari_medsam.engine.prompts import Box
from napari_medsam.engine.samples import Sample, ct_phantom
from napari_medsam.engine.segmenters.registry import load_segmenter
from napari_medsam.engine.session import Session
from napari_medsam.widgets.launch import open_window
from napari_medsam.widgets.segment_widget import SegmentWidget
from napari_medsam.widgets.tools import Key, Tool

FOLDER = Path(__file__).parent / "images"
SIZE = (1280, 800)


class Photographer:
    """A window with the CT phantom, hands to use it, and a camera."""

    def __init__(self, sample: Sample) -> None:
        self.viewer = open_window(sample.volume, name="CT phantom")
        self.widget: SegmentWidget = self.viewer.window.dock_widgets["Segment"]
        window = self.widget.window()
        window.resize(*SIZE)
        QTest.qWait(300)
        self.viewer.reset_view()
        QTest.qWait(200)
        self.canvas = next(w for w in window.findChildren(QWidget) if type(w).__name__ == "CanvasBackendDesktop")
        self.image = next(iter(self.viewer.layers))

    def show(self, *voxel: float) -> None:
        self.viewer.dims.point = self.image.data_to_world(voxel)
        QTest.qWait(50)

    def press(self, key: str) -> None:
        QTest.keyClick(self.canvas, getattr(Qt.Key, f"Key_{key}"))

    def use(self, tool: Tool) -> None:
        if self.widget.tool is not tool:
            self.press(Key.TOOLS[tool])

    def pixel(self, voxel: Sequence[float]) -> QPoint:
        world = np.asarray(self.image.data_to_world(voxel))[list(self.viewer.dims.displayed)]
        camera = self.viewer.scene.camera
        size = np.array([self.canvas.height(), self.canvas.width()])
        row, column = (world - np.asarray(camera.center)[-2:]) * camera.zoom + size / 2
        return QPoint(round(column), round(row))

    def drag(self, *voxels: Sequence[float], release: bool = True) -> None:
        pixels = [self.pixel(voxel) for voxel in voxels]
        left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        QTest.mousePress(self.canvas, left, none, pixels[0])
        for before, after in itertools.pairwise(pixels):
            for step in np.linspace(0.1, 1, 10):
                QTest.mouseMove(self.canvas, before + (after - before) * float(step))
                QTest.qWait(5)
        if release:
            QTest.mouseRelease(self.canvas, left, none, pixels[-1])

    def click(self, *voxel: float) -> None:
        self.drag(voxel)

    def wait(self, until: Callable[[], bool] | None = None) -> None:
        """Wait for an event, or until nothing is under way."""
        idle = 0
        while idle < 3:
            QTest.qWait(50)
            done = until() if until is not None else not self.widget.controller.busy
            idle = idle + 1 if done else 0

    def take(self, name: str) -> None:
        QTest.qWait(200)
        picture = Picture.fromarray(self.viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")
        picture.save(FOLDER / f"{name}.png", optimize=True)


def box_in_3d(p: Photographer, truth: tuple[tuple[int, int, int], tuple[int, int, int]]) -> None:
    """A box drawn in the first slice of an organ and extended to its last."""
    (z0, y0, x0), (z1, y1, x1) = truth
    p.use(Tool.BOX)
    p.show(z0, y0, x0)
    p.drag((z0, y0, x0), (z0, y1 - 1, x1 - 1))
    p.wait(lambda: p.widget.controller.work.box is not None)
    p.show(z1 - 1, y0, x0)
    p.press(Key.EXTEND)
    p.wait()


def propagation(p: Photographer) -> None:
    """Half-way, with the slice that was answered last beside the status line, and the whole, from the front."""
    bar, work = p.widget.propagate, p.widget.controller.propagation.slices
    answered: list[int] = []

    def watch(_work: object, index: int, *_: object) -> None:
        answered.append(index)
        if len(answered) == 6:
            p.take("propagating")

    work.answered.connect(watch)
    bar.button.click()
    p.wait()
    work.answered.disconnect(watch)
    p.viewer.dims.order = (1, 0, 2)
    p.viewer.reset_view()
    p.take("propagated")
    p.viewer.dims.order = (0, 1, 2)
    p.viewer.reset_view()


def everything(sample: Sample, weights: str, level: int) -> None:
    """All objects that a SAM 2 finds on a slice."""
    p = Photographer(sample)
    p.widget.controller.choose_model(f"sam2:{weights}")
    p.show(level, sample.volume.shape[1] / 2, sample.volume.shape[2] / 2)
    p.use(Tool.BOX)
    p.wait()
    p.widget.tools.everything_button.click()
    p.wait()
    p.take("everything")
    p.viewer.close()


def main() -> None:
    """Take every picture."""
    FOLDER.mkdir(exist_ok=True)
    os.environ["NAPARI_MEDSAM_JOURNALS"] = tempfile.mkdtemp()
    sample = ct_phantom()
    kidney, spleen = sample.truth("left kidney"), sample.truth("spleen")

    # What a killed process leaves behind: a journal without its last record.
    session = Session(sample.volume, load_segmenter("compact"), new_journal())
    session.prompt(Box(kidney.lower, kidney.upper))
    assert session.journal is not None
    unfinished = session.journal.read_bytes()
    session.close()
    session.journal.write_bytes(unfinished)

    p = Photographer(sample)
    p.wait(p.widget.recovery_bar.isVisible)
    p.take("recovery")
    p.widget.recovery_bar.button("Discard").click()
    p.wait()

    z, y, x = (round(float(v)) for v in np.argwhere(kidney.full(sample.volume.shape)).mean(axis=0))
    p.show(z, y, x)
    p.use(Tool.BOX)
    p.wait()
    p.drag((z, kidney.lower[1], kidney.lower[2]), (z, kidney.upper[1] - 1, kidney.upper[2] - 1), release=False)
    p.take("box")
    QTest.mouseRelease(
        p.canvas,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
        p.pixel((z, kidney.upper[1] - 1, kidney.upper[2] - 1)),
    )
    p.wait()
    p.take("mask")
    propagation(p)
    while p.widget.controller.work.session and p.widget.controller.work.session.can_undo:
        p.widget.controller.undo()
        p.wait()

    box_in_3d(p, (kidney.lower, kidney.upper))
    p.press(Key.NEXT_OBJECT)
    box_in_3d(p, (spleen.lower, spleen.upper))
    for item, name in zip(p.widget.controller.work.objects, ("Left kidney", "Spleen"), strict=True):
        p.widget.controller.rename_object(item.id, name)
    zs, ys, xs = (round(float(v)) for v in np.argwhere(spleen.full(sample.volume.shape)).mean(axis=0))
    p.show(zs, ys, xs)
    p.use(Tool.POINT)
    p.press(Key.POLARITY)
    p.click(zs, ys, spleen.upper[2] + 3)
    p.wait()
    p.take("correction")

    p.viewer.dims.order = (1, 0, 2)
    p.viewer.reset_view()
    p.show(z, y, x)
    p.take("coronal")
    p.click(z, y, -8)
    p.take("refused")
    p.press("Escape")
    p.viewer.dims.ndisplay = 3
    p.viewer.reset_view()
    p.image.visible = False
    p.take("objects-3d")
    p.viewer.close()
    for weights in sys.argv[1:2]:
        everything(sample, weights, z)


if __name__ == "__main__":
    main()
    napari.Viewer.close_all()
