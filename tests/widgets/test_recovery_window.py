"""What a crash interrupted is offered at the next start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from desk import Desk

from napari_medsam.engine.journals import new_journal, unfinished
from napari_medsam.engine.prompts import Box
from napari_medsam.engine.samples import Sample
from napari_medsam.engine.segmenters.registry import load_segmenter
from napari_medsam.engine.session import Session
from napari_medsam.widgets.layer_data import image_layer

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def interrupted(phantom: Sample, journals: Path) -> np.ndarray:
    """A journal as a killed process leaves it; its masks."""
    truth = phantom.truth("left kidney")
    session = Session(phantom.volume, load_segmenter("compact"), new_journal())
    session.prompt(Box(truth.lower, truth.upper))
    labels = session.labels()
    assert session.journal is not None
    content = session.journal.read_bytes()
    session.close()
    # Without its last record the journal is that of a session that never came to its end.
    session.journal.write_bytes(content)
    assert len(unfinished()) == 1
    return labels


def test_recover(open_desk: Callable[..., Desk], interrupted: np.ndarray, phantom: Sample) -> None:
    desk = open_desk()
    bar = desk.widget.recovery_bar
    desk.wait(bar.isVisible)
    bar.button("Recover").click()
    desk.wait(lambda: bool(desk.work.objects))
    desk.wait_idle()
    assert not bar.isVisible()
    np.testing.assert_array_equal(desk.image.data, phantom.volume.data)
    np.testing.assert_array_equal(desk.labels.data, interrupted)
    np.testing.assert_array_equal(desk.labels.scale, desk.image.scale)
    (prompt,) = desk.work.current_object.prompts
    assert isinstance(prompt, Box)
    desk.press_key("Ctrl+Z")
    desk.wait_idle()
    assert not desk.labels.data.any()


def test_later_and_discard(open_desk: Callable[..., Desk], interrupted: np.ndarray, journals: Path) -> None:
    desk = open_desk()
    bar = desk.widget.recovery_bar
    desk.wait(bar.isVisible)
    bar.button("Later").click()
    assert not bar.isVisible()
    assert len(unfinished()) == 1
    desk.widget.recovery.look()
    desk.wait(bar.isVisible)
    (journal,) = journals.glob("*.journal")
    content = journal.read_bytes()
    bar.button("Discard").click()
    desk.wait_idle()
    assert unfinished() == []
    assert journal.with_suffix(".discarded").read_bytes() == content
    assert not bar.isVisible()


def test_the_session_of_saved_work_is_closed_with_the_window(
    open_desk: Callable[..., Desk], phantom: Sample, journals: Path, tmp_path: Path
) -> None:
    desk = open_desk(image_layer([phantom.volume], "CT phantom"))
    truth = phantom.truth("left kidney")
    desk.widget.controller.give(Box(truth.lower, truth.upper))
    desk.wait_idle()
    controller = desk.widget.controller
    work = controller.work
    assert not work.is_saved
    controller.save(tmp_path / "saved.nii.gz")
    desk.wait_idle()
    assert work.is_saved
    controller.close()
    assert unfinished() == []
