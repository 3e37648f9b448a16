"""NIfTI: scaling, units, byte order, colours, and two affines that disagree."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from napari_medsam.engine.io import open_labels, open_series, open_volume

VOXELS = np.arange(4 * 5 * 6).reshape(4, 5, 6)


def _save(path: Path, voxels: np.ndarray, slope: float | None = None, inter: float | None = None) -> Path:
    image = nib.Nifti1Image(voxels, np.eye(4))
    image.header.set_slope_inter(slope, inter)
    # nibabel divides by the slope on saving what it knows as scaled; raw bytes keep the stored numbers as they are.
    raw = bytearray(image.to_bytes())
    if slope is not None:
        raw[112:120] = np.array([slope, inter], dtype="<f4").tobytes()
        start = int(image.header.get_data_offset()) or 352
        raw[start:] = np.asarray(voxels, dtype=image.get_data_dtype()).tobytes(order="F")
    path.write_bytes(bytes(raw))
    return path


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_the_type_is_kept_without_scaling(tmp_path: Path, kind: type) -> None:
    volume = open_volume(_save(tmp_path / "a.nii", VOXELS.astype(kind)))
    assert volume.data.dtype == kind
    np.testing.assert_array_equal(volume.data, VOXELS.T)


@pytest.mark.parametrize(
    ("slope", "inter", "kind"), [(1, -1024, np.int16), (2, 0, np.int16), (0.5, -3, np.float32), (1, 1e6, np.int32)]
)
def test_scaling_is_applied_in_the_smallest_type(tmp_path: Path, slope: float, inter: float, kind: type) -> None:
    path = _save(tmp_path / "a.nii", VOXELS.astype(np.uint16), slope, inter)
    volume = open_volume(path)
    assert volume.data.dtype == kind
    np.testing.assert_allclose(volume.data, nib.load(path).get_fdata().T)
    np.testing.assert_allclose(volume.data, VOXELS.T * slope + inter)


def test_big_endian_voxels_become_native(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOXELS.astype(np.int16), np.eye(4)).as_reoriented(np.array([[0, 1], [1, 1], [2, 1]]))
    header = nib.Nifti1Header(endianness=">")
    header.set_data_shape(VOXELS.shape)
    header.set_data_dtype(np.int16)
    header.set_sform(image.affine, 1)
    nib.save(nib.Nifti1Image(VOXELS.astype(np.int16), image.affine, header), tmp_path / "a.nii")
    assert nib.load(tmp_path / "a.nii").header.endianness == ">"
    volume = open_volume(tmp_path / "a.nii")
    assert volume.data.dtype.isnative
    np.testing.assert_array_equal(volume.data, VOXELS.T)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("micron", 0.001), ("meter", 1000)])
def test_lengths_become_millimetres(tmp_path: Path, unit: str, factor: float) -> None:
    image = nib.Nifti1Image(VOXELS.astype(np.int16), np.diag([2.0, 3, 4, 1]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(open_volume(tmp_path / "a.nii").spacing, np.array([4, 3, 2]) * factor)


def test_colours_stay_colours(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (4, 5, 6, 3), dtype=np.uint8)
    packed = rgb.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    nib.save(nib.Nifti1Image(packed, np.eye(4)), tmp_path / "a.nii")
    volume = open_volume(tmp_path / "a.nii")
    assert volume.is_colour
    np.testing.assert_array_equal(volume.data, rgb.transpose(2, 1, 0, 3))


def _two_forms(path: Path, sform_code: int, qform_code: int) -> Path:
    image = nib.Nifti1Image(VOXELS.astype(np.int16), np.eye(4))
    image.set_sform(np.diag([2.0, 2, 2, 1]), sform_code)
    image.set_qform(np.diag([3.0, 3, 3, 1]), qform_code)
    nib.save(image, path)
    return path


@pytest.mark.parametrize(("codes", "spacing"), [((1, 1), 2), ((2, 1), 2), ((0, 1), 3), ((1, 0), 2), ((0, 0), 3)])
def test_the_sform_comes_first_as_in_nibabel(tmp_path: Path, codes: tuple[int, int], spacing: float) -> None:
    path = _two_forms(tmp_path / "a.nii", *codes)
    volume = open_volume(path)
    assert volume.spacing == (spacing,) * 3
    ras = nib.load(path).affine @ [1, 2, 3, 1]
    np.testing.assert_allclose(volume.to_world((3, 2, 1)), ras[:3] * [-1, -1, 1])


@pytest.mark.parametrize(
    ("codes", "agrees"), [((1, 1), True), ((0, 1), True), ((1, 0), True), ((2, 0), True), ((2, 1), False)]
)
def test_where_itk_takes_the_other_form(tmp_path: Path, codes: tuple[int, int], agrees: bool) -> None:
    image = nib.Nifti1Image(VOXELS.astype(np.int16), np.eye(4))
    image.set_sform(nib.affines.from_matvec(np.eye(3), (10, 10, 10)), codes[0])
    image.set_qform(nib.affines.from_matvec(np.eye(3), (20, 20, 20)), codes[1])
    nib.save(image, tmp_path / "a.nii")
    itk = SimpleITK.ReadImage(str(tmp_path / "a.nii"))
    ours = open_volume(tmp_path / "a.nii")
    assert np.allclose(itk.GetOrigin(), ours.to_world((0, 0, 0))) == agrees
    np.testing.assert_array_equal(ours.to_world((0, 0, 0)), (-20, -20, 20) if codes[0] == 0 else (-10, -10, 10))


def test_frames_share_memory_and_one_alone_is_read(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 100, (4, 5, 6, 7)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii.gz")
    series = open_series(tmp_path / "a.nii.gz")
    assert len(series) == 7
    assert np.shares_memory(series[3].data, series[0].data.base)
    np.testing.assert_array_equal(series[3].data, voxels[..., 3].T)
    alone = open_volume(tmp_path / "a.nii.gz", frame=3)
    assert alone.frame == 3
    np.testing.assert_array_equal(alone.data, voxels[..., 3].T)


def test_floating_point_labels_become_integers(tmp_path: Path) -> None:
    labels = (VOXELS % 3).astype(np.float64)
    nib.save(nib.Nifti1Image(labels, np.eye(4)), tmp_path / "a.nii")
    read = open_labels(tmp_path / "a.nii")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, labels.T)
