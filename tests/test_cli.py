"""The command line: what it prints, writes and refuses, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import napari_medsam
from napari_medsam.cli import main

ROOT = Path(__file__).resolve().parents[1]
BRIGHT = (slice(6, 14), slice(10, 24), slice(12, 28))  # z, y, x of a bright block in `image`
BOX = "6,10,12,14,24,28"


@pytest.fixture
def no_display(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux can be without a display")


@pytest.fixture
def image(tmp_path):
    """A small oblique NIfTI with a bright block."""
    data = np.random.default_rng(0).normal(100, 8, size=(20, 36, 40)).astype(np.float32)
    data[BRIGHT] += 120
    angle = np.deg2rad(20)
    affine = np.array(
        [[np.cos(angle), -np.sin(angle), 0, 12], [np.sin(angle), np.cos(angle), 0, -7], [0, 0, 2.5, 3], [0, 0, 0, 1]]
    )
    path = tmp_path / "image.nii.gz"
    nib.save(nib.Nifti1Image(data.T, affine), path)
    return path


@pytest.fixture
def cases(image, tmp_path):
    labels = np.zeros((20, 36, 40), np.uint8)
    labels[BRIGHT] = 1
    nib.save(nib.Nifti1Image(labels.T, nib.load(image).affine), tmp_path / "label.nii.gz")
    entry = {"id": "a", "dataset": "blocks", "image": "image.nii.gz", "label": "label.nii.gz", "values": [[1]]}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps([entry]))
    return path


def python(code, *args, **options):
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def refused(capsys, *args):
    """What stands on stderr after a refusal: one sentence for the user."""
    assert main([str(arg) for arg in args]) == 2
    text = capsys.readouterr().err
    assert text.startswith("napari-medsam: ")
    assert "Traceback" not in text
    return text


def test_the_public_names_are_there():
    for name in napari_medsam.__all__:
        assert getattr(napari_medsam, name) is not None
    assert napari_medsam.Box.__name__ == "Box"
    assert set(napari_medsam.__all__) == set(dir(napari_medsam))
    with pytest.raises(AttributeError, match="no attribute 'Boxes'"):
        _ = napari_medsam.Boxes


def test_importing_the_package_and_asking_for_help_wait_for_nothing_heavy():
    code = (
        "import sys, napari_medsam; assert 'numpy' not in sys.modules\n"
        "from napari_medsam.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'monai', 'nilearn', 'SimpleITK', 'napari', 'highdicom'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    process = python(code)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    for command in ("demo", "segment", "evaluate", "replay", "info"):
        assert command in out


def test_evaluate_prints_and_saves(cases, tmp_path, capsys):
    out = tmp_path / "scores"
    extra = tmp_path / "again.json"
    assert main(["evaluate", str(cases), "--model", "ellipsoid", "--out", str(out), "--json", str(extra)]) == 0
    text = capsys.readouterr().out
    assert "[1/1] a 1: box 0." in text
    assert "mean over datasets" in text
    report = json.loads((out / "scores.json").read_text())
    assert 0.3 < report["mean_over_datasets"]["box"] < 0.9
    assert report["datasets"]["blocks"]["nsd"].keys() == {"box"}
    assert report["structures"][0]["id"] == "a"
    assert json.loads(extra.read_text())["mean_over_datasets"]["box"] == report["mean_over_datasets"]["box"]
    assert (out / "scores.csv").read_text().startswith("level,dataset,id")
    with Image.open(out / "scores.png") as picture:
        assert picture.format == "PNG"


def test_evaluate_says_what_failed_and_still_ends(cases, capsys):
    entries = json.loads(cases.read_text())
    entries.append({**entries[0], "id": "b", "values": [[7]]})
    cases.write_text(json.dumps(entries))
    assert main(["evaluate", str(cases), "--model", "ellipsoid"]) == 1
    out, err = capsys.readouterr()
    assert "1 of 2 structures failed" in err
    assert "no voxel of the value 7" in err
    assert "mean over datasets" in out


def test_evaluate_refuses_before_it_works(cases, tmp_path, capsys):
    assert "no dataset nope" in refused(capsys, "evaluate", cases, "--dataset", "nope")
    assert "no folder" in refused(capsys, "evaluate", cases, "--json", tmp_path / "missing" / "scores.json")
    assert "cannot be read" in refused(capsys, "evaluate", tmp_path / "missing.json")
    assert "no model 'nope'" in refused(capsys, "evaluate", cases, "--model", "nope")
    blocker = tmp_path / "file"
    blocker.write_text("here")
    assert "cannot be made" in refused(capsys, "evaluate", cases, "--out", blocker / "scores")


@pytest.mark.skipif(sys.platform == "win32", reason="a console interrupt cannot be sent to one process")
def test_interrupting_ends_with_a_sentence(cases):
    entry = json.loads(cases.read_text())[0]
    cases.write_text(json.dumps([{**entry, "id": str(number)} for number in range(5000)]))
    code = (
        # A shell's background jobs ignore interrupts, and so would their children.
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from napari_medsam.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    process = python(code, "evaluate", str(cases), "--model", "ellipsoid")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("[")
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "napari-medsam: interrupted.\n"


def test_segment_writes_a_mask_on_the_voxels_of_the_image(image, tmp_path, capsys):
    out = tmp_path / "mask.nii.gz"
    args = ["segment", str(image), "--box", BOX, "--negative", "1,1,1", "--point", "10,17,20", "--out", str(out)]
    assert main(args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["box", "point", "point", "Saved"]
    saved = nib.load(out)
    np.testing.assert_allclose(saved.affine, nib.load(image).affine, atol=1e-5)
    mask = np.asarray(saved.dataobj).T
    assert mask.shape == (20, 36, 40)
    assert mask[10, 17, 20] == 1
    assert mask[1, 1, 1] == 0
    assert mask[BRIGHT].mean() > 0.5


def test_segment_refuses_what_cannot_be_used(image, tmp_path, capsys):
    out = tmp_path / "mask.nii.gz"
    assert "--box or --point" in refused(capsys, "segment", image, "--out", out)
    assert "outside the image" in refused(capsys, "segment", image, "--point", "90,1,1", "--out", out)
    assert "is empty" in refused(capsys, "segment", image, "--box", "5,5,5,5,9,9", "--out", out)
    assert "There is no file" in refused(capsys, "segment", tmp_path / "no.nii.gz", "--point", "1,1,1", "--out", out)
    missing = tmp_path / "missing" / "mask.nii.gz"
    assert "there is no folder" in refused(capsys, "segment", image, "--point", "1,1,1", "--out", missing)
    assert not out.exists()


@pytest.mark.parametrize("value", ["1,2,3", "1,2,3,4,5,x", "1,2,3,4,5,6.5"])
def test_a_box_that_is_none_is_refused_by_the_parser(image, tmp_path, value, capsys):
    with pytest.raises(SystemExit) as end:
        main(["segment", str(image), "--box", value, "--out", str(tmp_path / "mask.nii.gz")])
    assert end.value.code == 2
    assert value in capsys.readouterr().err


def test_demo_with_an_image_of_the_user(image, tmp_path, no_display, capsys):
    out = tmp_path / "deep" / "demo"
    assert main(["demo", "--image", str(image), "--box", BOX, "--point", "10,17,20", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "read it back: the same voxels" in text
    assert "there is no display" in text
    assert sorted(path.name for path in out.iterdir()) == ["01-box.png", "02-point.png", "mask.nii.gz"]
    with Image.open(out / "02-point.png") as picture:
        colours = {colour for _, colour in picture.getcolors(maxcolors=1 << 20)}
    assert (213, 94, 0) in colours  # outline
    assert (0, 158, 115) in colours  # box and click


def test_demo_without_prompts_and_display_says_what_to_give(image, tmp_path, no_display, capsys):
    assert "--box z0,y0,x0,z1,y1,x1" in refused(capsys, "demo", "--image", image, "--out", tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


@pytest.mark.slow
def test_demo_as_it_comes(tmp_path, no_display, capsys):
    assert main(["demo", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.count("Dice") == 8
    assert len(list(tmp_path.glob("*.png"))) == 8
    labels = np.asarray(nib.load(tmp_path / "mask.nii.gz").dataobj)
    assert set(np.unique(labels)) == {0, 1, 2}


def test_info_names_versions_device_and_models(no_display, capsys):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert "model compact" in text
    assert "takes box, lasso, mask, point, scribble" in text
    assert "there is no display" in text
    for name in ("torch", "SimpleITK", "Python", "device"):
        assert name in text
