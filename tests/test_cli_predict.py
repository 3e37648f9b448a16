"""Batches from the command line: a file of prompts in, a folder for each image out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from napari_medsam.cli import main

SHAPE = (8, 30, 34)
BRIGHT = (slice(2, 6), slice(8, 20), slice(10, 24))  # z, y, x
FLAT = {"box": [3, 8, 10, 4, 20, 24]}
AFFINE = np.diag([0.8, 0.8, 2.0, 1.0])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with two volumes that hold a bright block, and a file that is no image."""
    folder = tmp_path / "images"
    folder.mkdir()
    for seed, name in enumerate(("a.nii.gz", "b.nii.gz")):
        data = np.random.default_rng(seed).normal(100, 8, SHAPE).astype(np.float32)
        data[BRIGHT] += 120
        nib.save(nib.Nifti1Image(data.T, AFFINE), folder / name)
    (folder / "notes.txt").write_text("not an image")
    return folder


def prompt_file(folder: Path, content: Any) -> str:
    path = folder / "prompts.json"
    path.write_text(json.dumps(content))
    return str(path)


def mask_of(folder: Path) -> np.ndarray:
    return np.asarray(nib.load(folder / "mask.nii.gz").dataobj).T


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    assert main(["predict", *(str(arg) for arg in args)]) == 2
    return capsys.readouterr().err


def test_one_image_with_two_objects(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1, 1:4, 1:4], labels[2, 1:4, 1:4] = 5, 7
    nib.save(nib.Nifti1Image(labels.T, AFFINE), tmp_path / "corner.nii.gz")
    objects = [
        {"name": "block", "prompts": [FLAT, {"point": [3, 2, 30], "negative": True}]},
        {"prompts": [{"mask": "corner.nii.gz", "value": 7}]},
    ]
    prompts = prompt_file(tmp_path, {"a.nii.gz": objects})
    out = tmp_path / "out"
    args = [str(images / "a.nii.gz"), "--prompts", prompts, "--out", str(out), "--save-npy", "--save-vis"]
    assert main(["predict", *args]) == 0
    assert "[1/1] a.nii.gz: " in capsys.readouterr().out
    mask = mask_of(out / "a")
    np.testing.assert_allclose(nib.load(out / "a" / "mask.nii.gz").affine, AFFINE)
    assert (mask[3][BRIGHT[1:]] == 1).mean() > 0.8
    assert (mask[2, 1:4, 1:4] == 2).all()
    arrays = sorted((out / "a" / "npy").iterdir())
    assert [path.name for path in arrays] == [f"{i:04d}.npy" for i in range(SHAPE[0])]
    assert np.array_equal(np.stack([np.load(path) for path in arrays]), mask)
    shown = {int(path.stem) for path in (out / "a" / "vis").iterdir()}
    assert shown == set(np.flatnonzero(mask.any(axis=(1, 2))))
    with Image.open(out / "a" / "vis" / "0003.png") as picture:
        assert picture.size == (2 * SHAPE[2] + 4, SHAPE[1])
        left, right = np.asarray(picture)[:, : SHAPE[2]], np.asarray(picture)[:, -SHAPE[2] :]
    assert (left[..., 0] == left[..., 1]).all()
    assert np.array_equal((right != left).any(axis=-1), mask[3] > 0)


