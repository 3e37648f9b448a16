"""Slices made ready in the background, from the one on screen outwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from napari_medsam.engine.looking_ahead import Anticipating, LookAhead
from napari_medsam.engine.segmenters.sam2.features import outwards
from napari_medsam.engine.task import Task


class Slow:
    """Something that takes a while for each slice."""

    def __init__(self, seconds: float = 0.01, breaks_at: int | None = None) -> None:
        self.seconds = seconds
        self.breaks_at = breaks_at

    def encode_ahead(self, axis: int, centre: int, task: Task) -> Iterator[int]:
        for index in outwards(centre, 20):
            task.check()
            if index == self.breaks_at:
                raise OSError("broken")
            time.sleep(self.seconds)
            yield index


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def ready() -> list[tuple[int, int]]:
    return []


def test_it_begins_where_the_user_looks_and_again_where_they_go(ready: list[tuple[int, int]]) -> None:
    assert isinstance(Slow(), Anticipating)
    ahead = LookAhead(Slow(), lambda axis, index: ready.append((axis, index)))
    ahead.look_at(0, 5)
    until(lambda: len(ready) >= 3)
    assert ready[:3] == [(0, 5), (0, 6), (0, 4)]
    ahead.look_at(1, 15)
    until(lambda: (1, 16) in ready)
    begun = ready.index((1, 15))
    assert all(axis == 0 for axis, _ in ready[:begun])
    assert ready[begun : begun + 2] == [(1, 15), (1, 16)]
    until(lambda: len(ready) == begun + 20)
    ahead.close()


def test_it_stops_and_begins_again_when_asked(ready: list[tuple[int, int]]) -> None:
    ahead = LookAhead(Slow(), lambda axis, index: ready.append((axis, index)))
    ahead.look_at(0, 5)
    until(lambda: bool(ready))
    ahead.stop()
    time.sleep(0.1)
    seen = len(ready)
    assert seen < 20
    time.sleep(0.1)
    assert len(ready) == seen
    ahead.look_at(0, 5)
    until(lambda: len(ready) == seen + 20)
    ahead.close()


def test_it_leaves_a_core_to_the_window_and_all_to_everybody_else() -> None:
    counted: list[int] = []

    class Counting(Slow):
        def encode_ahead(self, axis: int, centre: int, task: Task) -> Iterator[int]:
            counted.append(torch.get_num_threads())
            yield centre

    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        ahead = LookAhead(Counting())
        ahead.look_at(0, 5)
        until(lambda: bool(counted))
        later = threading.Thread(target=lambda: counted.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert counted == [3, 4]
        assert torch.get_num_threads() == 4
        ahead.close()
    finally:
        torch.set_num_threads(before)


def test_closing_ends_the_thread_at_once() -> None:
    ahead = LookAhead(Slow(seconds=0.05))
    ahead.look_at(0, 5)
    ahead.close()
    assert not any(thread.name == "looking ahead" for thread in threading.enumerate())


def test_what_breaks_is_told_and_does_not_end_it(ready: list[tuple[int, int]]) -> None:
    problems: list[Exception] = []
    ahead = LookAhead(Slow(breaks_at=6), lambda axis, index: ready.append((axis, index)), problems.append)
    ahead.look_at(0, 5)
    until(lambda: bool(problems))
    assert isinstance(problems[0], OSError)
    assert ready == [(0, 5)]
    ahead.look_at(0, 10)
    until(lambda: (0, 10) in ready)
    ahead.close()
