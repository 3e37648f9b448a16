"""Masks cleaned in a real window: the row unfolded, holes filled, islands removed, one object and all, undone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from desk import Desk
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton
from scipy import ndimage

from napari_medsam.engine.cleaning import CleaningKind
from napari_medsam.engine.region import Region
from napari_medsam.engine.samples import Sample
from napari_medsam.widgets.tools import Key, Tool

FILL, REMOVE, KEEP = CleaningKind.FILL_HOLES, CleaningKind.REMOVE_ISLANDS, CleaningKind.KEEP_LARGEST


def press(button: QAbstractButton) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def messy(desk: Desk, phantom: Sample) -> Callable[[int], np.ndarray]:
    """Paints an object: a block with a cavity, an island of 30 voxels and one of 1, all shifted along x."""
    clean = desk.widget.clean
    assert not clean.buttons[FILL].isVisible(), "folded away at first"
    assert not clean.buttons[FILL].isEnabled()
    truth = phantom.truth("left kidney")
    level = (truth.lower[0] + truth.upper[0]) // 2
    desk.show(level, *truth.lower[1:])
    desk.use(Tool.BOX)
    desk.drag((level, *truth.lower[1:]), (level, *(u - 1 for u in truth.upper[1:])))
    desk.wait_idle()
    press(clean.fold_button)
    assert clean.buttons[FILL].isVisible()
    assert clean.buttons[FILL].isEnabled()

    def paint(shift: int) -> np.ndarray:
        mask = np.zeros(phantom.volume.shape, bool)
        mask[4:10, 10:20, 4 + shift : 14 + shift] = True
        mask[6:8, 13:16, 7 + shift : 10 + shift] = False
        mask[2:4, 30:33, 4 + shift : 9 + shift] = True
        mask[12, 40, 4 + shift] = True
        desk.work.session.edit(desk.work.current, Region.of(mask))
        desk.wait_idle()
        return mask

    return paint


def shown(desk: Desk) -> np.ndarray:
    np.testing.assert_array_equal(desk.labels.data, desk.work.session.labels())
    return np.array(desk.labels.data)


def test_one_object_is_cleaned_and_each_step_undone(
    desk: Desk, messy: Callable[[int], np.ndarray], phantom: Sample
) -> None:
    before = messy(0)
    clean = desk.widget.clean
    press(clean.buttons[FILL])
    desk.wait_idle()
    filled = ndimage.binary_fill_holes(before)
    np.testing.assert_array_equal(shown(desk) == 1, filled)
    assert "Holes filled" in desk.widget.status.text
    press(clean.buttons[FILL])
    desk.wait_idle()
    assert desk.widget.status.text == "There are no holes to fill."
    assert desk.work.session.history[-1].kind == "clean"

    voxel = float(np.prod(phantom.volume.spacing))
    clean.smallest_field.setValue(10 * voxel)
    press(clean.buttons[REMOVE])
    desk.wait_idle()
    assert not shown(desk)[12].any()
    assert shown(desk)[2:4].any(), "30 voxels are more than the volume of 10"
    press(clean.buttons[KEEP])
    desk.wait_idle()
    assert not shown(desk)[2:4].any()
    assert "Pieces removed" in desk.widget.status.text
    for _ in range(3):
        desk.press_key(Key.UNDO)
        desk.wait_idle()
    np.testing.assert_array_equal(shown(desk) == 1, before)
    desk.press_key(Key.REDO)
    desk.wait_idle()
    np.testing.assert_array_equal(shown(desk) == 1, filled)


def test_all_objects_are_cleaned_in_one_step(desk: Desk, messy: Callable[[int], np.ndarray]) -> None:
    one = messy(0)
    desk.press_key(Key.NEXT_OBJECT)
    desk.wait_idle()
    two = messy(20)
    clean = desk.widget.clean
    press(clean.buttons[FILL])
    desk.wait_idle()
    np.testing.assert_array_equal(shown(desk) == 1, one)
    np.testing.assert_array_equal(shown(desk) == 2, ndimage.binary_fill_holes(two))
    desk.press_key(Key.UNDO)
    desk.wait_idle()
    press(clean.all_box)
    assert clean.all_box.isChecked()
    press(clean.buttons[FILL])
    desk.wait_idle()
    np.testing.assert_array_equal(shown(desk) == 1, ndimage.binary_fill_holes(one))
    np.testing.assert_array_equal(shown(desk) == 2, ndimage.binary_fill_holes(two))
    desk.press_key(Key.UNDO)
    desk.wait_idle()
    np.testing.assert_array_equal(shown(desk), one + 2 * two)
