"""Every real file opens, and a mask saved for it lands on the same millimetres in every library."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from world_markers import (
    assert_same_world,
    marker_labels,
    marker_objects,
    world_by_itk,
    world_by_nibabel,
    world_of,
)

from napari_medsam.engine.io import (
    looks_like_labels,
    open_challenge,
    open_labels,
    open_segmentation,
    open_series,
    open_volume,
    save_objects,
)
from napari_medsam.engine.volume import Volume

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
SUFFIXES = (".nii.gz", ".nrrd", ".npz", ".png")
FILES = sorted(p.relative_to(DATA).as_posix() for p in DATA.rglob("*") if p.name.endswith(SUFFIXES))
# Hippocampus crops are 390 files of one scanner and one layout: each is opened, every 30th is saved too.
CROPS = [name for name in FILES if name.startswith("hippocampus/")]
OTHERS = [name for name in FILES if not name.startswith("hippocampus/")]
DICOM = ["dicom/ct_3slice", "dicom/oblique_flair", "dicom/hippocampus_mr"]
SAVED = OTHERS + CROPS[::30] + DICOM


def _is_label(name: str) -> bool:
    return any(part in name for part in ("labels", "_label", "masks/", "example_seg"))


@pytest.mark.parametrize("folder", ["imagesTr", "imagesVal", "labelsTr", "labelsVal"])
def test_every_crop_opens_as_what_it_is(shared_data: Path, folder: str) -> None:
    files = sorted((shared_data / "hippocampus" / folder).glob("*.nii.gz"))
    assert files
    wrong = [file.name for file in files if looks_like_labels(open_volume(file)) != folder.startswith("labels")]
    assert wrong == []


@pytest.mark.parametrize("name", OTHERS + DICOM)
def test_every_other_file_opens_as_what_it_is(shared_data: Path, name: str) -> None:
    for volume in open_series(shared_data / name):
        assert looks_like_labels(volume) == _is_label(name)


@pytest.fixture(scope="module", params=SAVED)
def volume(request: pytest.FixtureRequest, shared_data: Path) -> Volume:
    return open_series(shared_data / request.param)[-1]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd"])
def test_a_saved_mask_lands_on_the_same_voxels_everywhere(volume: Volume, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mask{suffix}"
    save_objects(path, volume, marker_objects(volume.shape))

    expected = world_of(volume, marker_labels(volume.shape))
    ours = open_volume(path)
    labels = open_labels(path)
    np.testing.assert_array_equal(labels, marker_labels(volume.shape))
    np.testing.assert_array_equal(open_labels(path, like=volume), labels)
    assert_same_world(world_of(ours, labels), expected)
    assert_same_world(world_by_itk(path), expected)
    if suffix.startswith(".nii"):
        assert_same_world(world_by_nibabel(path), expected)


@pytest.mark.parametrize("name", DICOM)
def test_a_dicom_segmentation_lands_on_the_same_voxels(shared_data: Path, tmp_path: Path, name: str) -> None:
    volume = open_volume(shared_data / name)
    path = tmp_path / "mask.dcm"
    objects = marker_objects(volume.shape)
    save_objects(path, volume, objects)
    np.testing.assert_array_equal(open_labels(path, like=volume), marker_labels(volume.shape))
    for read, written in zip(open_segmentation(path, like=volume), objects, strict=True):
        assert (read.name, read.value) == (written.name, written.value)
        # CIELab of 16 bits holds a colour to within rounding.
        assert np.abs(np.subtract(read.colour, written.colour)).max() <= 1


@pytest.mark.parametrize("name", [n for n in OTHERS if n.endswith(".png")])
def test_a_saved_picture_mask_keeps_its_pixels(shared_data: Path, tmp_path: Path, name: str) -> None:
    volume = open_volume(shared_data / name)
    save_objects(tmp_path / "mask.png", volume, marker_objects(volume.shape))
    np.testing.assert_array_equal(open_labels(tmp_path / "mask.png", volume), marker_labels(volume.shape))


@pytest.mark.parametrize("name", [n for n in SAVED if n.endswith((".nii.gz", ".nrrd"))])
def test_itk_and_we_put_the_image_at_the_same_place(shared_data: Path, name: str) -> None:
    volume = open_series(shared_data / name)[0]
    image = SimpleITK.ReadImage(str(shared_data / name))
    z, y, x = volume.shape
    for index in [(0, 0, 0), (z - 1, 0, 0), (0, y - 1, 0), (0, 0, x - 1), (z - 1, y - 1, x - 1)]:
        itk_index = [*index[::-1], *[0] * (image.GetDimension() - 3)]
        itk = image.TransformIndexToPhysicalPoint([int(i) for i in itk_index])[:3]
        assert np.abs(volume.to_world(index) - itk).max() < 1e-3


@pytest.mark.parametrize("name", DICOM)
def test_itk_and_we_read_the_same_dicom_voxels(shared_data: Path, name: str) -> None:
    volume = open_volume(shared_data / name)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(shared_data / name)))
    image = reader.Execute()
    np.testing.assert_array_equal(volume.data, SimpleITK.GetArrayViewFromImage(image))
    z, y, x = volume.shape
    for index in [(0, 0, 0), (z - 1, y - 1, x - 1)]:
        itk = image.TransformIndexToPhysicalPoint([int(i) for i in index[::-1]])
        assert np.abs(volume.to_world(index) - itk).max() < 1e-2


def test_the_spinal_cord_is_read_in_its_own_axes(shared_data: Path) -> None:
    volume = open_volume(shared_data / "spinal_cord" / "t2.nii.gz")
    # P, S, R along i, j, k: i grows to the back (+y), j upwards (+z), k to the right (-x).
    directions = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    np.testing.assert_allclose(directions[:, 2] @ [0, 1, 0], 1, atol=0.05)
    np.testing.assert_allclose(directions[:, 1] @ [0, 0, 1], 1, atol=0.05)
    np.testing.assert_allclose(directions[:, 0] @ [-1, 0, 0], 1, atol=0.05)


def test_the_liver_segmentation_of_another_program_is_read(shared_data: Path) -> None:
    volume = open_volume(shared_data / "dicom" / "ct_3slice")
    (liver,) = open_segmentation(shared_data / "dicom" / "liver_seg.dcm", like=volume)
    assert (liver.name, liver.colour, liver.value) == ("Liver", (221, 130, 101), 1)
    inside = volume.data[liver.region.full(volume.shape)]
    # Contrast-enhanced or not, liver tissue lies between water and bone.
    assert 40 < np.median(inside) < 200
    assert liver.region.count == 107098


def test_every_listed_label_fits_its_image(shared_data: Path) -> None:
    for case in json.loads((shared_data / "cases.json").read_text()):
        image = shared_data / case["image"]
        volume = open_volume(image)
        labels = open_labels(shared_data / (case.get("label") or case["image"]), like=volume)
        present = set(np.unique(labels).tolist())
        assert all(present & set(values) for values in case["values"]), case["id"]


def test_challenge_cases_have_thick_slices(shared_data: Path) -> None:
    for path in sorted((shared_data / "ct_lesions").glob("*.npz")):
        case = open_challenge(path)
        assert case.volume.spacing[0] == 5.0
        assert case.labels is not None
        assert case.labels.any()
        assert case.boxes is None


def test_four_dimensional_frames_are_opened_one_by_one(shared_data: Path) -> None:
    path = shared_data / "geometry" / "pcasl.nii.gz"
    series = open_series(path)
    assert [volume.frame for volume in series] == list(range(10))
    assert all(volume.data.base is series[0].data.base for volume in series)
    one = open_volume(path, frame=7)
    np.testing.assert_array_equal(one.data, series[7].data)
