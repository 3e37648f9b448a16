"""A series in a real window: segmented in one frame, carried to the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk import Desk

from napari_medsam.engine.volume import Volume
from napari_medsam.widgets.layer_data import image_layer
from napari_medsam.widgets.tools import Key, Tool

FRAMES = 5
LOW, HIGH = (20, 14), (56, 44)


@pytest.fixture(params=[1, 3], ids=["film", "beating"])
def desk(request: Any, models: Path, open_desk: Callable[..., Desk], blobs: Volume) -> Desk:
    """Frames of one slice, or of three, in which what is on a slice moves on by a slice with each frame."""
    depth = request.param
    frames = [replace(blobs, data=blobs.data[t : t + depth], frame=t) for t in range(FRAMES)]
    desk = open_desk(image_layer(frames, "series"))
    choosers = desk.widget.choosers
    choosers.choose_model(choosers.models.index(f"sam2:{next(models.glob('*.pt')).name}"))
    return desk


def test_one_frame_becomes_all_and_one_undo_takes_all_back(desk: Desk) -> None:
    depth = desk.image.data.shape[1]
    bar = desk.widget.propagate
    desk.show(2, 0, 40, 40)
    desk.use(Tool.BOX)
    desk.drag((2, 0, *LOW), (2, 0, *HIGH))
    desk.wait_idle()
    before = np.array(desk.labels.data)
    assert before[2, 0].any()
    assert not bar.frames_box.isHidden()
    if depth > 1:
        bar.frames_box.click()
    shown: list[tuple[int, int]] = []
    desk.widget.controller.propagation.frames.answered.connect(
        lambda work, index, *_: shown.append((work.frame, index))
    )
    captions: list[str] = []
    desk.widget.controller.propagation.frames.pictured.connect(
        lambda *_: captions.append(desk.widget.preview.caption) if desk.widget.preview.isVisible() else None
    )
    bar.button.click()
    desk.wait_idle()
    assert captions[0] == ("Frame 3" if depth == 1 else "Frame 3, slice 0")
    assert desk.widget.preview.isHidden()
    assert [step for step in shown if step[1] == 0] == [(frame, 0) for frame in (3, 4, 1, 0)]
    after = np.array(desk.labels.data)
    np.testing.assert_array_equal(after[2], before[2])
    assert after[3, 0].any() or after[4, 0].any()
    for work in desk.widget.controller.works(desk.widget.stage.scene):
        np.testing.assert_array_equal(after[work.frame], work.session.labels())
    assert "frames with prompts stay" in desk.widget.status.text
    desk.press_key(Key.UNDO)
    desk.wait_idle()
    np.testing.assert_array_equal(desk.labels.data, before)
    assert desk.work.current_object.mask, "the prompt it began with is a step of its own"
    desk.press_key(Key.UNDO)
    desk.wait_idle()
    assert not desk.labels.data.any()


def test_undo_while_it_runs_and_after_a_correction(desk: Desk) -> None:
    desk.show(0, 0, 40, 40)
    desk.use(Tool.BOX)
    desk.drag((0, 0, *LOW), (0, 0, *HIGH))
    desk.wait_idle()
    before = np.array(desk.labels.data)
    bar = desk.widget.propagate
    bar.frames_box.setChecked(True)
    seen: list[Any] = []

    def watch(*step: Any) -> None:
        seen.append(step)
        if len(seen) == 2:
            desk.press_key(Key.UNDO)

    series = desk.widget.controller.propagation.frames
    series.answered.connect(watch)
    bar.button.click()
    desk.wait_idle()
    series.answered.disconnect(watch)
    np.testing.assert_array_equal(desk.labels.data, before)
    bar.button.click()
    desk.wait_idle()
    desk.show(1, 0, 40, 40)
    desk.drag((1, 0, 22, 16), (1, 0, 50, 40))
    desk.wait_idle()
    corrected = np.array(desk.labels.data[1])
    assert not series.can_take_back(desk.work), "there is something newer"
    bar.button.click()
    desk.wait_idle()
    np.testing.assert_array_equal(desk.labels.data[1], corrected)
