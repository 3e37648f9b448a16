"""SAM 2 in a real window, with random weights from a real file: the whole way, and what only such a model offers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk import Desk
from qtpy.QtWidgets import QFileDialog

from napari_medsam.engine.volume import Volume
from napari_medsam.engine.weights.folder import models_folder
from napari_medsam.engine.window import Window
from napari_medsam.widgets.layer_data import image_layer
from napari_medsam.widgets.tools import Key, Tool

NAME = "sam2:random.pt"
LOW, HIGH = (20, 14), (56, 44)
"""A box around a blob, ``(y, x)``."""


@pytest.fixture
def desk(models: Path, open_desk: Callable[..., Desk], blobs: Volume) -> Desk:
    assert models_folder() == models
    desk = open_desk(image_layer([blobs], "blobs"))
    choosers = desk.widget.choosers
    choosers.choose_model(choosers.models.index(NAME))
    return desk


def draw_box(desk: Desk, level: int) -> None:
    desk.show(level, 40, 40)
    desk.use(Tool.BOX)
    desk.drag((level, *LOW), (level, *HIGH))
    desk.wait_idle()


def shown_slice(desk: Desk) -> int:
    return int(desk.widget.stage.canvas.spot().level)


def test_box_propagate_cancel_correct_propagate_undo(desk: Desk) -> None:
    draw_box(desk, 5)
    assert desk.work.session.segmenter.info.name == NAME
    first = np.array(desk.labels.data)
    assert {int(z) for z in np.flatnonzero(first.any(axis=(1, 2)))} == {5}
    grown: list[tuple[int, bool]] = []
    shown: list[int] = []

    def watch(_work: Any, index: int, *_: Any) -> None:
        grown.append((index, bool(desk.labels.data[index].any())))
        if len(grown) == 4:
            desk.widget.progress.cancel_button.click()

    propagation = desk.widget.controller.propagation.slices
    propagation.answered.connect(watch)
    desk.viewer.dims.events.current_step.connect(lambda: shown.append(shown_slice(desk)))
    desk.widget.propagate.button.click()
    desk.wait_idle()
    propagation.answered.disconnect(watch)
    assert [index for index, _ in grown[:4]] == [6, 7, 8, 9]
    assert set(shown) <= {5}, "the view stays where the user is"
    assert shown_slice(desk) == 5
    assert any(has_mask for _, has_mask in grown)
    assert "Undo takes it back" in desk.widget.status.text
    np.testing.assert_array_equal(desk.labels.data, desk.work.session.labels())
    half = np.array(desk.labels.data)
    assert not half[:5].any()

    draw_box(desk, 8)
    corrected = np.array(desk.labels.data[8])
    desk.widget.propagate.button.click()
    desk.wait_idle()
    command = desk.work.session.history[-1]
    assert command.details["keys"] == {"1": [5, 8]}
    assert command.details["complete"]
    np.testing.assert_array_equal(desk.labels.data, desk.work.session.labels())
    np.testing.assert_array_equal(desk.labels.data[8], corrected)
    for expected in (None, half, first):
        desk.press_key(Key.UNDO)
        desk.wait_idle()
        np.testing.assert_array_equal(desk.labels.data, desk.work.session.labels())
        if expected is not None:
            np.testing.assert_array_equal(desk.labels.data, expected)


def test_the_view_scrolls_along_where_that_is_wished(desk: Desk) -> None:
    draw_box(desk, 5)
    shown: list[int] = []
    desk.viewer.dims.events.current_step.connect(lambda: shown.append(shown_slice(desk)))
    desk.widget.propagate.scroll_box.setChecked(True)
    desk.widget.propagate.button.click()
    desk.wait_idle()
    assert {6, 7, 8, 9, 10, 11} & set(shown), "the displayed slice goes along"
    assert shown_slice(desk) == 5, "and comes back"


def test_whoever_scrolls_is_left_where_he_is(desk: Desk) -> None:
    draw_box(desk, 5)
    desk.widget.propagate.scroll_box.setChecked(True)
    seen: list[int] = []

    def watch(_work: Any, index: int, *_: Any) -> None:
        seen.append(index)
        if len(seen) == 2:
            desk.viewer.dims.point = tuple(desk.image.data_to_world((2, 40, 40)))

    desk.widget.controller.propagation.slices.answered.connect(watch)
    desk.widget.propagate.button.click()
    desk.wait_idle()
    assert len(seen) == 11
    assert shown_slice(desk) == 2


def test_limits_of_the_way(desk: Desk) -> None:
    draw_box(desk, 5)
    bar = desk.widget.propagate
    bar.more_button.click()
    first, last = bar.limit_buttons
    desk.show(4, 40, 40)
    first.click()
    desk.show(7, 40, 40)
    last.click()
    assert (first.text(), last.text()) == ("From slice 4", "To slice 7")
    bar.button.click()
    desk.wait_idle()
    route = desk.work.session.history[-1].details["route"]
    assert (route["first"], route["last"]) == (4, 7)
    assert {int(z) for z in np.flatnonzero(desk.labels.data.any(axis=(1, 2)))} <= {4, 5, 6, 7}
    first.click()
    assert first.text() == "From the first slice"
    desk.show(3, 40, 40)
    last.click()
    last.click()
    desk.show(9, 40, 40)
    first.click()
    assert (first.text(), last.text()) == ("From slice 9", "To the last slice"), "limits that cross are none"
    desk.viewer.dims.order = (1, 0, 2)
    assert first.text() == "From the first slice", "limits are of one axis"


def test_everything_on_the_displayed_slice(desk: Desk) -> None:
    button = desk.widget.tools.everything_button
    assert button.isHidden()
    draw_box(desk, 5)
    mine = np.array(desk.labels.data[5])
    assert not button.isHidden()
    desk.show(3, 40, 40)
    button.click()
    desk.wait_idle()
    objects = desk.work.objects
    assert len(objects) > 1
    assert desk.widget.objects.names == [item.name for item in objects]
    assert desk.work.current == 2
    assert f"{len(objects) - 1} found" in desk.widget.status.text
    np.testing.assert_array_equal(desk.labels.data, desk.work.session.labels())
    np.testing.assert_array_equal(desk.labels.data[5], mine)
    desk.press_key(Key.UNDO)
    desk.wait_idle()
    assert len(desk.work.objects) == 1
    assert not desk.labels.data[3].any()


def test_the_model_sees_what_suits_the_modality_or_what_is_displayed(desk: Desk) -> None:
    choosers = desk.widget.choosers
    assert not choosers.contrast_offered
    draw_box(desk, 5)
    assert choosers.contrast_offered
    prepared = desk.work.session.prepared
    fitting = prepared.window
    choosers.contrast_chosen.emit(True)
    desk.wait_idle()
    assert prepared.window == Window(*desk.image.contrast_limits)
    desk.image.contrast_limits = (0.0, 700.0)
    desk.wait_idle()
    assert prepared.window == Window(0.0, 700.0)
    desk.click(5, 35, 35)
    desk.wait_idle()
    draw_box(desk, 6)
    assert desk.work.session.history[-1].details["window"] == [0.0, 700.0]
    choosers.contrast_chosen.emit(False)
    desk.wait_idle()
    assert prepared.window == fitting
    desk.image.contrast_limits = (0.0, 600.0)
    desk.wait_idle()
    assert prepared.window == fitting


def test_another_model_until_something_was_done(desk: Desk) -> None:
    desk.use(Tool.BOX)
    desk.wait_idle()
    assert desk.work.session.segmenter.info.name == NAME
    desk.widget.choosers.choose_model(0)
    desk.wait_idle()
    assert desk.work.session.segmenter.info.name == "compact"
    assert not desk.widget.choosers.contrast_offered
    desk.widget.choosers.choose_model(desk.widget.choosers.models.index(NAME))
    desk.wait_idle()
    draw_box(desk, 5)
    assert desk.widget.controller.has_begun


def test_weights_are_imported_and_chosen(
    open_desk: Callable[..., Desk], blobs: Volume, random_sam2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_MEDSAM_MODELS", str(tmp_path / "none yet"))
    desk = open_desk(image_layer([blobs], "blobs"))
    choosers = desk.widget.choosers
    assert choosers.models == ["compact"]
    choosers.choose_model(1)
    assert "napari-medsam models download" in desk.widget.status.text
    dialog = desk.widget.findChild(QFileDialog)
    assert dialog is not None
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no weights")
    dialog.fileSelected.emit(str(broken))
    desk.wait_idle()
    assert str(broken) in desk.widget.status.text
    dialog.fileSelected.emit(str(random_sam2 / "random.pt"))
    desk.wait_idle()
    dialog.close()
    assert choosers.models == ["compact", NAME]
    assert desk.widget.controller.model == NAME
    assert (models_folder() / "random.pt").is_file()


def test_weights_that_are_gone_are_told_and_another_model_can_be_chosen(
    open_desk: Callable[..., Desk], blobs: Volume, random_sam2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    shutil.copytree(random_sam2, folder)
    monkeypatch.setenv("NAPARI_MEDSAM_MODELS", str(folder))
    desk = open_desk(image_layer([blobs], "blobs"))
    choosers = desk.widget.choosers
    choosers.choose_model(choosers.models.index(NAME))
    (folder / "random.pt").unlink()
    draw_box(desk, 5)
    assert "There is no SAM 2" in desk.widget.status.text
    assert not desk.widget.controller.has_begun
    choosers.choose_model(0)
    desk.wait_idle()
    draw_box(desk, 5)
    assert desk.work.current_object.mask
