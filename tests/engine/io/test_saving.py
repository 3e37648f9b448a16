"""Saving: whole or not at all, on exact geometry, and only what a format can hold."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from dicom_maker import oblique_affine
from hypothesis import given, settings
from hypothesis import strategies as st
from world_markers import (
    assert_same_world,
    marker_labels,
    marker_objects,
    world_by_itk,
    world_by_nibabel,
    world_of,
)

from napari_medsam.engine.errors import SaveError
from napari_medsam.engine.io import (
    SavedObject,
    open_labels,
    open_segmentation,
    open_volume,
    save_objects,
    write_aside,
)
from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import Volume

SHAPE = (6, 9, 11)
posix = pytest.mark.skipif(os.name != "posix", reason="limits, rights and links of POSIX systems")
SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha", ".seg.nrrd")
ROTATION = oblique_affine((1, 1, 1))[:3, :3]


def _affine(axes: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = (-123.456789, 87.654321, -1034.5)
    return affine


AFFINES = {
    "plain": _affine(np.diag([1.0, 1, 1])[::-1]),
    "anisotropic": _affine(np.diag([0.7, 0.8, 5.0])[:, ::-1]),
    "flipped": _affine(np.diag([-0.7, 0.8, 5.0])[:, ::-1]),
    "flipped twice": _affine(np.diag([-0.7, -0.8, 5.0])[:, ::-1]),
    "permuted": _affine(np.array([[0, 0.9, 0], [0, 0, -1.1], [3.0, 0, 0]])),
    "oblique": _affine(ROTATION * (2.5, 0.8, 0.7)),
    "oblique, left-handed": _affine(ROTATION * (2.5, -0.8, 0.7)),
    "half turn": _affine((ROTATION @ np.diag([-1.0, -1, 1])) * (2.5, 0.8, 0.7)),
    "fine": _affine(ROTATION * (0.05, 0.03, 0.03)),
}
SHEARED = _affine(np.array([[0, 0, 0.7], [0.9, 0.7, 0], [2.5, 0, 0]]))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", AFFINES)
def test_masks_land_on_the_same_voxels_in_every_library(tmp_path: Path, name: str, suffix: str) -> None:
    volume = Volume(np.zeros(SHAPE, np.int16), AFFINES[name])
    path = tmp_path / f"m{suffix}"
    save_objects(path, volume, marker_objects(SHAPE))
    expected = world_of(volume, marker_labels(SHAPE))
    np.testing.assert_array_equal(open_labels(path, like=volume), marker_labels(SHAPE))
    assert_same_world(world_of(open_volume(path), open_labels(path)), expected)
    assert_same_world(world_by_itk(path), expected)
    if suffix.startswith(".nii"):
        assert_same_world(world_by_nibabel(path), expected)


@settings(max_examples=60, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-np.pi, np.pi)] * 3),
    spacing=st.tuples(*[st.floats(0.05, 8)] * 3),
    origin=st.tuples(*[st.floats(-2000, 2000)] * 3),
)
def test_any_rotation_is_exact_in_nifti(
    angles: tuple[float, ...], spacing: tuple[float, ...], origin: tuple[float, ...]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = nib.eulerangles.euler2mat(*angles) * spacing
    affine[:3, 3] = origin
    volume = Volume(np.zeros(SHAPE, np.int16), affine)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.nii"
        save_objects(path, volume, marker_objects(SHAPE))
        expected = world_of(volume, marker_labels(SHAPE))
        # A float32 holds a coordinate of two metres to within 1.2e-4 mm.
        for found in (world_by_nibabel(path), world_by_itk(path)):
            assert np.abs(np.sort(found, axis=0) - np.sort(expected, axis=0)).max() < 3e-4


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_sheared_grid_is_kept(tmp_path: Path, suffix: str) -> None:
    volume = Volume(np.zeros(SHAPE, np.int16), SHEARED)
    path = tmp_path / f"m{suffix}"
    save_objects(path, volume, marker_objects(SHAPE))
    expected = world_of(volume, marker_labels(SHAPE))
    assert_same_world(world_of(open_volume(path), open_labels(path)), expected)
    if suffix.startswith(".nii"):
        assert_same_world(world_by_nibabel(path), expected)
        # No rotation says the same, so the quaternion claims nothing.
        assert nib.load(path).header["qform_code"] == 0
        assert nib.load(path).header["sform_code"] == 1
    else:
        assert_same_world(world_by_itk(path), expected)


def test_nifti_sets_both_forms_where_both_are_exact(tmp_path: Path) -> None:
    volume = Volume(np.zeros(SHAPE, np.int16), AFFINES["oblique"])
    save_objects(tmp_path / "m.nii", volume, marker_objects(SHAPE))
    header = nib.load(tmp_path / "m.nii").header
    assert (header["qform_code"], header["sform_code"]) == (1, 1)
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-4)


def test_many_labels_need_16_bits(tmp_path: Path) -> None:
    volume = Volume(np.zeros(SHAPE, np.int16))
    objects = [SavedObject("a", (1, 2, 3), Region((1, 2, 3), np.ones((1, 1, 1), bool)), 40000)]
    for suffix in SUFFIXES:
        path = tmp_path / f"m{suffix}"
        save_objects(path, volume, objects)
        labels = open_labels(path)
        assert labels.dtype == np.uint16
        assert labels[1, 2, 3] == 40000
        assert np.count_nonzero(labels) == 1


@pytest.mark.parametrize("value", [1, 255, 256, 65535])
def test_a_picture_mask_holds_the_values(tmp_path: Path, value: int) -> None:
    volume = Volume(np.zeros((1, 30, 20), np.uint8))
    save_objects(
        tmp_path / "m.png", volume, [SavedObject("a", (1, 2, 3), Region((0, 4, 5), np.ones((1, 2, 3), bool)), value)]
    )
    labels = open_labels(tmp_path / "m.png", like=volume)
    assert set(np.unique(labels)) == {0, value}
    np.testing.assert_array_equal(np.argwhere(labels == value)[0], (0, 4, 5))
    assert SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "m.png"))).max() == value


def _object(name: str, lower: tuple[int, int, int], value: int = 1) -> SavedObject:
    return SavedObject(name, (1, 2, 3), Region(lower, np.ones((2, 2, 2), bool)), value)


@pytest.mark.parametrize(
    ("name", "objects", "sentence"),
    [
        (
            "m.nii",
            [_object("a", (0, 0, 0)), _object("b", (1, 1, 1), 2)],
            "'b' shares 1 voxels with 'a'",
        ),
        (
            "m.nii",
            [_object("a", (0, 0, 0)), _object("b", (4, 4, 4))],
            "'a' and 'b' have the same label",
        ),
        ("m.nii", [_object("a", (0, 0, 0), 0)], "'a' has the label value 0"),
        ("m.nii", [_object("a", (0, 0, 0), 65536)], "has the label value 65536"),
        ("m.nii", [_object("a", (5, 5, 5))], "'a' reaches outside the image"),
        ("m.png", [_object("a", (0, 0, 0))], "A PNG holds one slice and this image has 6"),
        ("m.jpg", [_object("a", (0, 0, 0))], "has no ending of a format to save in"),
        ("m.dcm", [_object("a", (0, 0, 0))], "this image was not opened from any"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    tmp_path: Path, name: str, objects: list[SavedObject], sentence: str
) -> None:
    (tmp_path / name).write_text("old")
    with pytest.raises(SaveError, match=sentence):
        save_objects(tmp_path / name, Volume(np.zeros(SHAPE, np.int16)), objects)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "old"


def test_a_nifti_too_long_is_refused(tmp_path: Path) -> None:
    volume = Volume(np.zeros((1, 1, 40000), np.uint8))
    objects = [SavedObject("a", (1, 2, 3), Region((0, 0, 39999), np.ones((1, 1, 1), bool)), 1)]
    with pytest.raises(SaveError, match="NIfTI holds 32767 voxels along an axis"):
        save_objects(tmp_path / "m.nii", volume, objects)
    assert list(tmp_path.iterdir()) == []
    save_objects(tmp_path / "m.nrrd", volume, objects)
    assert open_labels(tmp_path / "m.nrrd")[0, 0, 39999] == 1


@contextmanager
def _disk_of(size: int) -> Iterator[None]:
    """A file larger than ``size`` bytes cannot be written, as on a full disk."""
    import resource

    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@posix
@pytest.mark.parametrize("suffix", [*SUFFIXES, ".png"])
def test_a_full_disk_costs_nothing(tmp_path: Path, suffix: str) -> None:
    volume = Volume(np.zeros((1, 200, 300), np.int16))
    noise = np.random.default_rng(0).random(volume.shape) > 0.5
    path = tmp_path / f"m{suffix}"
    path.write_text("old")
    with _disk_of(512), pytest.raises(SaveError, match=r"could not be written .*nothing there was changed"):
        save_objects(path, volume, [SavedObject("a", (1, 2, 3), Region.of(noise), 1)])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "old"


@contextmanager
def _ordinary_user() -> Iterator[None]:
    """The superuser may write anywhere, so a test of rights runs as nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@posix
