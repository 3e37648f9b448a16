"""The parts of the dock: setters in, signals out."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QPushButton, QWidget

from napari_medsam.widgets._file_dialogs import ask_where_to_save, completed
from napari_medsam.widgets._object_list import ObjectList, ObjectRow
from napari_medsam.widgets._progress_bar import ProgressRow
from napari_medsam.widgets._status_line import ErrorDialog, StatusLine
from napari_medsam.widgets._tool_bar import ToolBar
from napari_medsam.widgets.gui_thread import GuiThread
from napari_medsam.widgets.tools import Key, Tool


def test_the_tool_bar_prints_its_keys_and_tells_what_was_chosen(qtbot: Any) -> None:
    bar = ToolBar()
    qtbot.addWidget(bar)
    for tool in Tool:
        assert f"({Key.TOOLS[tool]})" in bar.button(tool).text()
        with qtbot.waitSignal(bar.tool_chosen) as chosen:
            bar.button(tool).click()
        assert chosen.args == [tool]
        bar.set_tool(tool)
        assert [t for t in Tool if bar.button(t).isChecked()] == [tool]
    with qtbot.waitSignal(bar.tool_chosen) as chosen:
        bar.button(Tool.LASSO).click()
    assert chosen.args == [None]
    bar.set_tools_enabled(frozenset({Tool.BOX}))
    assert [t for t in Tool if bar.button(t).isEnabled()] == [Tool.BOX]


def test_the_object_list_tells_choice_and_new_name(qtbot: Any) -> None:
    objects = ObjectList()
    qtbot.addWidget(objects)
    rows = [ObjectRow(3, "Liver", (230, 159, 0)), ObjectRow(5, "Spleen", (86, 180, 233))]
    objects.set_rows(rows, 5)
    assert objects.names == ["Liver", "Spleen"]
    with qtbot.waitSignal(objects.object_chosen) as chosen:
        objects.choose(0)
    assert chosen.args == [3]
    with qtbot.waitSignal(objects.object_renamed) as renamed:
        objects.findChild(QWidget).item(0).setText("Left lobe")
    assert renamed.args == [3, "Left lobe"]


def test_the_object_list_is_made_anew_only_for_other_rows_and_after_a_change_by_hand(qtbot: Any) -> None:
    objects = ObjectList()
    qtbot.addWidget(objects)
    rows = [ObjectRow(3, "Liver", (230, 159, 0)), ObjectRow(5, "Spleen", (86, 180, 233))]
    objects.set_rows(rows, 5)
    shown = objects.findChild(QWidget).item(0)
    objects.set_rows(list(rows), 5)
    assert objects.findChild(QWidget).item(0) is shown
    shown.setText("A name that is refused")
    objects.set_rows(rows, 5)
    assert objects.names == ["Liver", "Spleen"]
    objects.choose(0)
    objects.set_rows(rows, 5)
    assert objects.findChild(QWidget).currentRow() == 1


def test_a_thread_can_wait_until_the_window_is_drawn(qtbot: Any) -> None:
    done: list[str] = []

    class Painted(QWidget):
        def paintEvent(self, _: object) -> None:
            done.append("painted")

    window = Painted()
    qtbot.addWidget(window)
    window.show()
    qtbot.waitUntil(lambda: bool(done))
    done.clear()
    gui = GuiThread()

    def work() -> None:
        gui.call(window.update)
        gui.wait_for_pause(10)
        done.append("waited")

    thread = threading.Thread(target=work)
    thread.start()
    qtbot.waitUntil(lambda: "waited" in done)
    thread.join()
    assert done == ["painted", "waited"]


def test_nobody_waits_long_for_a_window_that_draws_nothing() -> None:
    begun = time.monotonic()
    gui = GuiThread()
    thread = threading.Thread(target=gui.wait_for_pause, args=(0.05,))
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert time.monotonic() - begun >= 0.05


def test_short_work_shows_no_progress(qtbot: Any) -> None:
    row = ProgressRow()
    qtbot.addWidget(row)
    row.set_progress(0.5, "Segmenting")
    row.finish()
    qtbot.wait(300)
    assert not row.isVisible()
    row.set_progress(0.5, "Segmenting")
    qtbot.waitUntil(row.isVisible)
    with qtbot.waitSignal(row.cancel_requested):
        row.cancel_button.click()


def test_the_details_of_an_error_are_behind_a_button_and_can_be_copied(qtbot: Any) -> None:
    status = StatusLine()
    qtbot.addWidget(status)
    status.show()
    status.show_message("Saved.")
    assert not status.details_button.isVisible()
    status.show_error("The disk is full.", "OSError: [Errno 28]")
    assert status.text == "The disk is full."
    assert status.details_button.isVisible()
    QTest.mouseClick(status.details_button, Qt.MouseButton.LeftButton)
    dialog = status.findChild(ErrorDialog)
    assert dialog.isVisible()
    assert dialog.details == "OSError: [Errno 28]"
    next(b for b in dialog.findChildren(QPushButton) if b.text() == "Copy").click()
    assert QApplication.clipboard().text() == "The disk is full.\n\nOSError: [Errno 28]"
    dialog.reject()


@pytest.mark.parametrize(
    ("typed", "name_filter", "written"),
    [
        ("mask", "NRRD label map (*.nrrd)", "mask.nrrd"),
        ("mask.seg.nrrd", "NRRD label map (*.nrrd)", "mask.seg.nrrd"),
        ("mask.nii", "NRRD label map (*.nrrd)", "mask.nii"),
        ("scan.2024", "PNG mask, for 2D images (*.png)", "scan.2024.png"),
    ],
)
def test_the_ending_follows_the_chosen_format(typed: str, name_filter: str, written: str, tmp_path: Path) -> None:
    assert completed(tmp_path / typed, name_filter) == tmp_path / written


def test_the_save_dialog_gives_the_path(qtbot: Any, tmp_path: Path) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    chosen: list[Path] = []
    dialog = ask_where_to_save(parent, "liver", True, chosen.append)
    assert isinstance(dialog, QFileDialog)
    assert "DICOM SEG" in dialog.nameFilters()[0]
    dialog.selectNameFilter(next(f for f in dialog.nameFilters() if "NIfTI" in f))
    dialog.setDirectory(str(tmp_path))
    dialog.selectFile(str(tmp_path / "liver"))
    dialog.accept()
    qtbot.waitUntil(lambda: bool(chosen))
    assert chosen == [tmp_path / "liver.nii.gz"]
