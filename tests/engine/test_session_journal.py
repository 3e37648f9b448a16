import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from region_grower import RegionGrower, blobs

from napari_medsam.engine.errors import Cancelled, JournalError, PromptError
from napari_medsam.engine.io import open_labels, open_volume
from napari_medsam.engine.journal import is_locked, read_journal
from napari_medsam.engine.journals import journal_folder, list_journals, new_journal, unfinished
from napari_medsam.engine.objects import Overlap
from napari_medsam.engine.prompts import Box, MaskPrompt, Point
from napari_medsam.engine.region import Region
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume

BOX = Box((2, 2, 2), (9, 15, 15))
CLICK = Point((5.0, 8.0, 8.0), positive=False)


@pytest.fixture
def image(tmp_path) -> Path:
    """A NIfTI file of blobs."""
    import nibabel

    path = tmp_path / "image.nii.gz"
    nibabel.save(nibabel.Nifti1Image(blobs().data.T, np.diag([0.8, 0.7, 2.5, 1.0])), path)
    return path


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "journals" / "a.journal"


def let_go(session: Session) -> None:
    """What the death of the process does: the file is closed and nothing more is written."""
    session._ledger.recorder.close()


def described(session: Session) -> list:
    return [
        (o.id, o.name, o.colour, [p.to_json() for p in o.prompts], len(o.steps), [p.to_json() for p in o.pending])
        for o in session.objects
    ]


def assert_same(one: Session, other: Session) -> None:
    assert described(one) == described(other)
    assert [c.to_json() for c in one.history] == [c.to_json() for c in other.history]
    assert one.overlap == other.overlap
    assert np.array_equal(one.labels(), other.labels())


def worked_on(volume: Volume, path: Path) -> Session:
    session = Session(volume, RegionGrower(), path)
    liver = session.add_object("Leber (groß)").id
    session.prompt(BOX, liver)
    session.prompt(CLICK, liver)
    session.overlap = Overlap.REPLACE
    spleen = session.add_object(colour=(1, 2, 3)).id
    session.prompt(Point((6.0, 10.0, 10.0)), spleen)
    session.edit(spleen, Region((0, 0, 0), np.ones((2, 2, 2), dtype=bool)))
    session.prompt(MaskPrompt(Region((5, 5, 5), np.ones((3, 3, 3), dtype=bool))), spleen)
    session.remove_prompt(CLICK.id)
    session.rename(spleen, "Spleen")
    session.undo()
    session.undo()
    session.redo()
    return session


def test_everything_comes_back_with_undo_and_redo_and_without_a_model(image, path):
    session = worked_on(open_volume(image), path)
    let_go(session)
    deaf = RegionGrower()
    deaf.before_answer = lambda: pytest.fail("the model was asked")
    back = Session.recover(path, segmenter=deaf)
    assert back.notes == ()
    assert_same(session, back)
    assert back.can_redo
    back.redo()
    assert back.objects[1].name == "Spleen"
    back.undo()
    while session.undo():
        assert back.undo()
        assert described(session) == described(back)
        assert np.array_equal(session.labels(), back.labels())
    assert not back.can_undo


def test_a_recovered_session_goes_on_in_the_same_journal(image, path):
    volume = open_volume(image)
    let_go(worked_on(volume, path))
    for _ in range(3):
        session = Session.recover(path, volume, RegionGrower())
        new = session.add_object()
        assert new.id == max(o.id for o in session.objects)
        session.prompt(Point((5.0, 8.0, 8.0)), new.id)
        let_go(session)
    back = Session.recover(path, volume, RegionGrower())
    assert_same(session, back)
    assert len(back.objects) == 5
    assert read_journal(path).tail == b""


def test_nothing_segmented_leaves_no_file(path):
    with Session(blobs(), RegionGrower(), path) as session:
        one = session.add_object("Liver").id
        session.prepare()
        session.predict(one)
        with pytest.raises(PromptError):
            session.add_prompt(Point((99.0, 0.0, 0.0)))
        session.add_prompt(BOX)
    assert not path.parent.exists()


def test_a_prompt_is_in_the_journal_before_the_model_is_asked(path):
    segmenter = RegionGrower()
    kinds = []
    segmenter.before_answer = lambda: kinds.extend(r["type"] for r in read_journal(path).records)
    Session(blobs(), segmenter, path).prompt(BOX)
    assert kinds == ["session", "command", "prompt"]


def test_prompts_without_an_answer_are_pending_again(path):
    volume = blobs()
    session = Session(volume, RegionGrower(), path)
    session.prompt(BOX)
    task = Task()
    session.segmenter.before_answer = task.cancel
    with pytest.raises(Cancelled):
        session.prompt(CLICK, task=task)
    let_go(session)
    back = Session.recover(path, volume, RegionGrower())
    assert back.object(1).pending == (CLICK,)
    assert back.predict(1)
    let_go(back)
    back = Session.recover(path, volume, RegionGrower())
    assert back.object(1).pending == ()
    back.undo()
    assert back.object(1).prompts == (BOX,)
    assert back.object(1).pending == ()