def test_a_read_only_folder_costs_nothing() -> None:
    # Not tmp_path, whose parents nobody may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "m.nii").write_text("old")
        folder.chmod(0o555)
        try:
            with _ordinary_user(), pytest.raises(SaveError, match=r"permission denied.*nothing there was changed"):
                save_objects(folder / "m.nii", Volume(np.zeros(SHAPE, np.int16)), marker_objects(SHAPE))
        finally:
            folder.chmod(0o755)
        assert [p.name for p in folder.iterdir()] == ["m.nii"]
        assert (folder / "m.nii").read_text() == "old"


def test_a_missing_folder_and_a_folder_in_the_way(tmp_path: Path) -> None:
    volume = Volume(np.zeros(SHAPE, np.int16))
    with pytest.raises(SaveError, match="no such file or directory"):
        save_objects(tmp_path / "nowhere" / "m.nii", volume, marker_objects(SHAPE))
    (tmp_path / "m.nii").mkdir()
    with pytest.raises(SaveError, match="a folder has this name"):
        save_objects(tmp_path / "m.nii", volume, marker_objects(SHAPE))


def _write_half_and_fail(path: Path) -> None:
    path.write_text("half")
    raise ZeroDivisionError


def test_writing_aside_replaces_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.tar.gz"
    path.write_text("old")
    path.chmod(0o640)
    with pytest.raises(ZeroDivisionError), write_aside(path) as aside:
        _write_half_and_fail(aside)
    assert path.read_text() == "old"
    with write_aside(path) as aside:
        assert aside.parent == path.parent
        assert aside.name.endswith(".tar.gz")
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.name != "posix" or stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


@posix
def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with write_aside(tmp_path / "link.txt") as aside:
        aside.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_objects_of_a_plain_label_map_are_named_by_value(tmp_path: Path) -> None:
    volume = Volume(np.zeros(SHAPE, np.int16))
    save_objects(tmp_path / "m.mha", volume, marker_objects(SHAPE))
    read = open_segmentation(tmp_path / "m.mha", like=volume)
    assert [(item.name, item.value) for item in read] == [("Label 1", 1), ("Label 2", 2)]
    assert len({item.colour for item in read}) == 2
    for item, written in zip(read, marker_objects(SHAPE), strict=True):
        np.testing.assert_array_equal(item.region.full(SHAPE), written.region.full(SHAPE))
