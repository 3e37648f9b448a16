"""One slice becomes a volume in a real window: box, propagate, cancel half-way, correct, propagate again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from desk import Desk, dice

from napari_medsam.engine.prompts import Box
from napari_medsam.engine.samples import Sample
from napari_medsam.widgets.tools import Key, Tool

KIDNEY = "left kidney"


def box_on_a_slice(desk: Desk, phantom: Sample, axis: int = 0) -> int:
    """Draw a box around the kidney on its middle slice."""
    truth = phantom.truth(KIDNEY)
    level = (truth.lower[axis] + truth.upper[axis]) // 2
    lower, upper = list(truth.lower), [u - 1 for u in truth.upper]
    lower[axis] = upper[axis] = level
    desk.show(*lower)
    desk.use(Tool.BOX)
    desk.drag(lower, upper)
    desk.wait_idle()
    return level


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2)])
def test_box_and_propagate_along_the_axis_that_is_scrolled(
    desk: Desk, phantom: Sample, order: tuple[int, int, int]
) -> None:
    desk.viewer.dims.order = order
    desk.viewer.reset_view()
    assert not desk.widget.propagate.button.isEnabled()
    level = box_on_a_slice(desk, phantom, axis=order[0])
    before = np.array(desk.labels.data)
    desk.widget.propagate.button.click()
    desk.wait_idle()
    assert desk.work.session.history[-1].details["keys"] == {"1": [level]}
    item = desk.work.current_object
    assert dice(item.mask, phantom.truth(KIDNEY), phantom.volume.shape) > 0.7
    np.testing.assert_array_equal(desk.labels.data, desk.work.session.labels())
    assert "Correct any slice" in desk.widget.status.text
    desk.press_key(Key.UNDO)
    desk.wait_idle()
    np.testing.assert_array_equal(desk.labels.data, before)


def test_the_mask_grows_is_cancelled_corrected_and_propagated_again(desk: Desk, phantom: Sample) -> None:
    level = box_on_a_slice(desk, phantom)
    before = np.array(desk.labels.data)
    shown: dict[int, Any] = {}

    def watch(_work: Any, index: int, *_: Any) -> None:
        if len(shown) < 3:  # later ones may be on their way to the window when it is cancelled
            assert desk.work.session.history[-1].kind == "predict", "not at the end, but as each slice is answered"
        shown[index] = np.array(desk.labels.data[index])
        if len(shown) == 3:
            desk.widget.progress.cancel_button.click()

    desk.widget.controller.propagation.slices.answered.connect(watch)
    desk.widget.propagate.button.click()
    desk.wait_idle()
    desk.widget.controller.propagation.slices.answered.disconnect(watch)
    assert list(shown)[:3] == [level + 1, level + 2, level + 3]
    assert min(shown) > level, "stopped before the other way"
    assert any((labels != before[index]).any() for index, labels in shown.items())
    assert "Undo takes it back" in desk.widget.status.text
    np.testing.assert_array_equal(desk.labels.data, desk.work.session.labels())
    for index, labels in enumerate(before):
        np.testing.assert_array_equal(desk.labels.data[index], shown.get(index, labels))

    truth = phantom.truth(KIDNEY)
    other = truth.upper[0] - 3
    desk.show(other, *truth.lower[1:])
    desk.drag((other, *truth.lower[1:]), (other, *(u - 1 for u in truth.upper[1:])))
    desk.wait_idle()
    assert [isinstance(p, Box) and p.lower[0] for p in desk.work.current_object.prompts] == [level, other]
    corrected = np.array(desk.labels.data)
    desk.widget.propagate.button.click()
    desk.wait_idle()
    assert desk.work.session.history[-1].details["keys"] == {"1": [level, other]}
    for index in (level, other):
        np.testing.assert_array_equal(desk.labels.data[index], corrected[index])
    assert dice(desk.work.current_object.mask, truth, phantom.volume.shape) > 0.7


def test_undo_while_it_runs_takes_all_of_it_back(desk: Desk, phantom: Sample) -> None:
    box_on_a_slice(desk, phantom)
    before = np.array(desk.labels.data)
    seen: list[Any] = []

    def watch(*step: Any) -> None:
        seen.append(step)
        if len(seen) == 2:
            desk.press_key(Key.UNDO)

    desk.widget.controller.propagation.slices.answered.connect(watch)
    desk.widget.propagate.button.click()
    desk.wait_idle()
    np.testing.assert_array_equal(desk.labels.data, before)
    assert [c.kind for c in desk.work.session.history] == ["add", "predict"]


def test_in_3d_the_user_is_asked_to_show_a_slice(desk: Desk, phantom: Sample) -> None:
    box_on_a_slice(desk, phantom)
    desk.viewer.dims.ndisplay = 3
    desk.widget.propagate.button.click()
    assert "switch the viewer to 2D" in desk.widget.status.text
    desk.wait_idle()
