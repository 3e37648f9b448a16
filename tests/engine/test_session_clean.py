"""Cleaning as an edit of a session: in real volumes of voxels, undone, recovered and proved like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from region_grower import RegionGrower
from scipy import ndimage

from napari_medsam.engine.cleaning import Cleaning, CleaningKind
from napari_medsam.engine.errors import Cancelled, MaskError, MedSamError
from napari_medsam.engine.objects import Overlap
from napari_medsam.engine.prompts import MaskPrompt
from napari_medsam.engine.region import Edit, Region
from napari_medsam.engine.replay import Replay
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume, affine_from_spacing

SHAPE = (12, 30, 40)
FILL = Cleaning(CleaningKind.FILL_HOLES)
LARGEST = Cleaning(CleaningKind.KEEP_LARGEST)


def islands(smallest: float) -> Cleaning:
    return Cleaning(CleaningKind.REMOVE_ISLANDS, smallest)


def body() -> np.ndarray:
    """A block with a cavity of 18 voxels and a tunnel, an island of 8 voxels and one of 1."""
    mask = np.zeros(SHAPE, bool)
    mask[1:9, 2:14, 2:14] = True
    mask[3:6, 6:9, 6:8] = False
    mask[3, 4, 10:] = False
    mask[2:4, 20:22, 20:22] = True
    mask[10, 28, 38] = True
    return mask


@pytest.fixture
def volume() -> Volume:
    """Voxels of 5 x 2 x 0.5 mm, oblique to the patient: 5 mm³ each."""
    turn = np.eye(4)
    turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    data = np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32)
    return Volume(data, turn @ affine_from_spacing((5.0, 2.0, 0.5)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.journal"


@pytest.fixture
def session(volume: Volume, path: Path) -> Session:
    session = Session(volume, RegionGrower(), path)
    session.prompt(MaskPrompt(Region.of(body())))
    return session


def mask(session: Session, object_id: int = 1) -> np.ndarray:
    return session.mask(object_id).full(SHAPE)


def let_go(session: Session) -> None:
    """What the death of the process does: the file is closed and nothing more is written."""
    session._ledger.recorder.close()


def prove(path: Path, volume: Volume) -> list[str]:
    replayed = list(Replay(path, RegionGrower(), volume).run(Task()))
    assert all(one.is_same for one in replayed)
    return [one.kind for one in replayed]


def test_holes_are_filled_tunnels_stay_and_undo_takes_it_back_in_one_step(session: Session) -> None:
    before = mask(session)
    assert (before == body()).all()
    seen = []
    session.edited.connect(lambda *args: seen.append(args))
    edits = session.clean([1], FILL)
    assert np.array_equal(mask(session), ndimage.binary_fill_holes(before))
    assert not mask(session)[3, 4, 10:].any()
    assert seen == [(1, (3, 6, 6), (6, 9, 8))]
    assert edits[1].added.sum() == 18
    assert session.history[-1].kind == "clean"
    session.undo()
    assert np.array_equal(mask(session), before)
    session.redo()
    assert np.array_equal(mask(session), ndimage.binary_fill_holes(before))


def test_islands_are_measured_in_cubic_millimetres(session: Session) -> None:
    session.clean([1], islands(40.0))
    assert mask(session)[2, 20, 20], "8 voxels of 5 mm³ are 40 mm³, which is not smaller than 40"
    assert not mask(session)[10, 28, 38]
    session.undo()
    session.clean([1], islands(40.1))
    assert not mask(session)[2:, 20:].any()
    assert mask(session)[1, 2, 2]


def test_the_largest_piece_stays_even_where_all_are_islands(session: Session) -> None:
    session.clean([1], islands(1e9))
    assert np.array_equal(mask(session), body() & (np.arange(SHAPE[1]) < 15)[:, None])
    session.undo()
    session.clean([1], LARGEST)
    assert np.array_equal(mask(session), body() & (np.arange(SHAPE[1]) < 15)[:, None])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mask_of_one_slice_is_filled_within_it(session: Session, axis: int) -> None:
    flat = np.zeros(SHAPE, bool)
    outer, inner = [slice(2, 9)] * 3, [slice(4, 7)] * 3
    outer[axis] = inner[axis] = slice(5, 6)
    flat[tuple(outer)] = True
    full = flat.copy()
    flat[tuple(inner)] = False
    session.edit(1, Region.of(flat))
    session.clean([1], FILL)
    assert np.array_equal(mask(session), full)


def test_all_objects_at_once_are_one_command_and_those_without_a_change_are_left_out(session: Session) -> None:
    second = session.add_object().id
    shell = np.zeros(SHAPE, bool)
    shell[1:6, 18:28, 25:35] = True
    shell[2:5, 20:25, 30] = False
    session.prompt(MaskPrompt(Region.of(shell)), second)
    third = session.add_object().id
    session.prompt(MaskPrompt(Region.of(~shell & (np.arange(40) == 39))), third)
    edits = session.clean([1, second, third], FILL)
    assert [int(edit.added.sum()) for edit in edits.values()] == [18, 15, 0]
    assert set(session.history[-1].changes) == {1, second}
    session.undo()
    assert np.array_equal(mask(session), body())
    assert np.array_equal(mask(session, second), shell)


@pytest.mark.parametrize(
    ("overlap", "own", "others"), [(Overlap.KEEP, 17, 1), (Overlap.REPLACE, 18, 0), (Overlap.ALLOW, 18, 1)]
)
def test_what_lies_in_a_hole_keeps_gives_way_or_shares(
    session: Session, overlap: Overlap, own: int, others: int
) -> None:
    lesion = session.add_object().id
    inside = np.zeros(SHAPE, bool)
    inside[4, 6, 6] = True
    session.prompt(MaskPrompt(Region.of(inside)), lesion)
    session.overlap = overlap
    edits = session.clean([1], FILL)
    assert edits[1].added.sum() == own
    assert mask(session, lesion).sum() == others
    session.undo()
    assert mask(session, lesion).sum() == 1


def test_nothing_to_clean_is_no_command(session: Session) -> None:
    before = session.history
    assert not session.clean([1], islands(1.0))[1]
    assert session.history == before
    session.add_object()
    assert not session.clean([2], LARGEST)[2]


def test_cancelled_before_its_end_it_changes_nothing(session: Session) -> None:
    task = Task()
    task.cancel()
    with pytest.raises(Cancelled):
        session.clean([1], FILL, task)
    assert np.array_equal(mask(session), body())


def test_an_object_that_changes_meanwhile_is_cleaned_as_it_is_then(session: Session) -> None:
    changed = []

    def change(*_: object) -> None:
        if not changed:
            changed.append(True)
            session.edit(1, Region.of(body() & (np.arange(40) != 6)))

    session.clean([1], LARGEST, Task(change))
    assert np.array_equal(mask(session), body() & (np.arange(40) > 6) & (np.arange(40) < 15))


def test_who_is_unknown_and_what_is_no_volume(session: Session) -> None:
    with pytest.raises(MedSamError, match="no object 7"):
        session.clean([7], FILL)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(MaskError, match=r"mm³, not"):
            islands(wrong)


def test_it_survives_a_crash_and_is_proved_bit_for_bit(session: Session, volume: Volume, path: Path) -> None:
    second = session.add_object().id
    inside = np.zeros(SHAPE, bool)
    inside[4, 6, 6] = True
    session.prompt(MaskPrompt(Region.of(inside)), second)
    session.overlap = Overlap.REPLACE
    session.clean([1, second], FILL)
    session.clean([1], islands(7.5))
    session.undo()
    after = mask(session)
    let_go(session)
    assert prove(path, volume) == ["predict", "predict", "clean", "clean"]
    with Session.recover(path, volume, RegionGrower()) as recovered:
        assert np.array_equal(mask(recovered), after)
        assert recovered.redo()
        assert not mask(recovered)[10, 28, 38]
        assert recovered.undo()
        assert recovered.undo()
        assert mask(recovered, second).any()
        assert np.array_equal(mask(recovered), body())


def test_a_journal_that_tells_another_cleaning_is_found_out(session: Session, volume: Volume, path: Path) -> None:
    session.clean([1], FILL)
    command = session.history[-1]
    object.__setattr__(
        command.changes[1], "packed", Edit((4, 6, 6), np.ones((1, 1, 1), bool), np.zeros((1, 1, 1), bool)).to_json()
    )
    session._ledger.recorder.add("undo")
    session._ledger.recorder.add("command", command=command.to_json())
    session.close()
    replayed = list(Replay(path, RegionGrower(), volume).run(Task()))
    assert [one.differing for one in replayed] == [0, 0, 17]


def test_without_an_earlier_prompt_it_is_done_again_on_what_is_left(session: Session) -> None:
    more = np.zeros(SHAPE, bool)
    more[1:6, 18:28, 25:35] = True
    more[2:5, 20:25, 30] = False
    prompt = MaskPrompt(Region.of(more))
    session.prompt(prompt, 1)
    session.clean([1], FILL)
    assert mask(session)[3, 22, 30]
    session.remove_prompt(prompt.id)
    assert np.array_equal(mask(session), ndimage.binary_fill_holes(body()))
