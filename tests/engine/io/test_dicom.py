"""DICOM series: put in order, scaled, told apart, and refused where they are no grid."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_maker import oblique_affine, write_series
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from world_markers import marker_labels, marker_objects

from napari_medsam.engine.errors import ImageError, SaveError
from napari_medsam.engine.io import open_labels, open_segmentation, open_series, open_volume, save_objects

SHAPE = (6, 9, 11)


@pytest.fixture
def voxels() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


def test_slices_are_sorted_by_place_and_rescaled(tmp_path: Path, voxels: np.ndarray) -> None:
    write_series(tmp_path, voxels, oblique_affine())
    volume = open_volume(tmp_path)
    np.testing.assert_array_equal(volume.data, voxels.astype(int) - 1024)
    assert volume.data.dtype == np.int16
    assert volume.modality == "CT"
    np.testing.assert_allclose(volume.affine, oblique_affine(), atol=1e-6)


def test_one_file_stands_for_its_series(tmp_path: Path, voxels: np.ndarray) -> None:
    first = write_series(tmp_path, voxels, oblique_affine(), prefix="a")
    second = write_series(tmp_path, voxels + 500, oblique_affine(), prefix="b")
    np.testing.assert_array_equal(open_volume(first[2]).data, voxels.astype(int) - 1024)
    np.testing.assert_array_equal(open_volume(second[0]).data, voxels.astype(int) - 524)


def test_a_folder_with_two_series_names_both(tmp_path: Path, voxels: np.ndarray) -> None:
    def rename(image: Dataset, z: int) -> None:
        image.SeriesDescription = "Thorax"

    write_series(tmp_path / "one", voxels, oblique_affine())
    write_series(tmp_path / "two", voxels[:4], oblique_affine(), rename)
    with pytest.raises(ImageError, match=r"2 series.*'Abdomen' \(CT, 6 images\).*'Thorax' \(CT, 4 images\)"):
        open_volume(tmp_path)


def test_a_missing_slice_is_named(tmp_path: Path, voxels: np.ndarray) -> None:
    paths = write_series(tmp_path, voxels, oblique_affine())
    paths[2].unlink()
    with pytest.raises(ImageError, match=r"1 slice is missing between im005.dcm and im003.dcm \(5.0 mm instead of 2.5"):
        open_volume(tmp_path)


def test_uneven_slices_are_refused(tmp_path: Path, voxels: np.ndarray) -> None:
    affine = oblique_affine()

    def shift(image: Dataset, z: int) -> None:
        if z == 3:
            image.ImagePositionPatient = [f"{v:.8f}" for v in affine[:3, 3] + 3.4 * affine[:3, 0]]

    write_series(tmp_path, voxels, affine, shift)
    with pytest.raises(ImageError, match=r"not evenly spaced: from 1\.50 to 3\.50 mm"):
        open_volume(tmp_path)


def test_slices_that_leave_the_line_are_refused(tmp_path: Path, voxels: np.ndarray) -> None:
    affine = oblique_affine()

    def shift(image: Dataset, z: int) -> None:
        if z == 3:
            image.ImagePositionPatient = [f"{v:.8f}" for v in affine[:3, 3] + affine[:3, :3] @ (3, 0, 4)]

    write_series(tmp_path, voxels, affine, shift)
    with pytest.raises(ImageError, match=r"do not lie on one line: im003.dcm is 2\.80 mm off"):
        open_volume(tmp_path)


def test_mixed_orientations_are_named(tmp_path: Path, voxels: np.ndarray) -> None:
    def turn(image: Dataset, z: int) -> None:
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0] if z else [1, 0, 0, 0, 0, -1]

    write_series(tmp_path, voxels, oblique_affine(), turn)
    with pytest.raises(ImageError, match=r"mixes 2 orientations: axial \(5 images.*coronal \(1 images"):
        open_volume(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda im: setattr(im, "PixelSpacing", [2, 2]), r"mixes pixel spacings: 0\.7 x 0\.8 mm"),
        (lambda im: delattr(im, "ImagePositionPatient"), "without a position, for example im006.dcm"),
        (lambda im: setattr(im, "ImageOrientationPatient", [1, 0, 0, 1, 0, 0]), "not two perpendicular directions"),
        (lambda im: setattr(im, "ImagePositionPatient", [1, 2]), "header of im006.dcm is damaged"),
    ],
)
def test_what_is_no_grid_is_refused(tmp_path: Path, voxels: np.ndarray, change: Any, sentence: str) -> None:
    def first(image: Dataset, z: int) -> None:
        if z == 0:
            change(image)

    write_series(tmp_path, voxels, oblique_affine(), first)
    with pytest.raises(ImageError, match=sentence):
        open_volume(tmp_path)


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    large = np.zeros((3, 64, 64), dtype=np.int16)
    paths = write_series(tmp_path, large, oblique_affine())
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: len(whole) // 4])
    with pytest.raises(ImageError, match=r"im002\.dcm declares 8\.2 kB of voxels but holds only"):
        open_volume(tmp_path)
    paths[1].write_bytes(whole[:-100])
    with pytest.raises(ImageError, match=r"pixels of im002\.dcm are damaged, cut short"):
        open_volume(tmp_path)


def test_a_tilted_gantry_stays_tilted(tmp_path: Path, voxels: np.ndarray) -> None:
    affine = np.diag([2.5, 0.7, 0.7, 1.0])[[2, 1, 0, 3]]
    affine[1, 0] = 0.9  # each slice 0.9 mm further to the back
    folder = tmp_path / "tilted"
    write_series(folder, voxels, affine)
    volume = open_volume(folder)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-6)

    objects = marker_objects(volume.shape)
    for name in ("m.nii.gz", "m.nrrd", "m.mha", "m.seg.nrrd", "m.dcm"):
        save_objects(tmp_path / name, volume, objects)
        np.testing.assert_array_equal(open_labels(tmp_path / name, like=volume), marker_labels(volume.shape))
        if name != "m.dcm":
            np.testing.assert_allclose(open_volume(tmp_path / name).affine, affine, atol=1e-6)


@pytest.mark.parametrize("key", ["TemporalPositionIdentifier", "TriggerTime", "AcquisitionNumber", "EchoTime", None])
def test_several_volumes_at_one_place_are_told_apart(tmp_path: Path, voxels: np.ndarray, key: str | None) -> None:
    for t in range(3):

        def stamp(image: Dataset, z: int, t: int = t) -> None:
            image.InstanceNumber = z * 3 + t + 1 if key is None else z + 1
            if key is not None:
                setattr(image, key, 10 * (t + 1))

        write_series(tmp_path, voxels + 1000 * t, oblique_affine(), stamp, "1.2.3", prefix=f"t{2 - t}_")
    series = open_series(tmp_path)
    assert len(series) == 3
    for t, volume in enumerate(series):
        np.testing.assert_array_equal(volume.data, voxels.astype(int) + 1000 * t - 1024)
    np.testing.assert_array_equal(open_volume(tmp_path, frame=1).data, series[1].data)
    with pytest.raises(ImageError, match="series of 3 volumes"):
        open_volume(tmp_path)


def test_volumes_that_nothing_tells_apart_are_refused(tmp_path: Path, voxels: np.ndarray) -> None:
    for t in range(2):
        write_series(tmp_path, voxels + t, oblique_affine(), series="1.2.3", prefix=f"t{t}_")
    with pytest.raises(ImageError, match="nothing in them tells the volumes apart"):
        open_volume(tmp_path)


def test_copies_of_one_image_count_once(tmp_path: Path, voxels: np.ndarray) -> None:
    paths = write_series(tmp_path, voxels, oblique_affine())
    shutil.copy(paths[0], tmp_path / "copy.dcm")
    assert open_volume(tmp_path).shape == SHAPE


def test_a_slope_of_its_own_for_each_slice(tmp_path: Path, voxels: np.ndarray) -> None:
    def scale(image: Dataset, z: int) -> None:
        image.Modality, image.RescaleSlope, image.RescaleIntercept = "PT", 0.5 + z, 0

    write_series(tmp_path, voxels, oblique_affine(), scale)
    volume = open_volume(tmp_path)
    assert volume.data.dtype == np.float32
    np.testing.assert_allclose(volume.data, voxels * (0.5 + np.arange(6))[:, None, None], rtol=1e-6)


@pytest.mark.parametrize("codec", ["JPEG2000", "JPEG"])
def test_compressed_images_are_decoded(tmp_path: Path, codec: str) -> None:
    picture = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor(codec)
    writer.SetFileName(str(tmp_path / "one.dcm"))
    writer.Execute(SimpleITK.GetImageFromArray(picture[None]))
    header = pydicom.dcmread(tmp_path / "one.dcm", stop_before_pixels=True)
    assert header.file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(open_volume(tmp_path / "one.dcm").data[0], picture)


def test_a_codec_that_is_not_here_is_named(tmp_path: Path, voxels: np.ndarray) -> None:
    (path, *_) = write_series(tmp_path, voxels[:1], oblique_affine())
    image = pydicom.dcmread(path)
    image.file_meta.TransferSyntaxUID = pydicom.uid.UID("1.2.840.10008.1.2.4.102")
    image.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
    image.save_as(path, enforce_file_format=True)
    with pytest.raises(ImageError, match=r"im001.dcm is compressed as MPEG-4.*cannot be decoded here"):
        open_volume(path)


def test_an_enhanced_image_is_one_volume(tmp_path: Path, voxels: np.ndarray) -> None:
    path = _write_enhanced(tmp_path, voxels, oblique_affine())
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.data, voxels.astype(int) - 1024)
    np.testing.assert_allclose(volume.affine, oblique_affine(), atol=1e-6)


def test_pictures_without_a_place_are_frames(tmp_path: Path, voxels: np.ndarray) -> None:
    def forget(image: Dataset, z: int) -> None:
        del image.ImagePositionPatient, image.ImageOrientationPatient

    write_series(tmp_path, voxels, oblique_affine(), forget)
    series = open_series(tmp_path)
    assert len(series) == 6
    assert series[0].shape == (1, 9, 11)
    np.testing.assert_allclose(series[0].spacing, (2.5, 0.8, 0.7))


def test_a_colour_picture_keeps_its_colours(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (8, 10, 3), dtype=np.uint8)

    def colour(image: Dataset, z: int) -> None:
        image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
        image.PixelData = rgb.tobytes()
        del image.RescaleSlope, image.RescaleIntercept

    (path,) = write_series(tmp_path, rgb[None, ..., 0], oblique_affine(), colour)
    np.testing.assert_array_equal(open_volume(path).data[0], rgb)


def test_a_segmentation_keeps_overlaps_names_and_frames(tmp_path: Path, voxels: np.ndarray) -> None:
    for t in range(2):

        def stamp(image: Dataset, z: int, t: int = t) -> None:
            image.TemporalPositionIdentifier = t + 1

        write_series(tmp_path / "ct", voxels, oblique_affine(), stamp, "1.2.3", prefix=f"t{t}_")
    volume = open_volume(tmp_path / "ct", frame=1)
    corner, arms = marker_objects(volume.shape)
    both = type(arms)("Bauch\u00e4hnlich", (1, 2, 3), type(arms.region).of(marker_labels(volume.shape) > 0), 3)
    save_objects(tmp_path / "s.dcm", volume, [corner, arms, both])
    read = open_segmentation(tmp_path / "s.dcm", like=volume)
    assert [item.name for item in read] == ["corner", "arms", "Bauch\u00e4hnlich"]
    for item, written in zip(read, (corner, arms, both), strict=True):
        np.testing.assert_array_equal(item.region.full(SHAPE), written.region.full(SHAPE))
    references = {
        item.ReferencedSOPInstanceUID
        for item in pydicom.dcmread(tmp_path / "s.dcm").ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert references == {str(pydicom.dcmread(p).SOPInstanceUID) for p in (tmp_path / "ct").glob("t1_*")}
    with pytest.raises(ImageError, match="holds objects that overlap"):
        open_labels(tmp_path / "s.dcm", like=volume)


def test_an_enhanced_image_can_be_segmented(tmp_path: Path, voxels: np.ndarray) -> None:
    volume = open_volume(_write_enhanced(tmp_path / "mr", voxels, oblique_affine()))
    save_objects(tmp_path / "s.dcm", volume, marker_objects(volume.shape))
    np.testing.assert_array_equal(open_labels(tmp_path / "s.dcm", like=volume), marker_labels(volume.shape))


def test_a_segmentation_needs_its_images(tmp_path: Path, voxels: np.ndarray) -> None:
    paths = write_series(tmp_path / "ct", voxels, oblique_affine())
    volume = open_volume(tmp_path / "ct")
    objects = marker_objects(volume.shape)
    with pytest.raises(SaveError, match="names of 1 to 64 characters"):
        save_objects(tmp_path / "s.dcm", volume, [type(objects[0])("n" * 65, (0, 0, 0), objects[0].region, 1)])
    with pytest.raises(SaveError, match="cannot be empty"):
        save_objects(tmp_path / "s.dcm", volume, [])
    paths[0].unlink()
    with pytest.raises(SaveError, match="have changed since they were opened"):
        save_objects(tmp_path / "s.dcm", volume, objects)
    shutil.rmtree(tmp_path / "ct")
    with pytest.raises(SaveError, match="cannot be read any more"):
        save_objects(tmp_path / "s.dcm", volume, objects)
    assert list(tmp_path.iterdir()) == []


def _write_enhanced(folder: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    """One multi-frame file with the last slice as its first frame."""
    (path,) = write_series(folder, voxels[:1], affine)
    image = pydicom.dcmread(path)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedCTImageStorage
    image.NumberOfFrames = len(voxels)
    image.PixelData = voxels[::-1].astype("<i2").tobytes()
    shared, frames = Dataset(), []
    orientation, measures, scale = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = image.ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = image.PixelSpacing, image.SliceThickness
    scale.RescaleSlope, scale.RescaleIntercept, scale.RescaleType = 1, -1024, "HU"
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PixelValueTransformationSequence = Sequence([scale])
    for z in reversed(range(len(voxels))):
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [f"{v:.8f}" for v in affine[:3, 3] + z * affine[:3, 0]]
        group.PlanePositionSequence = Sequence([position])
        frames.append(group)
    del image.ImagePositionPatient, image.ImageOrientationPatient, image.PixelSpacing, image.RescaleIntercept
    image.SharedFunctionalGroupsSequence = Sequence([shared])
    image.PerFrameFunctionalGroupsSequence = Sequence(frames)
    image.save_as(path, enforce_file_format=True)
    return path
