"""Volumes collected from clones of public repositories."""

import json
import shutil
import subprocess
from pathlib import Path

import gather
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from contours import contoured_volume
from index import read_index
from real import load_cases

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def clones(tmp_path: Path) -> Path:
    """A folder with a bare clone of a repository that holds one scan and, on a grid twice as coarse, its labels."""
    work = tmp_path / "work"
    work.mkdir()
    scan = np.random.default_rng(0).integers(0, 100, (24, 20, 16)).astype(np.float32)
    labels = np.zeros((12, 10, 8), np.float32)
    labels[2:6, 2:6, 2:6], labels[7:10, 2:6, 2:6] = 17, 10
    nib.save(nib.Nifti1Image(scan, np.diag([1, 1, 1, 1])), work / "scan.nii.gz")
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = 0.5
    nib.save(nib.Nifti1Image(labels, affine), work / "labels.nii.gz")
    git = ["git", "-C", str(work), "-c", "user.name=A", "-c", "user.email=a@b.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "A scan"]):
        subprocess.run([*git, *command], check=True)
    bare = tmp_path / "clones" / "somebody+scans"
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True)
    return bare.parent


def listed(clones: Path, **changes: object) -> Path:
    git = ["git", f"--git-dir={clones / 'somebody+scans'}", "rev-parse", "HEAD"]
    commit = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    volume = {"id": "one", "patient": "one", "label": "labels.nii.gz", "image": "scan.nii.gz", **changes}
    about = {"source": "somebody/scans", "licence": "CC0", "modality": "MR", "anatomy": "brain", "drop": [17]}
    where = {"folder": "brains", "repository": "somebody/scans", "commit": commit, "volumes": [volume]}
    path = clones / "list.json"
    path.write_text(json.dumps([about | where]))
    return path


def test_a_volume_is_collected_on_one_grid_without_what_is_dropped(clones: Path, tmp_path: Path) -> None:
    options = ["--sources", str(clones), "--list", str(listed(clones)), "--out", str(tmp_path / "out")]
    gather.main(options)
    (entry,) = read_index(tmp_path / "out" / "brains")
    assert (entry["source"], entry["licence"], entry["shape"]) == ("somebody/scans", "CC0", [24, 20, 16])
    (case,) = load_cases(tmp_path / "out" / "brains", 3)
    assert case.image.shape == case.labels.shape == (16, 20, 24)
    assert set(np.unique(case.labels)) == {0, 10}
    assert (case.labels > 0).sum() == 8 * 3 * 4 * 4
    before = (tmp_path / "out" / "brains" / entry["label"]).stat().st_mtime_ns
    gather.main(options)  # what is there is kept
    assert (tmp_path / "out" / "brains" / entry["label"]).stat().st_mtime_ns == before


def test_what_cannot_be_had_is_named_and_the_rest_goes_on(clones: Path, tmp_path: Path) -> None:
    path = listed(clones)
    (source,) = json.loads(path.read_text())
    source["volumes"].insert(0, {**source["volumes"][0], "id": "gone", "label": "nowhere.nii.gz"})
    path.write_text(json.dumps([source]))
    with pytest.raises(SystemExit, match=r"gone: .*nothing fits nowhere"):
        gather.main(["--sources", str(clones), "--list", str(path), "--out", str(tmp_path / "out")])
    assert [entry["id"] for entry in read_index(tmp_path / "out" / "brains")] == ["one"]


def test_the_hippocampus_is_dropped_from_every_brain() -> None:
    sources = json.loads(Path(gather.__file__).with_name("gather.json").read_text(encoding="utf-8"))
    brains = [source for source in sources if source["folder"] == "brains"]
    assert brains
    assert all(set(source["drop"]) in ({17, 53}, {48, 49}) for source in brains)


def test_of_masks_that_overlap_the_smaller_counts(tmp_path: Path) -> None:
    masks = np.zeros((3, 8, 8, 8), np.uint8)
    masks[0, 3:5, 3:5, 3:5] = masks[1, 1:7, 1:7, 1:7] = masks[2, :, :, 0] = 1  # a lens in an orbit, and a wall beside
    paths = [tmp_path / f"{k}.nrrd" for k in range(3)]
    for mask, path in zip(masks, paths, strict=True):
        image = sitk.GetImageFromArray(mask)
        image.SetSpacing((1.0, 1.0, 2.5))
        sitk.WriteImage(image, path)
    merged = gather._merge_masks(paths)
    assert merged.GetSpacing() == (1.0, 1.0, 2.5)
    assert np.bincount(sitk.GetArrayFromImage(merged).ravel()).tolist() == [512 - 216 - 64, 8, 208, 64]


@pytest.fixture
def outlined(tmp_path: Path) -> tuple[list[Path], dict[int, list[Path]]]:
    """Five slices, numbered from the top down; on all but one a wall was outlined, on all but another its inside."""
    slices, outlines = [], {1: [], 2: []}
    for k in range(5):
        image = sitk.GetImageFromArray(np.full((1, 32, 32), 10 * k, np.int16))
        image.SetSpacing((1.5, 1.5, 8.0))
        image.SetOrigin((0.0, 0.0, 100.0 - 8.0 * k))
        image.SetMetaData("0008|0060", "MR")
        slices.append(tmp_path / f"{k + 1}.dcm")
        sitk.WriteImage(image, slices[-1])
        for value, low, high, missing in ((1, 5, 21, 0), (2, 9, 17, 4)):
            if k != missing:
                path = tmp_path / f"IM-0001-{k + 1:04d}-{value}contour-manual.txt"
                corners = [(low, low + 3), (high, low + 3), (high, high + 3), (low, high + 3)]
                path.write_text("\n".join(f"{x + 0.5} {y + 0.5}" for x, y in corners))  # x, y; pixels from one
                outlines[value].append(path)
    return slices, outlines


def test_outlines_become_labels_on_the_slices_that_have_all(
    outlined: tuple[list[Path], dict[int, list[Path]]],
) -> None:
    image, labels = contoured_volume(*outlined)
    assert image.GetSize() == labels.GetSize() == (32, 32, 3)
    assert image.GetSpacing() == labels.GetSpacing() == (1.5, 1.5, 8.0)
    assert image.GetOrigin() == labels.GetOrigin() == (0.0, 0.0, 100.0 - 8.0 * 3)
    assert sitk.GetArrayFromImage(image)[:, 0, 0].tolist() == [30, 20, 10]  # from the lowest up
    for level in sitk.GetArrayFromImage(labels):
        assert np.bincount(level.ravel()).tolist() == [32**2 - 16**2, 16**2 - 8**2, 8**2]
        assert level[8:24, 5:21].all()
        assert (level[12:20, 9:17] == 2).all()


def test_outlines_on_single_slices_are_no_volume(outlined: tuple[list[Path], dict[int, list[Path]]]) -> None:
    slices, outlines = outlined
    with pytest.raises(FileNotFoundError, match="fewer than two slices"):
        contoured_volume(slices, outlines | {2: outlines[2][:1]})