def test_a_folder_propagated(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = prompt_file(tmp_path, {"*": [{"prompts": [FLAT]}]})
    out = tmp_path / "out"
    assert main(["predict", str(images), "--prompts", prompts, "--out", str(out), "--propagate"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["a", "b"]
    for name in ("a", "b"):
        mask = mask_of(out / name)
        assert mask[BRIGHT].mean(axis=(1, 2)).min() > 0.6, "carried to every slice of the block"
        assert mask.sum() < 1.3 * mask[BRIGHT].size
        assert [path.name for path in (out / name).iterdir()] == ["mask.nii.gz"]


def test_one_bad_image_does_not_cost_the_others(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "a.nii.gz").write_bytes(b"no image")
    prompts = prompt_file(tmp_path, {"a.nii.gz": [{"prompts": [FLAT]}], "*": [{"prompts": [FLAT]}]})
    out = tmp_path / "out"
    assert main(["predict", str(images), "--prompts", prompts, "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert "a.nii.gz: " in told.err
    assert "1 of 2 images failed" in told.err
    assert mask_of(out / "b").any()
    assert not (out / "a").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({}, "names no image"),
        ([1], "names no image"),
        ({"c.nii.gz": [{"prompts": [FLAT]}]}, "not in"),
        ({"a.nii.gz": {"prompts": [FLAT]}}, "not a list of objects"),
        ({"a.nii.gz": [{"name": "x"}]}, "no list of prompts"),
    ],
)
def test_files_of_prompts_that_are_none(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Any, sentence: str
) -> None:
    prompts = prompt_file(tmp_path, content)
    assert sentence in refused(capsys, images, "--prompts", prompts, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_of_prompts_that_cannot_be_read(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "none.json"
    assert "cannot be read" in refused(capsys, images, "--prompts", missing, "--out", tmp_path / "out")
    missing.write_text("{")
    assert "no JSON" in refused(capsys, images, "--prompts", missing, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"box": [3, 8, 10, 4, 20]}, "is not a prompt"),
        ({"box": [3, 8, 10, 4, 20, 24.5]}, "whole voxels"),
        ({"circle": [1]}, "a box, a point or a mask"),
        ({"point": [3, 99, 99]}, "outside the image"),
        ({"mask": "none.nii.gz"}, "The mask none.nii.gz cannot be used"),
    ],
)
def test_prompts_that_are_none_are_told_by_image(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], entry: Any, sentence: str
) -> None:
    prompts = prompt_file(tmp_path, {"a.nii.gz": [{"prompts": [entry]}]})
    args = [str(images / "a.nii.gz"), "--prompts", prompts, "--out", str(tmp_path / "out")]
    assert main(["predict", *args]) == 1
    told = capsys.readouterr().err
    assert told.startswith("napari-medsam: a.nii.gz: ")
    assert sentence in told
    assert not (tmp_path / "out" / "a").exists()


def test_two_images_of_one_name_are_refused(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (images / "a.nrrd").write_bytes(b"")
    prompts = prompt_file(tmp_path, {"*": [{"prompts": [FLAT]}]})
    assert "the folder a" in refused(capsys, images, "--prompts", prompts, "--out", tmp_path / "out")


def test_an_image_of_several_frames_is_told_and_the_others_go_on(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = np.random.default_rng(0).normal(100, 8, (*SHAPE[::-1], 3)).astype(np.float32)
    nib.save(nib.Nifti1Image(frames, AFFINE), images / "a.nii.gz")
    prompts = prompt_file(tmp_path, {"*": [{"prompts": [FLAT]}]})
    out = tmp_path / "out"
    assert main(["predict", str(images), "--prompts", prompts, "--out", str(out)]) == 1
    assert "a.nii.gz is a series of 3 volumes" in capsys.readouterr().err
    assert mask_of(out / "b").any()
    assert not (out / "a").exists()
    args = [str(images / "a.nii.gz"), "--prompts", prompts, "--out", str(out), "--frame", "2"]
    assert main(["predict", *args]) == 0
    assert mask_of(out / "a").shape == SHAPE


def test_an_image_of_one_slice_is_propagated_to_nowhere(images: Path, tmp_path: Path) -> None:
    flat = nib.load(images / "a.nii.gz").slicer[:, :, 3:4]
    nib.save(flat, tmp_path / "flat.nii.gz")
    box = {"box": [0, *FLAT["box"][1:3], 1, *FLAT["box"][4:]]}
    prompts = prompt_file(tmp_path, {"flat.nii.gz": [{"prompts": [box]}]})
    out = tmp_path / "out"
    assert main(["predict", str(tmp_path / "flat.nii.gz"), "--prompts", prompts, "--out", str(out), "--propagate"]) == 0
    assert mask_of(out / "flat").shape == (1, *SHAPE[1:])
    assert mask_of(out / "flat").any()
