import json
from pathlib import Path

import numpy as np
import pytest
from region_grower import RegionGrower, blobs
from scipy import ndimage

from napari_medsam.cli import replay as command
from napari_medsam.engine.errors import JournalError
from napari_medsam.engine.io import open_labels
from napari_medsam.engine.journal import Journal, read_journal
from napari_medsam.engine.objects import Overlap
from napari_medsam.engine.prompts import Box, MaskPrompt, Point
from napari_medsam.engine.region import Region
from napari_medsam.engine.replay import Replay
from napari_medsam.engine.segmenters.registry import load_segmenter
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume


def work(session: Session) -> Session:
    """A session with everything in it that a user can do."""
    one, two = session.add_object().id, session.add_object().id
    session.prompt(Box((2, 4, 4), (10, 16, 16)), one)
    session.add_prompt(Point((6.0, 10.0, 10.0)), one)
    click = Point((3.0, 5.0, 5.0), positive=False)
    session.add_prompt(click, one)
    session.predict(one)
    session.prompt(MaskPrompt(Region((4, 14, 14), np.ones((4, 6, 6), dtype=bool))), two)
    session.undo()
    session.overlap = Overlap.REPLACE
    session.prompt(Box((3, 8, 8), (9, 19, 22)), two)
    session.remove_prompt(click.id)
    session.overlap = Overlap.KEEP
    session.edit(one, Region((0, 0, 0), np.ones((2, 2, 2), dtype=bool)))
    session.prompt(Point((8.0, 14.0, 12.0)), one)
    session.undo()
    session.redo()
    session.rename(one, "Liver")
    return session


@pytest.fixture
def journal(tmp_path) -> Path:
    path = tmp_path / "a.journal"
    work(Session(blobs(), RegionGrower(), path)).close()
    return path


def test_every_answer_is_the_same_again(journal):
    replay = Replay(journal, RegionGrower())
    results = list(replay.run(Task()))
    assert [r.kind for r in results] == ["predict"] * 4 + ["remove_prompt", "predict"]
    assert [r.differing for r in results] == [0] * 6
    assert [len(r.prompts) for r in results] == [1, 3, 1, 1, 2, 3]
    assert all(r.voxels for r in results)
    assert replay.doubts == replay.remarks == ()


def test_a_model_that_answers_differently_is_found_answer_by_answer(journal):
    results = list(Replay(journal, RegionGrower(tolerance=0.02)).run(Task()))
    assert [r.is_same for r in results][2:4] == [True, True]  # neither has a click in it
    assert not results[1].is_same
    assert results[1].differing > 0


def test_a_model_that_refuses_now_is_a_difference(journal):
    segmenter = RegionGrower()

    def refuse():
        from napari_medsam.engine.errors import PromptError

        raise PromptError("Not today.")

    segmenter.before_answer = refuse
    results = list(Replay(journal, segmenter).run(Task()))
    assert {r.problem for r in results} == {"Not today."}
    assert not any(r.is_same for r in results)


def test_other_weights_are_a_doubt_even_if_all_answers_agree(journal):
    replay = Replay(journal, RegionGrower(weights_hash="f" * 64))
    assert all(r.is_same for r in replay.run(Task()))
    assert "weights 000000000000" in replay.doubts[0]


def test_an_altered_journal_is_a_doubt_and_an_interrupted_write_is_none(journal):
    data = journal.read_bytes()
    journal.write_bytes(data + b"half a reco")
    assert Replay(journal, RegionGrower()).doubts == ()
    assert journal.read_bytes() == data + b"half a reco"
    lines = data.splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:6] + lines[7:]))
    assert "altered" in Replay(journal, RegionGrower()).doubts[0]


def test_another_image_is_refused(journal):
    with pytest.raises(JournalError, match="have changed"):
        Replay(journal, RegionGrower(), blobs(seed=5))


def test_an_edit_forged_with_its_chain_is_found_by_the_model(journal, tmp_path):
    records = [json.loads(json.dumps(r)) for r in read_journal(journal).records]
    first = next(r for r in records if r["type"] == "command" and r["command"]["kind"] == "predict")
    first["command"]["changes"]["1"]["edit"] = {
        **Region((0, 0, 0), np.ones((2, 2, 2), dtype=bool)).to_json(),
        "added": Region((0, 0, 0), np.ones((2, 2, 2), dtype=bool)).to_json()["bits"],
        "removed": Region((0, 0, 0), np.zeros((2, 2, 2), dtype=bool)).to_json()["bits"],
    }
    forged = Journal.create(tmp_path / "forged.journal")
    forged.append(records)
    forged.close()
    (tmp_path / "forged.image.npy").write_bytes((tmp_path / "a.image.npy").read_bytes())
    replay = Replay(tmp_path / "forged.journal", RegionGrower())
    assert replay.doubts == ()
    assert next(replay.run(Task())).differing > 0


def organ() -> Volume:
    """A bright, smooth organ in noise, anisotropic."""
    rng = np.random.default_rng(7)
    z, y, x = np.ogrid[-1:1:24j, -1:1:64j, -1:1:64j]
    inside = (z / 0.6) ** 2 + (y / 0.5) ** 2 + (x / 0.7) ** 2 < 1
    data = ndimage.gaussian_filter(inside * 200.0, 1.0) + rng.normal(0, 25, inside.shape)
    return Volume(data.astype(np.int16), np.array([[0, 0, 1, 0], [0, 1, 0, 0], [3, 0, 0, 0], [0, 0, 0, 1.0]]))


@pytest.fixture(scope="module")
def compact_journal(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("compact") / "a.journal"
    session = Session(organ(), load_segmenter("compact"), path)
    session.prompt(Box((4, 15, 9), (20, 49, 55)))
    click = Point((12.0, 32.0, 32.0))
    session.prompt(click)
    session.prompt(Point((2.0, 5.0, 5.0), positive=False))
    session.remove_prompt(click.id)
    assert session.mask(1).count > 1000
    session.close()
    return path


def arguments(journal: Path, *more: str):
    import argparse

    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(["replay", str(journal), *more])


def test_the_bundled_model_reproduces_its_journal_bit_for_bit(compact_journal, tmp_path, capsys):
    out = tmp_path / "mask.nii.gz"
    args = arguments(compact_journal, "--out", str(out))
    assert args.run(args) == 0
    printed = capsys.readouterr()
    assert "4 answers, all the same bit for bit." in printed.out
    assert printed.err == ""
    back = Session.recover(compact_journal)
    back.close()
    assert np.array_equal(open_labels(out, like=back.volume), back.labels())


def test_a_failed_proof_says_why_and_writes_nothing(compact_journal, tmp_path, capsys):
    lines = compact_journal.read_bytes().splitlines(keepends=True)
    path = tmp_path / "a.journal"
    path.write_bytes(b"".join(lines[:4] + lines[5:]))
    (tmp_path / "a.image.npy").write_bytes(compact_journal.with_name("a.image.npy").read_bytes())
    out = tmp_path / "mask.nii.gz"
    args = arguments(path, "--out", str(out))
    assert args.run(args) == 1
    assert "damaged or altered" in capsys.readouterr().err
    assert not out.exists()