@pytest.mark.parametrize("leave", ["undo", "remove_prompt", "refused", "remove_object"])
def test_prompts_that_were_dropped_stay_dropped(path, leave):
    volume = blobs()
    session = Session(volume, RegionGrower(), path)
    task = Task()
    session.segmenter.before_answer = task.cancel
    one = session.add_object().id
    bad = Point((5.0, 8.0, 8.0), positive=False)
    if leave == "refused":
        with pytest.raises(PromptError):
            session.prompt(bad, one)
    else:
        with pytest.raises(Cancelled):
            session.prompt(BOX, one, task)
    if leave == "undo":
        session.undo()
    if leave == "remove_prompt":
        session.remove_prompt(BOX.id)
    if leave == "remove_object":
        session.remove_object(one)
    let_go(session)
    back = Session.recover(path, volume, RegionGrower())
    assert_same(session, back)
    assert all(item.pending == () for item in back.objects)


def test_an_image_from_memory_is_kept_beside_the_journal(path):
    affine = np.array([[0, 0, -0.5, 3], [0, 0.7, 0.1, -2], [2.5, 0, 0, 1.25], [0, 0, 0, 1]])
    volume = Volume(blobs().data.astype(np.float32) / 3, affine, modality="MR")
    session = Session(volume, RegionGrower(), path)
    session.prompt(BOX)
    let_go(session)
    back = Session.recover(path, segmenter=RegionGrower())
    assert np.array_equal(back.volume.data, volume.data)
    assert np.array_equal(back.volume.affine, affine)
    assert back.volume.data.dtype == np.float32
    assert back.volume.modality == "MR"
    assert_same(session, back)


def test_an_image_that_changed_or_vanished_is_named(image, path):
    let_go(worked_on(open_volume(image), path))
    before = path.read_bytes()
    original = image.read_bytes()
    import nibabel

    nibabel.save(nibabel.Nifti1Image(blobs(seed=1).data.T, np.diag([0.8, 0.7, 2.5, 1.0])), image)
    with pytest.raises(JournalError, match="have changed"):
        Session.recover(path, segmenter=RegionGrower())
    image.unlink()
    with pytest.raises(JournalError, match=r"image\.nii\.gz"):
        Session.recover(path, segmenter=RegionGrower())
    with pytest.raises(JournalError, match="have changed"):
        Session.recover(path, blobs(seed=1), RegionGrower())
    assert path.read_bytes() == before
    image.write_bytes(original)
    assert not is_locked(path)
    Session.recover(path, segmenter=RegionGrower()).close()


def test_a_damaged_end_is_told_and_kept(path):
    volume = blobs()
    session = Session(volume, RegionGrower(), path)
    session.prompt(BOX)
    before = session.objects
    session.prompt(CLICK)
    let_go(session)
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    with pytest.raises(JournalError, match="have changed"):
        Session.recover(path, blobs(seed=1), RegionGrower())
    assert path.read_bytes() == data[:-100]
    back = Session.recover(path, volume, RegionGrower())
    assert "damaged" in back.notes[0]
    assert str(path.with_name("a.journal.damaged-1")) in back.notes[0]
    assert back.objects[0].prompts == before[0].prompts
    assert back.object(1).pending == (CLICK,)
    assert data[:-100].endswith(path.with_name("a.journal.damaged-1").read_bytes())


def test_another_model_is_told(path):
    volume = blobs()
    session = Session(volume, RegionGrower(), path)
    session.prompt(BOX)
    let_go(session)
    back = Session.recover(path, volume, RegionGrower(weights_hash="1" * 64))
    assert "model is not the one" in back.notes[0]
    engines = [r["model"]["weights_hash"] for r in read_journal(path).records if r["type"] in ("session", "opened")]
    assert engines == ["0" * 64, "1" * 64]


def test_a_journal_in_use_cannot_be_recovered_nor_begun_again(path):
    volume = blobs()
    session = Session(volume, RegionGrower(), path)
    session.prompt(BOX)
    with pytest.raises(JournalError, match="another session"):
        Session.recover(path, volume, RegionGrower())
    with pytest.raises(JournalError, match="already"):
        Session(volume, RegionGrower(), path)
    session.prompt(CLICK)
    session.close()
    assert Session.recover(path, volume, RegionGrower()).can_undo


def test_a_journal_of_another_format_is_not_guessed_at(path, tmp_path):
    from napari_medsam.engine.journal import Journal

    journal = Journal.create(tmp_path / "future.journal")
    journal.append([{"type": "session", "format": 2}])
    journal.close()
    with pytest.raises(JournalError, match="format 2"):
        Session.recover(tmp_path / "future.journal", blobs(), RegionGrower())


def test_a_record_that_makes_no_sense_is_named(tmp_path):
    from napari_medsam.engine.journal import Journal

    for number, record in enumerate(
        [{"type": "undo"}, {"type": "command", "command": {}}, {"type": "dropped", "prompt": "x"}, {"no": "type"}]
    ):
        path = tmp_path / f"{number}.journal"
        journal = Journal.create(path)
        journal.append([{"type": "session", "format": 1}, record])
        journal.close()
        with pytest.raises(JournalError, match="Record 2 "):
            Session.recover(path, blobs(), RegionGrower())


