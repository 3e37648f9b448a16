"""Files that lie, are cut short or are no images: one sentence each, and nothing allocated for them."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io import open_challenge, open_labels, open_volume

VOXELS = np.random.default_rng(1).integers(-1000, 1000, (20, 30, 40)).astype(np.int16)
NRRD = (
    "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: {size}\n"
    "space directions: (1,0,0) (0,1,0) (0,0,1)\nkinds: domain domain domain\nendian: little\nencoding: {encoding}\n"
    "space origin: (0,0,0)\n\n"
)
META = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = {compressed}\nElementSpacing = 1 1 1\n"
    "DimSize = {size}\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
)
HUGE = "2000 2000 2000"


def _nifti(size: tuple[int, ...], name: str) -> bytes:
    image = nib.Nifti1Image(VOXELS.T, np.eye(4))
    whole = bytearray(image.to_bytes())
    whole[40:56] = struct.pack("<8h", len(size), *size, *[1] * (7 - len(size)))
    return gzip.compress(bytes(whole)) if name.endswith("gz") else bytes(whole)


def _npz(size: tuple[int, ...]) -> bytes:
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "<i2", "fortran_order": False, "shape": size})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("imgs.npy", member.getvalue() + VOXELS.tobytes())
    return out.getvalue()


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


FORGED: dict[str, Callable[[str], bytes]] = {
    "a.nii": lambda name: _nifti((2000, 2000, 2000), name),
    "a.nii.gz": lambda name: _nifti((2000, 2000, 2000), name),
    "four_dimensions.nii.gz": lambda name: _nifti((200, 200, 200, 1000), name),
    "a.nrrd": lambda _: NRRD.format(size=HUGE, encoding="raw").encode() + VOXELS.tobytes(),
    "gzipped.nrrd": lambda _: NRRD.format(size=HUGE, encoding="gzip").encode() + gzip.compress(VOXELS.tobytes()),
    "a.mha": lambda _: META.format(size=HUGE, compressed="False").encode() + VOXELS.tobytes(),
    "zipped.mha": lambda _: META.format(size=HUGE, compressed="True").encode() + zlib.compress(VOXELS.tobytes()),
    "a.npz": lambda _: _npz((2000, 2000, 2000)),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_header_that_declares_16_gb_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FORGED[name](name))
    with pytest.raises(ImageError, match=r"declares 16\.0 GB of voxels but holds only"):
        open_volume(tmp_path / name)


def test_more_than_the_memory_is_refused(tmp_path: Path) -> None:
    # No bound on what bzip2 can stand for, so only the memory can refuse it.
    text = NRRD.format(size="200000 200000 200000", encoding="bzip2")
    (tmp_path / "a.nrrd").write_bytes(text.encode() + b"BZh9")
    with pytest.raises(ImageError, match=r"needs 16000000\.0 GB of memory and .* are free"):
        open_volume(tmp_path / "a.nrrd")


@pytest.mark.parametrize(("width", "height"), [(2**31 - 1, 2**31 - 1), (100_000, 100_000)])
def test_a_picture_bomb_is_refused(tmp_path: Path, width: int, height: int) -> None:
    (tmp_path / "a.png").write_bytes(_png(width, height))
    with pytest.raises(ImageError, match=r"a\.png"):
        open_volume(tmp_path / "a.png")


def _whole(path: Path) -> None:
    name = path.name
    if ".nii" in name:
        path.write_bytes(_nifti((40, 30, 20), name))
    elif name.endswith(".nrrd"):
        path.write_bytes(NRRD.format(size="40 30 20", encoding="gzip").encode() + gzip.compress(VOXELS.tobytes()))
    elif name.endswith(".mha"):
        path.write_bytes(META.format(size="40 30 20", compressed="False").encode() + VOXELS.tobytes())
    elif name.endswith(".npz"):
        path.write_bytes(_npz((20, 30, 40)))
    else:
        Image.fromarray(VOXELS[0].astype(np.uint8)).save(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.npz", "a.png", "a.jpg", "a.tif"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    _whole(path)
    whole = path.read_bytes()
    assert open_volume(path).shape[1:] == (30, 40)
    if name in ("a.jpg", "a.png"):
        # The last bytes are an end mark and padding; without them every pixel is still there.
        whole = whole[:-200]
    for share in (0.0005, 0.02, 0.3, 0.9, 0.99):
        path.write_bytes(whole[: max(1, int(len(whole) * share))])
        with pytest.raises(ImageError, match=path.name):
            open_volume(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".npz", ".png", ".jpg", ".tif", ".dcm"])
@pytest.mark.parametrize("content", [b"Dear colleague,\n\nplease find the report attached.\n" * 100, bytes(5000)])
def test_what_is_no_image_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"letter{suffix}"
    path.write_bytes(content)
    with pytest.raises(ImageError, match="letter"):
        open_volume(path)
    with pytest.raises(ImageError, match="letter"):
        open_labels(path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.txt", "a.dcm", "noending"])
def test_empty_missing_and_unknown_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match="There is no file"):
        open_volume(tmp_path / name)
    (tmp_path / name).touch()
    with pytest.raises(ImageError, match="is empty"):
        open_volume(tmp_path / name)
    (tmp_path / "some.docx").write_bytes(b"PK")
    with pytest.raises(ImageError, match="is not an image that can be opened"):
        open_volume(tmp_path / "some.docx")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ImageError, match="folder holds no DICOM images"):
        open_volume(tmp_path / "folder")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_without_numbers_is_refused(tmp_path: Path, value: float) -> None:
    nib.save(nib.Nifti1Image(np.full((4, 5, 6), value, dtype=np.float32), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ImageError, match="every voxel is NaN or infinite"):
        open_volume(tmp_path / "a.nii")


def test_a_few_missing_numbers_and_constant_images_open(tmp_path: Path) -> None:
    voxels = np.zeros((4, 5, 6), dtype=np.float32)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "constant.nii")
    assert open_volume(tmp_path / "constant.nii").shape == (6, 5, 4)
    voxels[0, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "nan.nii")
    assert np.isnan(open_volume(tmp_path / "nan.nii").data[0, 0, 0])


@pytest.mark.parametrize("shape", [(1, 1, 7), (7, 1, 1), (9, 8, 1), (9, 8), (5,), (4, 3, 2, 1, 1)])
def test_thin_images_open(tmp_path: Path, shape: tuple[int, ...]) -> None:
    voxels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    padded = (*shape, 1, 1)[:3]
    volume = open_volume(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.data, voxels.reshape(padded).T)


@pytest.mark.parametrize(
    ("dtype", "sentence"), [(np.complex64, "complex numbers"), (None, "holds 3 numbers for each voxel")]
)
def test_vectors_and_complex_numbers_are_refused(tmp_path: Path, dtype: type | None, sentence: str) -> None:
    voxels = np.zeros((4, 5, 6, 1, 3), np.float32) if dtype is None else np.zeros((4, 5, 6), dtype)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ImageError, match=sentence):
        open_volume(tmp_path / "a.nii")


def test_an_affine_that_cannot_be_inverted_is_refused(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), None)
    image.header.set_sform(np.diag([1, 1, 0, 1.0]), 1)
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), None, image.header), tmp_path / "a.nii")
    with pytest.raises(ImageError, match="no valid geometry"):
        open_volume(tmp_path / "a.nii")


@pytest.mark.parametrize(("name", "field"), [("a.mhd", "ElementDataFile = "), ("a.nhdr", "data file: ")])
def test_a_detached_header_needs_its_voxels(tmp_path: Path, name: str, field: str) -> None:
    if name == "a.mhd":
        text = META.format(size="40 30 20", compressed="False").replace("LOCAL", "a.raw")
    else:
        text = NRRD.format(size="40 30 20", encoding="raw").replace("encoding", "data file: a.raw\nencoding")
    (tmp_path / name).write_text(text)
    with pytest.raises(ImageError, match=r"keeps its voxels in a\.raw, which is missing"):
        open_volume(tmp_path / name)
    (tmp_path / "a.raw").write_bytes(VOXELS.tobytes()[:-2])
    with pytest.raises(ImageError, match="cut short"):
        open_volume(tmp_path / name)
    (tmp_path / "a.raw").write_bytes(VOXELS.tobytes())
    np.testing.assert_array_equal(open_volume(tmp_path / name).data, VOXELS)


def test_an_npz_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", weights=np.zeros(3))
    with pytest.raises(ImageError, match="no array named imgs"):
        open_challenge(tmp_path / "a.npz")
    with pytest.raises(ImageError, match="no array named imgs"):
        open_labels(tmp_path / "a.npz")
