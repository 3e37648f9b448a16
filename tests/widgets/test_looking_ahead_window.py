"""Slices around the displayed one are made ready while nobody asks."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from desk import NO_MODIFIER, Desk
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.region import Region
from napari_medsam.engine.samples import Sample
from napari_medsam.engine.segmenters.base import Prediction, SegmenterInfo
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume
from napari_medsam.widgets.tools import Tool


@dataclass
class SlowlyPrepared:
    """Notes which slices were made ready."""

    volume: Volume
    ready: list[tuple[int, int]] = field(default_factory=list)

    def encode_ahead(self, axis: int, centre: int, task: Task) -> Iterator[int]:
        for index in range(centre, centre + 3):
            task.check()
            self.ready.append((axis, index))
            yield index


class Foresighted:
    """A model that marks what it is shown, and whose slices can be made ready."""

    info = SegmenterInfo("foresighted", "Foresighted", "Apache-2.0", "0" * 64, frozenset({"point"}))

    def prepare(self, volume: Volume, task: Task) -> SlowlyPrepared:
        return SlowlyPrepared(volume)

    def predict(self, prepared: SlowlyPrepared, prompts: Sequence[Prompt], previous: Region, task: Task) -> Prediction:
        return Prediction(prompts[-1].region(prepared.volume.shape))


@pytest.fixture
def session(phantom: Sample) -> Session:
    session = Session(phantom.volume, Foresighted())
    session.prepare()
    return session


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_it_follows_the_displayed_slice_and_ends_with_the_image(desk: Desk, session: Session) -> None:
    desk.show(20, 80, 80)
    desk.widget.controller.adopt(session)
    ready = session.prepared.ready  # type: ignore[union-attr]  # prepared by the fixture
    desk.wait(lambda: (0, 22) in ready)
    assert ready[0] == (0, 20)
    desk.show(30, 80, 80)
    desk.wait(lambda: (0, 32) in ready)
    desk.viewer.dims.order = (1, 0, 2)
    desk.wait(lambda: any(axis == 1 for axis, _ in ready))
    assert "looking ahead" in threads()
    desk.viewer.layers.remove(desk.image)
    desk.wait(lambda: "looking ahead" not in threads())


class Tireless(SlowlyPrepared):
    """There is always another slice."""

    def encode_ahead(self, axis: int, centre: int, task: Task) -> Iterator[int]:
        for index in itertools.count(centre):
            task.check()
            time.sleep(0.005)
            self.ready.append((axis, index))
            yield index


class Busy(Foresighted):
    """Its slices are never all ready."""

    info = replace(Foresighted.info, prompts=frozenset({"box"}))

    def prepare(self, volume: Volume, task: Task) -> SlowlyPrepared:
        return Tireless(volume)


def begun(desk: Desk, phantom: Sample) -> tuple[Session, list[tuple[int, int]]]:
    """A session of the window whose slices are being made ready, and those that are."""
    session = Session(phantom.volume, Busy())
    session.prepare()
    desk.show(20, 80, 80)
    desk.widget.controller.adopt(session)
    return session, session.prepared.ready  # type: ignore[union-attr]  # prepared above


@pytest.mark.parametrize("displayed", [2, 3])
def test_it_rests_while_another_image_is_chosen(desk: Desk, phantom: Sample, displayed: int) -> None:
    _, ready = begun(desk, phantom)
    other = desk.viewer.add_image(phantom.volume.data[:8], name="other")
    desk.viewer.dims.ndisplay = displayed
    desk.wait(lambda: len(ready) > 3)
    stage = desk.widget.stage
    first = stage.scene
    stage.choose(stage.find(other))
    done = len(ready)
    desk.qtbot.wait(200)
    assert len(ready) <= done + 1  # the one it was at
    desk.viewer.dims.ndisplay = 2
    stage.choose(first)
    desk.wait(lambda: len(ready) > done + 3)


def test_it_rests_while_a_stroke_is_drawn_and_goes_on_after_the_answer(desk: Desk, phantom: Sample) -> None:
    session, ready = begun(desk, phantom)
    desk.use(Tool.BOX)
    desk.wait(lambda: len(ready) > 3)
    start, end = desk.pixel(20, 60, 60), desk.pixel(20, 90, 90)
    QTest.mousePress(desk.canvas, Qt.MouseButton.LeftButton, NO_MODIFIER, start)
    for part in (0.3, 0.6, 1.0):
        QTest.mouseMove(desk.canvas, start + (end - start) * part)
        desk.qtbot.wait(50)
    drawn = len(ready)
    desk.qtbot.wait(200)
    assert len(ready) == drawn
    QTest.mouseRelease(desk.canvas, Qt.MouseButton.LeftButton, NO_MODIFIER, end)
    desk.wait(lambda: session.can_undo and len(ready) > drawn + 3)


def test_a_model_that_cannot_has_no_thread_for_it(desk: Desk) -> None:
    desk.widget.controller.open()
    desk.wait_idle()
    desk.show(10, 80, 80)
    assert desk.work.session is not None
    assert "looking ahead" not in threads()


def test_the_program_ends_well_while_a_slice_is_being_made_ready() -> None:
    program = Path(__file__).with_name("leaving.py")
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