def test_a_save_is_whole_and_in_the_journal(image, path, tmp_path):
    import hashlib

    session = worked_on(open_volume(image), path)
    target = tmp_path / "mask.nii.gz"
    session.save(target)
    assert np.array_equal(open_labels(target, like=session.volume), session.labels())
    record = read_journal(path).records[-1]
    assert record["type"] == "saved"
    assert record["path"] == str(target)
    assert record["sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()
    assert record["objects"] == [1, 2]


def test_the_header_tells_image_model_and_versions_and_no_user(image, path, monkeypatch):
    monkeypatch.setenv("USER", "somebody-in-particular")
    Session(open_volume(image), RegionGrower(), path).prompt(BOX)
    header = read_journal(path).records[0]
    assert header["image"]["source"] == str(image)
    assert header["image"]["hash"] == open_volume(image).hash
    assert header["image"]["shape"] == [12, 20, 24]
    assert np.allclose(header["image"]["affine"], open_volume(image).affine)
    assert header["model"] == {"name": "region-grower", "weights_hash": "0" * 64, "device": "cpu"}
    assert header["format"] == 1
    text = path.read_text()
    assert "somebody-in-particular" not in text
    for line in text.splitlines():
        assert json.loads(line[65:])["time"].endswith("+00:00")


def test_a_journal_that_cannot_be_made_is_told_once_and_the_session_goes_on(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    session = Session(blobs(), RegionGrower(), blocked / "a.journal")
    told = []
    session.journal_failed.connect(told.append)
    session.prompt(BOX)
    session.prompt(CLICK)
    session.undo()
    assert len(told) == 1
    assert session.journal_error == told[0]
    assert told[0].endswith(".")
    assert session.object(1).prompts == (BOX,)
    blocked.unlink()
    session.redo()
    assert session.journal_error is None
    let_go(session)
    back = Session.recover(blocked / "a.journal", session.volume, RegionGrower())
    assert_same(session, back)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size to run into")
def test_a_disk_that_fills_up_loses_nothing_in_memory_and_is_made_up_for(tmp_path):
    path = tmp_path / "a.journal"
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from region_grower import RegionGrower, blobs
from napari_medsam.engine.prompts import Box, Point
from napari_medsam.engine.session import Session
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
import numpy as np
volume = blobs()
np.save(path.with_name("image.npy"), volume.data)
session = Session(volume, RegionGrower(), path)
told = []
session.journal_failed.connect(told.append)
session.prompt(Box((2, 2, 2), (9, 15, 15)))
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, hard))
session.prompt(Point((5.0, 8.0, 8.0), positive=False))
session.undo()
assert len(told) == 1, told
assert len(session.object(1).prompts) == 1
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
session.redo()
assert session.journal_error is None
np.save(path.with_name("labels.npy"), session.labels())
print(told[0])
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "goes on in memory" in done.stdout
    back = Session.recover(path, blobs(), RegionGrower())
    assert back.notes == ()
    assert len(back.object(1).prompts) == 2
    assert np.array_equal(back.labels(), np.load(tmp_path / "labels.npy"))


def test_only_sessions_that_were_not_closed_and_do_not_run_are_offered(tmp_path, image):
    volume = open_volume(image)
    folder = tmp_path / "journals"
    closed, running, crashed = (worked_on(volume, folder / f"{name}.journal") for name in ("c", "r", "x"))
    closed.close()
    let_go(crashed)
    (folder / "noise.journal").write_bytes(b"noise")
    (folder / "empty.journal").write_bytes(b"")
    (folder / "notes.txt").write_text("no journal")
    found = {summary.path.stem: summary for summary in list_journals(folder)}
    assert set(found) == {"c", "r", "x"}
    assert found["c"].is_closed
    assert found["r"].is_open
    assert [summary.path.stem for summary in unfinished(folder)] == ["x"]
    assert found["x"].image == str(image)
    assert found["x"].started <= found["x"].changed
    running.close()
    back = Session.recover(folder / "c.journal", volume, RegionGrower())
    let_go(back)
    assert {summary.path.stem for summary in unfinished(folder)} == {"c", "x"}


def test_journals_live_where_the_environment_says_or_with_the_users_state(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_MEDSAM_JOURNALS", str(tmp_path / "there"))
    assert journal_folder() == tmp_path / "there"
    assert new_journal().parent == tmp_path / "there"
    assert new_journal() != new_journal()
    assert list_journals() == unfinished() == []
    monkeypatch.delenv("NAPARI_MEDSAM_JOURNALS")
    assert journal_folder().parts[-2:] == ("napari-medsam", "journals")
    if sys.platform.startswith("linux"):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        assert journal_folder() == tmp_path / "napari-medsam" / "journals"
    assert os.environ.get("NAPARI_MEDSAM_JOURNALS") is None
