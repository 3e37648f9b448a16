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


def test_a_preview_shows_what_is_answered_and_the_view_stays(desk: Desk, phantom: Sample) -> None:
    desk.viewer.dims.order = (1, 0, 2)
    desk.viewer.reset_view()
    level = box_on_a_slice(desk, phantom, axis=1)
    desk.image.contrast_limits = (-100.0, 300.0)
    preview, slices = desk.widget.preview, desk.widget.controller.propagation.slices
    assert preview.isHidden()
    answers: dict[int, Any] = {}
    seen: dict[int, Any] = {}
    moves: list[Any] = []

    def keep_labels(_work: Any, index: int, _lower: Any, labels: Any) -> None:
        answers[index] = labels[:, 0]

    def keep_picture(*_: Any) -> None:
        assert preview.isVisible()
        kept = preview.image
        seen[int(preview.caption.removeprefix("Slice "))] = np.array(
            [[kept.pixelColor(c, r).getRgb()[:3] for c in range(kept.width())] for r in range(kept.height())]
        )
        if len(seen) == 4:
            desk.widget.progress.cancel_button.click()

    slices.answered.connect(keep_labels)
    slices.pictured.connect(keep_picture)
    desk.viewer.dims.events.point.connect(moves.append)
    panel = desk.widget.propagate.mapToGlobal(desk.widget.propagate.rect().topLeft())
    desk.widget.propagate.button.click()
    desk.wait(lambda: len(seen) >= 2)
    assert desk.widget.propagate.mapToGlobal(desk.widget.propagate.rect().topLeft()) == panel, "nothing jumps"
    desk.wait_idle()
    assert preview.isHidden(), "there is nothing to see of what does not run"
    assert not moves
    assert desk.widget.stage.canvas.spot().level == level
    assert len(seen) >= 4
    assert any((answers[index] == 1).any() for index in seen)

    # Voxels are 4 mm high and 2.5 mm wide, and the first is drawn where the canvas has it.
    z, _, x = phantom.volume.shape
    first, last = desk.pixel(0, level, 0), desk.pixel(z - 1, level, x - 1)
    for index, shown in seen.items():
        rows, columns = shown.shape[:2]
        assert rows / columns == pytest.approx(4 * z / (2.5 * x), rel=0.02)
        zs, xs = (np.arange(rows) + 0.5) * z // rows, (np.arange(columns) + 0.5) * x // columns
        zs, xs = zs[:: 1 if first.y() < last.y() else -1], xs[:: 1 if first.x() < last.x() else -1]
        at = np.ix_(zs.astype(int), xs.astype(int))
        grey = np.clip((phantom.volume.data[:, index][at].astype(float) + 100) / 400, 0, 1) * 255
        mask = answers[index][at] == 1
        colour = np.array(desk.work.current_object.colour)
        expected = np.where(mask[..., None], (grey[..., None] + colour) / 2, grey[..., None])
        np.testing.assert_allclose(shown, expected, atol=1)


def test_a_view_across_the_way_grows_while_it_runs(desk: Desk, phantom: Sample) -> None:
    level = box_on_a_slice(desk, phantom)
    truth = phantom.truth(KIDNEY)
    middle = [(low + up) // 2 for low, up in zip(truth.lower, truth.upper, strict=True)]
    answered: list[int] = []
    drawn: list[int] = []

    def watch(_work: Any, index: int, *_: Any) -> None:
        answered.append(index)
        if index == level + 1:
            desk.viewer.dims.order = (1, 0, 2)
            desk.viewer.dims.point = desk.image.data_to_world(middle)
            desk.labels.events.set_data.connect(lambda: drawn.append(len(answered)))

    desk.widget.controller.propagation.slices.answered.connect(watch)
    desk.widget.propagate.button.click()
    desk.wait_idle()
    assert len({number for number in drawn if number < len(answered)}) > 5, "not only at the end"


def test_the_layer_for_the_strokes_is_there_before_the_first(desk: Desk) -> None:
    prompts = desk.widget.stage.scene.prompts
    desk.use(Tool.BOX)
    desk.wait_idle()
    assert prompts.shapes is not None
    assert prompts.points is None
    desk.use(Tool.POINT)
    desk.wait_idle()
    assert prompts.points is not None
    assert desk.viewer.layers.selection.active.name == desk.image.name


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
