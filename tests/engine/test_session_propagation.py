"""Propagation as an edit of a session: undone, corrected, cancelled, recovered and proved like any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from region_grower import RegionGrower

from napari_medsam.engine.errors import Cancelled, ImageError, MedSamError, PromptError
from napari_medsam.engine.objects import Overlap
from napari_medsam.engine.prompts import Box, MaskPrompt, Point
from napari_medsam.engine.propagation import PropagatedSlice, Route
from napari_medsam.engine.region import Edit, Region
from napari_medsam.engine.replay import Replay
from napari_medsam.engine.segmenters.registry import load_segmenter
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume

SHAPE = (12, 40, 40)
MIDDLE = Box((5, 5, 5), (6, 35, 35))
ERASE = Box((8, 0, 0), (9, 40, 40), positive=False)


class Grower(RegionGrower):
    """What is bright in a flat box, whatever was there before."""

    def predict(self, prepared, prompts, previous, task):
        newest = prompts[-1:]
        lone = prepared.volume.shape[0] == 1
        answer = super().predict(prepared, newest, Region.empty() if lone else previous, task)
        return replace(answer, confidence=float("nan"))


@pytest.fixture
def cone() -> Volume:
    """A bright cone from slice 2 to slice 9, in the dark, and a bar beside it."""
    data = np.random.default_rng(0).normal(0, 2, SHAPE).astype(np.float32)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    for z in range(2, 10):
        data[z][(y - 18) ** 2 + (x - 18) ** 2 <= (z + 2) ** 2] += 100
    data[:, 2:5, 30:38] += 100
    return Volume(data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.journal"


@pytest.fixture
def session(cone: Volume, path: Path) -> Session:
    """One slice of the cone is segmented."""
    session = Session(cone, Grower(), path)
    session.prompt(MIDDLE)
    return session


def planes(region: Region) -> list[int]:
    return [region.lower[0] + int(i) for i in np.flatnonzero(region.voxels.any(axis=(1, 2)))]


def plane(session: Session, index: int, object_id: int = 1) -> np.ndarray:
    return session.mask(object_id).full(SHAPE)[index]


def same(one: Region, other: Region) -> bool:
    return not Edit.between(one, other)


def let_go(session: Session) -> None:
    """What the death of the process does: the file is closed and nothing more is written."""
    session._ledger.recorder.close()


def test_a_slice_becomes_a_volume_slice_by_slice_and_goes_back_in_one_step(session: Session) -> None:
    before = session.mask(1)
    seen: list[PropagatedSlice] = []
    during: list[bool] = []

    def look(step: PropagatedSlice) -> None:
        seen.append(step)
        during.append(same(session.mask(1), before))

    edited: list[tuple[object, ...]] = []
    session.edited.connect(lambda *args: edited.append(args))
    edits = session.propagate([1], Route(), on_slice=look)
    after = session.mask(1)
    assert planes(after) == list(range(2, 10))
    assert np.array_equal(plane(session, 5), before.full(SHAPE)[5])
    assert same(edits[1].apply(before), after)
    assert all(during)
    assert sorted(step.index for step in seen if step.masks[1]) == [2, 3, 4, 6, 7, 8, 9]
    assert edited == [(1, edits[1].lower, edits[1].upper)]
    assert session.history[-1].kind == "propagate"
    session.undo()
    assert same(session.mask(1), before)
    session.redo()
    assert same(session.mask(1), after)


def test_corrected_slices_are_kept_and_what_follows_them_is_done_again(session: Session) -> None:
    session.propagate([1], Route())
    smaller = Region.of(session.mask(1).inside((7, 0, 0), (8, 40, 40)) & (np.arange(40) < 20), (7, 0, 0))
    brushed = session.mask(1).full(SHAPE)
    brushed[7] = smaller.full(SHAPE)[7]
    session.edit(1, Region.of(brushed))
    session.prompt(ERASE)
    assert not plane(session, 8).any()
    assert plane(session, 9).any()
    session.propagate([1], Route())
    assert np.array_equal(plane(session, 7), smaller.full(SHAPE)[7])
    assert not plane(session, 8).any()
    assert not plane(session, 9).any(), "the correction says that it has ended"
    keys = session.history[-1].details["keys"]
    assert keys == {"1": [5, 7, 8]}


def test_cancelling_keeps_what_was_seen_and_undo_takes_it_back(session: Session) -> None:
    before = session.mask(1)
    task = Task()
    seen: list[int] = []

    def look(step: PropagatedSlice) -> None:
        seen.append(step.index)
        if len(seen) == 2:
            task.cancel()

    with pytest.raises(Cancelled):
        session.propagate([1], Route(), task, look)
    assert seen == [6, 7]
    assert planes(session.mask(1)) == [5, 6, 7]
    session.undo()
    assert same(session.mask(1), before)


def test_cancelling_before_the_first_slice_changes_nothing(session: Session) -> None:
    task = Task()
    task.cancel()
    with pytest.raises(Cancelled):
        session.propagate([1], Route(), task)
    assert [c.kind for c in session.history] == ["add", "predict"]


def test_what_changes_in_the_meantime_wins(session: Session) -> None:
    with pytest.raises(Cancelled):
        session.propagate([1], Route(), on_slice=lambda _: session.undo())
    assert [c.kind for c in session.history] == ["add"]
    assert session.redo()


def test_renaming_in_the_meantime_is_no_hindrance(session: Session) -> None:
    session.propagate([1], Route(), on_slice=lambda _: session.rename(1, "Cone"))
    assert session.objects[0].name == "Cone"
    assert planes(session.mask(1)) == list(range(2, 10))


def test_a_model_that_fails_half_way_loses_nothing(session: Session, cone: Volume) -> None:
    def fail(step: PropagatedSlice) -> None:
        if step.index == 7:
            raise ImageError("There is too little memory.")

    with pytest.raises(ImageError, match="too little"):
        session.propagate([1], Route(), on_slice=fail)
    assert planes(session.mask(1)) == [5, 6, 7]


def test_objects_are_propagated_together_and_give_way_as_always(session: Session) -> None:
    bar = session.add_object("Bar").id
    session.prompt(MaskPrompt(Region((3, 2, 30), np.ones((1, 3, 8), dtype=bool))), bar)
    session.propagate([1, bar], Route())
    assert session.history[-1].changes.keys() == {1, bar}
    assert planes(session.mask(bar)) == list(range(12))
    both = session.mask(1).full(SHAPE) & session.mask(bar).full(SHAPE)
    assert not both.any()


@pytest.mark.parametrize("overlap", list(Overlap))
def test_meeting_another_object(session: Session, overlap: Overlap) -> None:
    session.overlap = Overlap.ALLOW
    other = session.add_object().id
    session.prompt(MaskPrompt(Region((7, 15, 15), np.ones((1, 5, 5), dtype=bool))), other)
    session.overlap = overlap
    session.propagate([1], Route())
    inside = (7, 16, 16)
    mine, theirs = (session.mask(id_).full(SHAPE)[inside] for id_ in (1, other))
    assert (mine, theirs) == {
        Overlap.KEEP: (False, True),
        Overlap.REPLACE: (True, False),
        Overlap.ALLOW: (True, True),
    }[overlap]


def test_objects_that_cannot_be_propagated_are_refused(session: Session) -> None:
    session.add_object()
    with pytest.raises(PromptError, match="one slice first"):
        session.propagate([1, 2], Route())
    with pytest.raises(MedSamError, match="no object 9"):
        session.propagate([9], Route())
    assert session.history[-1].kind == "add"


def test_taking_a_prompt_away_propagates_again_without_it(session: Session) -> None:
    session.propagate([1], Route())
    whole = session.mask(1)
    session.prompt(ERASE)
    session.propagate([1], Route())
    assert planes(session.mask(1)) == list(range(2, 8))
    session.remove_prompt(ERASE.id)
    assert same(session.mask(1), whole)
    session.remove_prompt(MIDDLE.id)
    assert not session.mask(1)


def test_everything_is_recovered_and_proved_bit_for_bit(session: Session, cone: Volume, path: Path) -> None:
    session.propagate([1], Route(last=7))
    task = Task()
    with pytest.raises(Cancelled):
        session.propagate([1], Route(patience=None), task, lambda step: task.cancel() if step.index == 9 else None)
    session.prompt(ERASE)
    session.overlap = Overlap.REPLACE
    bar = session.add_object("Bar").id
    session.prompt(Point((3.0, 3.0, 33.0)), bar)
    session.propagate([1, bar], Route())
    session.remove_prompt(ERASE.id)
    session.undo()
    let_go(session)
    deaf = Grower()
    deaf.before_answer = lambda: pytest.fail("the model was asked")
    back = Session.recover(path, cone, deaf)
    assert back.notes == ()
    assert back.objects == session.objects
    assert [c.to_json() for c in back.history] == [c.to_json() for c in session.history]
    assert np.array_equal(back.labels(), session.labels())
    let_go(back)
    replay = Replay(path, Grower(), cone)
    results = list(replay.run(Task()))
    kinds = ["predict", "propagate", "propagate", "predict", "predict", "propagate", "remove_prompt"]
    assert [r.kind for r in results] == kinds
    assert all(r.is_same for r in results)
    assert all(r.voxels for r in results)


def test_a_model_that_propagates_differently_is_found(session: Session, cone: Volume, path: Path) -> None:
    session.propagate([1], Route())
    session.close()

    class Shy(Grower):
        def predict(self, prepared, prompts, previous, task):
            answer = super().predict(prepared, prompts, previous, task)
            lone = prepared.volume.shape[0] == 1
            return replace(answer, region=Region(answer.region.lower, answer.region.voxels[:, 1:])) if lone else answer

    results = list(Replay(path, Shy(), cone).run(Task()))
    assert [r.is_same for r in results] == [True, False]


def test_the_bundled_model_is_proved_too(cone: Volume, path: Path) -> None:
    with Session(cone, load_segmenter("compact", device="cpu"), path) as session:
        session.prompt(MIDDLE)
        session.propagate([1], Route())
        assert len(planes(session.mask(1))) > 3
    results = list(Replay(path, load_segmenter("compact", device="cpu"), cone).run(Task()))
    assert [r.is_same for r in results] == [True, True]
