"""Masks carried through the frames of a series: kept where they were settled, found where the object goes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from region_grower import RegionGrower

from napari_medsam.engine.errors import Cancelled, MedSamError, PromptError
from napari_medsam.engine.prompts import Box
from napari_medsam.engine.region import Region
from napari_medsam.engine.series import CarriedSlice, propagate_series
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume

FRAMES, SHAPE = 6, (3, 40, 40)


class Grower(RegionGrower):
    """What is bright in a flat box, whatever was there before."""

    def predict(self, prepared, prompts, previous, task):
        lone = prepared.volume.shape[0] == 1
        answer = super().predict(prepared, prompts[-1:], Region.empty() if lone else previous, task)
        return replace(answer, confidence=float("nan"))


def chamber(frame: int, z: int) -> np.ndarray:
    """A disc that grows and shrinks with the beat; the last slice shows it in the middle of the beat only."""
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    radius = 6 + (0, 1, 2, 2, 1, 0)[frame] - 2 * z
    return (y - 20) ** 2 + (x - 18) ** 2 <= radius**2 if z < 2 or 1 < frame < 5 else np.zeros(SHAPE[1:], bool)


@pytest.fixture
def sessions() -> list[Session]:
    random = np.random.default_rng(0)
    grower = Grower()
    made = []
    for frame in range(FRAMES):
        data = random.normal(0, 0.1, SHAPE).astype(np.float32)
        for z in range(SHAPE[0]):
            data[z][chamber(frame, z)] += 100
        made.append(Session(Volume(data, frame=frame), grower))
    return made


def mark(session: Session, *levels: int) -> None:
    for z in levels:
        session.prompt(Box((z, 5, 5), (z + 1, 35, 35)))


def test_every_slice_is_followed_through_the_frames(sessions: list[Session]) -> None:
    mark(sessions[0], 0, 1)
    sessions[0].rename(1, "Chamber")
    before = sessions[0].mask(1)
    seen: list[tuple[int, int]] = []
    propagate_series(sessions, 0, [1], on_slice=lambda step: seen.append((step.index, step.frame)), start=1)
    assert seen[:5] == [(1, frame) for frame in range(1, FRAMES)]
    assert sessions[0].mask(1) is before
    for frame, session in enumerate(sessions):
        (item,) = session.objects
        assert (item.id, item.name, item.colour) == (1, "Chamber", sessions[0].object(1).colour)
        for z in (0, 1):
            # The voxels that stick out of a disc are neither here nor there.
            assert np.count_nonzero((session.labels()[z] > 0) ^ chamber(frame, z)) <= 8
        assert not session.labels()[2].any(), "no settled frame shows it there"
    assert [command.kind for command in sessions[3].history] == ["add", "edit"]


def test_a_corrected_frame_stays_and_counts(sessions: list[Session]) -> None:
    mark(sessions[0], 0, 1)
    propagate_series(sessions, 0, [1])
    mark(sessions[3], 2)
    settled = sessions[3].labels()
    propagate_series(sessions, 0, [1])
    np.testing.assert_array_equal(sessions[3].labels(), settled)
    assert sessions[4].labels()[2].any(), "found from the frame that shows it"
    assert not sessions[5].labels()[2].any()


def test_cancelled_it_keeps_what_was_answered(sessions: list[Session]) -> None:
    mark(sessions[0], 0, 1)
    task = Task()
    steps: list[CarriedSlice] = []

    def stop(step: CarriedSlice) -> None:
        steps.append(step)
        if len(steps) == 3:
            task.cancel()

    with pytest.raises(Cancelled):
        propagate_series(sessions, 0, [1], task, stop)
    assert [bool(session.objects) for session in sessions] == [True] * 4 + [False] * 2
    assert sessions[2].labels()[0].any()
    assert not sessions[2].labels()[1].any()


def test_what_cannot_be_is_told_and_changes_nothing(sessions: list[Session]) -> None:
    sessions[0].add_object()
    with pytest.raises(PromptError, match="Segment the object in one frame first"):
        propagate_series(sessions, 0, [1])
    mark(sessions[0], 0)
    sessions[4].add_object("Another")
    with pytest.raises(MedSamError, match="In frame 4 number 1 is Another, and not Object 1"):
        propagate_series(sessions, 0, [1])
    assert [len(session.history) for session in sessions] == [2, 0, 0, 0, 1, 0]


def test_a_number_is_given_once(sessions: list[Session]) -> None:
    assert sessions[0].add_object("Seven", number=7).id == 7
    assert sessions[0].add_object().id == 8
    with pytest.raises(MedSamError, match="an object 7"):
        sessions[0].add_object(number=7)
