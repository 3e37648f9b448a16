"""A program that closes its window while a slice is being made ready, for `test_looking_ahead_window`."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import torch
from qtpy.QtTest import QTest
from test_looking_ahead_window import Foresighted, SlowlyPrepared

from napari_medsam.engine.samples import ct_phantom
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume
from napari_medsam.widgets.launch import open_window

BEGUN = threading.Event()


class DeepInTorch(SlowlyPrepared):
    """Spends seconds in calls of torch that nothing interrupts, and comes back to Python between them."""

    def encode_ahead(self, axis: int, centre: int, task: Task) -> Iterator[int]:
        BEGUN.set()
        for _ in range(40):
            torch.rand(1000, 1000) @ torch.rand(1000, 1000)
        yield centre


class Slow(Foresighted):
    def prepare(self, volume: Volume, task: Task) -> DeepInTorch:
        return DeepInTorch(volume)


def main() -> None:
    volume = ct_phantom((20, 40, 40)).volume
    session = Session(volume, Slow())
    session.prepare()
    viewer = open_window(volume, name="phantom")
    viewer.window.dock_widgets["Segment"].controller.adopt(session)
    while not BEGUN.is_set():
        QTest.qWait(5)
    viewer.close()


if __name__ == "__main__":
    main()
