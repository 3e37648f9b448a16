"""Layers from files and files from layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari.layers
import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest

import napari_medsam
from napari_medsam.engine.errors import ImageError, SaveError
from napari_medsam.engine.io import SavedObject, open_labels, open_segmentation, open_volume, save_objects
from napari_medsam.engine.region import Region
from napari_medsam.engine.samples import Sample
from napari_medsam.engine.volume import Volume, affine_from_spacing
from napari_medsam.widgets.layer_data import contrast_limits, image_layer, labels_layer, placement
from napari_medsam.widgets.layer_volume import METADATA_KEY, volume_maker
from napari_medsam.widgets.reader import get_reader
from napari_medsam.widgets.sample_data import mni152
from napari_medsam.widgets.writer import write_labels

MANIFEST = Path(napari_medsam.__file__).with_name("napari.yaml")


def read(path: Path) -> list[tuple[Any, dict[str, Any], str]]:
    reader = get_reader(str(path))
    assert reader is not None
    return reader(str(path))


def test_the_manifest_is_valid_and_names_what_exists() -> None:
    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    manager = PluginManager()
    manager.register(manifest)
    assert [w.display_name for w in manager.iter_widgets()] == ["Segment"]
    for name in ("a.nii.gz", "a.nrrd", "a.mha", "a.dcm", "a.npz"):
        assert [r.plugin_name for r in manager.iter_compatible_readers([name])] == ["napari-medsam"]
    for name in ("a.nii.gz", "a.seg.nrrd", "a.mha"):
        writer, path = manager.get_writer(name, ["labels"])
        assert (writer.plugin_name, path) == ("napari-medsam", name)
    assert {sample.key for _, samples in manager.iter_sample_data() for sample in samples} == {"mni152", "ct_phantom"}
    assert [item.command for item in manager.iter_menu("napari/layers/segment")] == ["napari-medsam.segment"]


def test_files_of_others_are_left_to_them(tmp_path: Path) -> None:
    assert get_reader(str(tmp_path / "a.tif")) is None
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("no image")
    assert get_reader(str(tmp_path / "notes")) is None


def test_every_kind_of_real_file_opens_upright(shared_data: Path) -> None:
    for path in [
        *sorted((shared_data / "geometry").glob("*.nii.gz")),
        *sorted((shared_data / "spinal_cord").glob("*.nii.gz")),
        *sorted(p for p in (shared_data / "dicom").iterdir() if p.is_dir()),
    ]:
        for data, meta, kind in read(path):
            layer = napari.layers.Layer.create(data, meta, kind)
            volumes = layer.metadata[METADATA_KEY]
            assert all(np.shares_memory(layer.data, v.data) or kind == "labels" for v in volumes)
            np.testing.assert_allclose(np.abs(layer.scale[-3:]), volumes[0].spacing[-layer.ndim :][-3:])
            assert not np.any(layer.rotate - np.eye(layer.ndim))


@pytest.mark.parametrize(
    ("axes", "scale"),
    [
        # Columns: the way along z, y, x of the array in LPS (x, y, z).
        (((0, 0, 1), (0, 1, 0), (1, 0, 0)), (-2, 3, 4)),
        (((0, 0, -1), (0, -1, 0), (-1, 0, 0)), (2, -3, -4)),
        (((1, 0, 0), (0, 0, 1), (0, 1, 0)), (2, -3, 4)),
    ],
)
def test_head_up_face_up_left_on_the_right(axes: tuple[tuple[int, ...], ...], scale: tuple[float, ...]) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.array(axes).T * (2, 3, 4)
    affine[:3, 3] = (10, 20, 30)
    volume = Volume(np.zeros((5, 6, 7), np.int16), affine)
    placed = placement(volume)
    assert placed["scale"] == pytest.approx(scale)
    layer = napari.layers.Image(
        volume.data, contrast_limits=(0, 1), scale=placed["scale"], translate=placed["translate"]
    )
    towards_feet_back_left = np.array(layer.data_to_world((1, 2, 3)))
    lps = volume.to_world((1, 2, 3))
    order = [int(np.flatnonzero(axis)[0]) for axis in axes]
    expected = {0: lps[0], 1: lps[1], 2: -lps[2]}
    np.testing.assert_allclose(towards_feet_back_left, [expected[axis] for axis in order])


def test_an_oblique_volume_is_shown_along_its_own_axes_with_its_centre_in_place(phantom: Sample) -> None:
    volume = phantom.volume
    placed = placement(volume)
    layer = napari.layers.Image(
        volume.data, contrast_limits=(0, 1), scale=placed["scale"], translate=placed["translate"]
    )
    middle = (np.array(volume.shape) - 1) / 2
    x, y, z = volume.to_world(middle)
    np.testing.assert_allclose(layer.data_to_world(middle), (-z, y, x), atol=1e-9)


def test_windows(phantom: Sample) -> None:
    assert contrast_limits(phantom.volume) == (-160, 240)
    values = np.linspace(0, 1000, 64000).reshape(40, 40, 40)
    low, high = contrast_limits(Volume(values))
    assert (low, high) == pytest.approx((5, 995), abs=10)
    values[:] = np.nan
    assert contrast_limits(Volume(values)) == (0, 1)
    assert contrast_limits(Volume(np.full((3, 3, 3), 7.0))) == (7, 8)


def test_a_series_is_one_layer_that_shares_its_memory(phantom: Sample) -> None:
    stack = np.stack([phantom.volume.data] * 2)
    data, meta, _ = image_layer([Volume(frame, phantom.volume.affine) for frame in stack], "series")
    assert data is stack
    assert len(meta["scale"]) == 4
    assert [v.data.base is stack for v in meta["metadata"][METADATA_KEY]] == [True, True]


@pytest.mark.parametrize("name", ["mask.nii.gz", "mask.nrrd", "mask.mha", "mask.seg.nrrd"])
def test_labels_are_written_on_the_grid_of_their_image(name: str, phantom: Sample, tmp_path: Path) -> None:
    data, meta, _ = labels_layer(phantom.labels, phantom.volume, "truth", dict(phantom.names))
    layer = napari.layers.Labels(data, **meta)
    written = layer.as_layer_data_tuple()
    assert write_labels(str(tmp_path / name), written[0], written[1]) == [str(tmp_path / name)]
    np.testing.assert_array_equal(open_labels(tmp_path / name, like=phantom.volume), phantom.labels)
    np.testing.assert_allclose(open_volume(tmp_path / name).affine, phantom.volume.affine, atol=1e-4)
    if name.endswith(".seg.nrrd"):
        assert [item.name for item in open_segmentation(tmp_path / name)] == list(phantom.names.values())


def test_labels_from_elsewhere_are_written_where_napari_shows_them(tmp_path: Path) -> None:
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1, 2, 3] = 1
    layer = napari.layers.Labels(labels, scale=(2, 3, 4), translate=(5, 6, 7), units=("cm", "mm", "mm"))
    written = layer.as_layer_data_tuple()
    write_labels(str(tmp_path / "a.nii.gz"), written[0], written[1])
    volume = open_volume(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(volume.to_world((1, 2, 3)), (7 + 12, 6 + 6, 50 + 20))


def test_what_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="each frame"):
        write_labels(str(tmp_path / "a.nii.gz"), np.ones((2, 3, 4, 5), np.uint8), {})
    with pytest.raises(SaveError, match="no label"):
        write_labels(str(tmp_path / "a.nii.gz"), np.zeros((3, 4, 5), np.uint8), {})


def test_a_segmentation_opens_as_labels_with_names(phantom: Sample, tmp_path: Path) -> None:
    objects = [SavedObject(n, (255, 0, 0), Region.of(phantom.labels == v), v) for v, n in phantom.names.items()]
    save_objects(tmp_path / "organs.seg.nrrd", phantom.volume, objects)
    ((data, meta, kind),) = read(tmp_path / "organs.seg.nrrd")
    assert kind == "labels"
    np.testing.assert_array_equal(data, phantom.labels)
    assert meta["features"]["name"] == ["background", *phantom.names.values()]


def test_a_label_map_opens_as_labels(phantom: Sample, tmp_path: Path) -> None:
    objects = [SavedObject("liver", (255, 0, 0), phantom.truth("liver"), 8)]
    save_objects(tmp_path / "liver.nii.gz", phantom.volume, objects)
    ((data, _, kind),) = read(tmp_path / "liver.nii.gz")
    assert kind == "labels"
    assert set(np.unique(data)) == {0, 8}


def test_a_broken_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"no image")
    with pytest.raises(ImageError):
        read(path)


def test_lazy_layers_are_computed_when_the_volume_is_made() -> None:
    dask = pytest.importorskip("dask.array")
    data = dask.from_array(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    layer = napari.layers.Image(data, scale=(1, 2, 3), contrast_limits=(0, 24))
    volume = volume_maker(layer, 0)()
    assert isinstance(volume.data, np.ndarray)
    np.testing.assert_array_equal(volume.data, np.arange(24).reshape(2, 3, 4))
    np.testing.assert_allclose(volume.affine, affine_from_spacing((1, 2, 3)))


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0)])
def test_colours_become_8_bit_without_alpha(dtype: type, top: float) -> None:
    rgba = np.zeros((4, 5, 4), dtype)
    rgba[..., 0] = top
    volume = volume_maker(napari.layers.Image(rgba, rgb=True), 0)()
    assert volume.data.shape == (1, 4, 5, 3)
    assert volume.data.dtype == np.uint8
    assert (volume.data[0, 0, 0] == (255, 0, 0)).all()


def test_the_sample_has_its_truth_in_a_hidden_layer() -> None:
    (labels, labels_meta, _), (image, image_meta, _) = mni152()
    assert labels.shape == image.shape
    assert labels_meta["visible"] is False
    assert labels_meta["scale"] == image_meta["scale"]
