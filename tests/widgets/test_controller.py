"""What the widget decides, without a window: a queue stands where Qt's event loop stands."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_medsam.engine.journals import unfinished
from napari_medsam.engine.objects import Overlap
from napari_medsam.engine.prompts import Box, Point
from napari_medsam.engine.samples import Sample
from napari_medsam.engine.volume import Volume
from napari_medsam.widgets.controller import SegmentController


class Source:
    """An image on offer."""

    def __init__(self, *volumes: Volume) -> None:
        self.volumes = volumes

    def volume_maker(self, frame: int) -> Callable[[], Volume]:
        return lambda: self.volumes[frame]


class Loop:
    """Runs what other threads hand over, in order, on this one."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self.messages: list[str] = []
        self.errors: list[Exception] = []
        self.controller = SegmentController(self._calls.put)
        self.controller.message.connect(self.messages.append)
        self.controller.failed.connect(self.errors.append)

    def run(self, until: Callable[[], bool] = lambda: True) -> None:
        """Run calls until nothing is under way and ``until`` holds."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                self._calls.get(timeout=0.05)()
            except queue.Empty:
                if not self.controller.busy and until():
                    return
        raise TimeoutError


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.controller.close()


@pytest.fixture
def kidney(phantom: Sample) -> Box:
    truth = phantom.truth("left kidney")
    return Box(truth.lower, truth.upper)


def test_a_prompt_given_before_the_session_is_there_is_answered(loop: Loop, phantom: Sample, kidney: Box) -> None:
    controller = loop.controller
    source = Source(phantom.volume)
    edits = []
    controller.edited.connect(lambda *edit: edits.append(edit))
    controller.set_image(source)
    controller.give(kidney)
    assert controller.work.waiting == [kidney]
    assert controller.work.has_pending
    loop.run()
    item = controller.work.current_object
    assert item is not None
    assert item.prompts == (kidney,)
    assert edits == [(source, 0, item.mask.lower, item.mask.upper)]
    assert "ml" in loop.messages[-1]
    assert loop.errors == []


def test_a_prompt_survives_an_image_opened_twice(loop: Loop, phantom: Sample, kidney: Box) -> None:
    controller = loop.controller
    controller.set_auto_run(False)
    controller.set_image(Source(phantom.volume))
    controller.give(kidney)
    while controller.engine.busy:
        time.sleep(0.01)
    assert controller.work.session is None, "its news has not arrived yet"
    controller.open()  # as choosing another tool does
    loop.run()
    item = controller.work.current_object
    assert item is not None
    assert item.pending == (kidney,)


def test_an_image_that_is_being_opened_is_not_opened_again(loop: Loop, phantom: Sample) -> None:
    opened: list[int] = []

    class Counted(Source):
        def volume_maker(self, frame: int) -> Callable[[], Volume]:
            def make() -> Volume:
                opened.append(frame)
                time.sleep(0.2)
                return phantom.volume

            return make

    loop.controller.set_image(Counted())
    loop.controller.open()
    while not opened:
        time.sleep(0.01)
    loop.controller.open()  # as choosing another tool does
    loop.run()
    assert opened == [0]
    assert loop.controller.work.session is not None


def test_the_newest_request_wins(loop: Loop, phantom: Sample, kidney: Box) -> None:
    controller = loop.controller
    controller.set_image(Source(phantom.volume))
    controller.open()
    loop.run()
    controller.give(kidney)
    controller.give(Point((20, 98, 108)))
    loop.run()
    session = controller.work.session
    assert session is not None
    assert [command.kind for command in session.history].count("predict") == 1
    assert len(session.objects[0].prompts) == 2


def test_extending_replaces_the_box_in_one_step_of_the_history(loop: Loop, phantom: Sample, kidney: Box) -> None:
    controller = loop.controller
    controller.set_image(Source(phantom.volume))
    (z, y, x), (z1, y1, x1) = kidney.lower, kidney.upper
    controller.give(Box((z, y, x), (z + 1, y1, x1)))
    loop.run()
    controller.extend_box(0, z1 - 1)
    loop.run()
    item = controller.work.current_object
    assert item is not None
    assert [(p.lower, p.upper) for p in item.prompts if isinstance(p, Box)] == [(kidney.lower, kidney.upper)]
    session = controller.work.session
    assert session is not None
    assert [command.kind for command in session.history] == ["add", "predict"]


def test_a_box_under_other_prompts_is_extended_too(loop: Loop, phantom: Sample, kidney: Box) -> None:
    controller = loop.controller
    controller.set_image(Source(phantom.volume))
    (z, y, x), (z1, y1, x1) = kidney.lower, kidney.upper
    controller.give(Box((z, y, x), (z + 1, y1, x1)))
    loop.run()
    click = Point((20, 98, 108))
    controller.give(click)
    loop.run()
    controller.join_box(Box((z1 - 1, y, x), (z1, y1, x1)))
    loop.run()
    item = controller.work.current_object
    assert item is not None
    assert {p.kind for p in item.prompts} == {"point", "box"}
    assert len(item.prompts) == 2
    assert [p.upper for p in item.prompts if isinstance(p, Box)] == [kidney.upper]


def test_without_a_box_there_is_nothing_to_extend(loop: Loop, phantom: Sample) -> None:
    loop.controller.set_image(Source(phantom.volume))
    loop.controller.extend_box(0, 3)
    assert "Draw a box first" in loop.messages[-1]


def test_prompts_wait_when_auto_run_is_off(loop: Loop, phantom: Sample, kidney: Box) -> None:
    controller = loop.controller
    controller.set_auto_run(False)
    controller.set_image(Source(phantom.volume))
    controller.give(kidney)
    loop.run()
    item = controller.work.current_object
    assert item is not None
    assert item.pending == (kidney,)
    controller.undo()
    loop.run()
    assert not controller.work.has_pending
    controller.run()
    assert "No prompt waits" in loop.messages[-1]
    controller.give(Box(kidney.lower, kidney.upper))
    controller.run()
    loop.run()
    assert controller.work.current_object.mask


def test_a_prompt_is_one_change_however_much_of_the_session_it_changes(
    loop: Loop, phantom: Sample, kidney: Box
) -> None:
    controller = loop.controller
    controller.set_image(Source(phantom.volume))
    controller.open()
    loop.run()
    controller.set_auto_run(False)
    changes: list[int] = []
    controller.changed.connect(lambda: changes.append(len(controller.work.objects)))
    controller.give(kidney)
    loop.run()
    assert changes == [1]


def test_a_prompt_taken_back_before_the_session_is_there(loop: Loop, phantom: Sample, kidney: Box) -> None:
    controller = loop.controller
    controller.set_image(Source(phantom.volume))
    controller.give(kidney)
    controller.undo()
    loop.run()
    assert controller.work.objects == ()


def test_other_objects_keep_their_voxels_unless_asked(loop: Loop, phantom: Sample, kidney: Box) -> None:
    controller = loop.controller
    controller.set_image(Source(phantom.volume))
    controller.give(kidney)
    loop.run()
    first = controller.work.current_object
    assert first is not None
    controller.next_object()
    controller.give(Box(kidney.lower, kidney.upper))
    loop.run()
    _, second = controller.work.objects
    shape = phantom.volume.shape
    assert not (second.mask.full(shape) & first.mask.full(shape)).any()
    controller.undo()
    loop.run()
    controller.set_overlap(Overlap.ALLOW)
    controller.give(Box(kidney.lower, kidney.upper))
    loop.run()
    _, second = controller.work.objects
    np.testing.assert_array_equal(second.mask.full(shape), first.mask.full(shape))


def test_going_to_another_image_and_back_finds_everything(loop: Loop, phantom: Sample, kidney: Box) -> None:
    controller = loop.controller
    first, second = Source(phantom.volume), Source(phantom.volume)
    controller.set_image(first)
    controller.give(kidney)
    loop.run()
    controller.set_image(second)
    assert controller.work.objects == ()
    controller.set_image(first)
    assert controller.work.current_object is not None


def test_the_session_of_saved_work_is_closed_with_its_image(
    loop: Loop, phantom: Sample, kidney: Box, tmp_path: Path
) -> None:
    controller = loop.controller
    source = Source(phantom.volume)
    controller.set_image(source)
    controller.give(kidney)
    loop.run()
    assert not controller.work.is_saved
    controller.save(tmp_path / "kidney.nii.gz")
    loop.run()
    assert controller.work.is_saved
    assert (tmp_path / "kidney.nii.gz").is_file()
    controller.forget(source)
    assert controller.image is None
    assert unfinished() == []


def test_errors_reach_the_user_and_nothing_is_lost(loop: Loop, phantom: Sample, kidney: Box) -> None:
    controller = loop.controller
    controller.set_image(Source(phantom.volume))
    controller.give(kidney)
    loop.run()
    before = controller.work.current_object
    controller.give(Point((900, 0, 0)))
    controller.rename_object(77, "nobody")
    controller.save(Path("/no/such/folder/mask.nii.gz"))
    loop.run()
    assert [type(error).__name__ for error in loop.errors] == ["PromptError", "MedSamError", "SaveError"]
    assert controller.work.current_object == before
