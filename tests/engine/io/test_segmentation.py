"""Named segments: 3D Slicer's files, and masks brought onto the grid of an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from dicom_maker import oblique_affine
from world_markers import marker_labels, marker_objects

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io import SavedObject, looks_like_labels, open_labels, open_segmentation, save_objects
from napari_medsam.engine.io.itk_writing import write_nrrd
from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import Volume

SHAPE = (6, 9, 11)


@pytest.fixture
def volume() -> Volume:
    return Volume(np.zeros(SHAPE, np.int16), oblique_affine())


def _object(name: str, lower: tuple[int, int, int], value: int) -> SavedObject:
    return SavedObject(name, (value % 256, 100, 255), Region(lower, np.ones((2, 3, 4), bool)), value)


def test_overlaps_names_and_colours_survive(tmp_path: Path, volume: Volume) -> None:
    objects = [
        _object("Leber\\rechts := \u201egro\u00df\u201c\nzweite Zeile", (0, 0, 0), 3),
        _object("tumour", (1, 1, 1), 9),
        _object("far", (4, 6, 7), 300),
        SavedObject("empty", (0, 0, 0), Region.empty(), 4),
    ]
    save_objects(tmp_path / "s.seg.nrrd", volume, objects)
    read = open_segmentation(tmp_path / "s.seg.nrrd", like=volume)
    assert len(read) == 4
    for item, written in zip(read, objects, strict=True):
        assert (item.name, item.colour, item.value) == (written.name, written.colour, written.value)
        np.testing.assert_array_equal(item.region.full(SHAPE), written.region.full(SHAPE))
    with pytest.raises(ImageError, match="holds objects that overlap"):
        open_labels(tmp_path / "s.seg.nrrd")


def test_the_layout_is_that_of_slicer(tmp_path: Path, volume: Volume) -> None:
    save_objects(tmp_path / "s.seg.nrrd", volume, [_object("a", (0, 1, 2), 1), _object("b", (1, 1, 2), 2)])
    image = SimpleITK.ReadImage(str(tmp_path / "s.seg.nrrd"))
    fields = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.startswith("Segment")}
    assert image.GetNumberOfComponentsPerPixel() == 2
    assert image.GetMetaData("NRRD_kinds[pixel]") == "list"
    assert image.GetMetaData("NRRD_space") == "left-posterior-superior"
    assert fields["Segment0_Extent"] == "2 5 1 3 0 1"
    assert fields["Segment1_Layer"] == "1"
    assert fields["Segment1_LabelValue"] == "2"
    assert fields["Segment1_ID"] == "Segment_2"
    assert fields["Segment0_Color"] == "0.003922 0.392157 1.000000"
    assert fields["Segmentation_MasterRepresentation"] == "Binary labelmap"


def test_segments_apart_share_a_layer(tmp_path: Path, volume: Volume) -> None:
    save_objects(tmp_path / "s.seg.nrrd", volume, marker_objects(SHAPE))
    assert SimpleITK.ReadImage(str(tmp_path / "s.seg.nrrd")).GetNumberOfComponentsPerPixel() == 1
    np.testing.assert_array_equal(open_labels(tmp_path / "s.seg.nrrd"), marker_labels(SHAPE))


def test_files_of_older_slicer_are_read(tmp_path: Path, volume: Volume) -> None:
    layers = np.zeros((*SHAPE, 2), np.uint8)
    layers[1, 2, 3, 0] = layers[1, 2, 4, 1] = 1
    write_nrrd(tmp_path / "s.seg.nrrd", layers, volume.affine, {"Segment0_ID": "A", "Segment1_ID": "B"})
    one, other = open_segmentation(tmp_path / "s.seg.nrrd")
    assert (one.region.lower, other.region.lower) == ((1, 2, 3), (1, 2, 4))
    assert (one.value, other.value) == (1, 2)
    assert one.colour != other.colour


def test_a_damaged_segment_is_refused(tmp_path: Path, volume: Volume) -> None:
    pairs = {"Segment0_ID": "A", "Segment0_Layer": "7"}
    write_nrrd(tmp_path / "s.seg.nrrd", np.zeros(SHAPE, np.uint8), volume.affine, pairs)
    with pytest.raises(ImageError, match="description of segment 1"):
        open_segmentation(tmp_path / "s.seg.nrrd")


@pytest.mark.parametrize("turn", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (1, -1, 1)])
@pytest.mark.parametrize("cropped", [False, True])
def test_a_reordered_or_cropped_mask_comes_back(
    tmp_path: Path, volume: Volume, turn: tuple[int, ...], signs: tuple[int, ...], cropped: bool
) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:5, 3:7, 4] = 1
    labels[2, 3, 4:9] = 2
    box = (slice(1, 6), slice(2, 8), slice(4, 10)) if cropped else (slice(0, None),) * 3
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_world([s.start for s in box])
    part = labels[box].transpose(turn)
    affine = affine[:, [*turn, 3]]
    for axis, sign in enumerate(signs):
        if sign < 0:
            part = np.flip(part, axis)
            affine[:3, 3] += affine[:3, axis] * (part.shape[axis] - 1)
            affine[:3, axis] *= -1
    write_nrrd(tmp_path / "a.nrrd", part, affine)
    np.testing.assert_array_equal(open_labels(tmp_path / "a.nrrd", like=volume), labels)
    pairs = {"Segment0_ID": "A", "Segment0_LabelValue": "1", "Segment1_ID": "B", "Segment1_LabelValue": "2"}
    write_nrrd(tmp_path / "a.seg.nrrd", part, affine, pairs)
    for item in open_segmentation(tmp_path / "a.seg.nrrd", like=volume):
        np.testing.assert_array_equal(item.region.full(SHAPE), labels == item.value)


@pytest.mark.parametrize("shift", [(0.4, 0, 0), (0, 0, 0.7)])
def test_another_geometry_is_refused(tmp_path: Path, volume: Volume, shift: tuple[float, ...]) -> None:
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ shift
    save_objects(tmp_path / "a.nrrd", Volume(volume.data, affine), marker_objects(SHAPE))
    with pytest.raises(ImageError, match=r"a\.nrrd has another geometry than the image"):
        open_labels(tmp_path / "a.nrrd", like=volume)
    save_objects(tmp_path / "a.nrrd", Volume(volume.data, oblique_affine((2.5, 0.8, 0.9))), marker_objects(SHAPE))
    with pytest.raises(ImageError, match="another geometry"):
        open_labels(tmp_path / "a.nrrd", like=volume)


def test_labels_outside_the_image_are_refused(tmp_path: Path, volume: Volume) -> None:
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ (0, 3, 0)
    save_objects(tmp_path / "a.nrrd", Volume(volume.data, affine), marker_objects(SHAPE))
    with pytest.raises(ImageError, match="labels outside the image"):
        open_labels(tmp_path / "a.nrrd", like=volume)


def test_images_and_label_maps_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 20, (20, 64, 64)).astype(np.int16)
    z, y, x = np.mgrid[:20, :64, :64]
    ball = ((z - 10) * 3) ** 2 + (y - 30) ** 2 + (x - 30) ** 2 < 400
    assert not looks_like_labels(Volume(noise))
    assert not looks_like_labels(Volume(noise + 400 * ball))
    assert not looks_like_labels(Volume((noise.clip(0) * ball).astype(np.uint8)))
    assert not looks_like_labels(Volume(rng.random((4, 30, 30)).astype(np.float32)))
    assert not looks_like_labels(Volume(np.zeros((4, 30, 30), np.uint8)))
    assert not looks_like_labels(Volume(np.zeros((4, 30, 30, 3), np.uint8)))
    assert not looks_like_labels(Volume(np.arange(7, dtype=np.uint8).reshape(7, 1, 1)))
    assert looks_like_labels(Volume(ball.astype(np.uint8)))
    assert looks_like_labels(Volume((ball * (1 + (x > 30))).astype(np.float32)))
    assert looks_like_labels(Volume(ball * np.int16(255)))
    one_slice = np.zeros((300, 64, 64), np.uint8)
    one_slice[123] = ball[10]
    assert looks_like_labels(Volume(one_slice))
