"""Opening an image, whatever its format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io.opened import Opened
from napari_medsam.engine.io.values import require_numbers
from napari_medsam.engine.volume import Volume

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def open_volume(path: str | Path, frame: int | None = None) -> Volume:
    """Open one 3D image, or one 2D image as a volume of one slice.

    Parameters
    ----------
    path : str or pathlib.Path
        A NIfTI, NRRD, MetaImage, ``.npz`` challenge case, PNG, JPEG, TIFF or BMP file, a DICOM file, or a folder with
        one DICOM series. A DICOM file stands for the whole series it belongs to, as far as that lies in the same
        folder.
    frame : int, optional
        Which volume of a 4D image; not needed for a 3D one.

    Raises
    ------
    ImageError
        If the file cannot be opened, or holds several frames and none, or one that is not there, was asked for.
    """
    path = Path(path)
    opened = read(path)
    if frame is None and opened.count > 1:
        raise ImageError(
            f"{path.name} is a series of {opened.count} volumes: say which one, from 0 to {opened.count - 1}."
        )
    index = frame or 0
    if not 0 <= index < opened.count:
        raise ImageError(f"{path.name} has no volume {index}: it holds {opened.count}, counted from 0.")
    return _volumes(opened, path, index, index + 1)[0]


def open_series(path: str | Path) -> list[Volume]:
    """Open every volume of a 4D image; a 3D or 2D image is a series of one. The volumes share one array.

    Raises
    ------
    ImageError
        If the file cannot be opened.
    """
    path = Path(path)
    opened = read(path)
    return _volumes(opened, path, 0, opened.count)


def read(path: Path) -> Opened:
    """Read the header of an image.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    require_exists(path)
    try:
        return _reader(path)(path)
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({(error.strerror or str(error)).lower()}).") from error


def require_exists(path: Path) -> None:
    """Refuse a path where nothing is.

    Raises
    ------
    ImageError
        If there is no such file or folder, or the file is empty.
    """
    if not path.exists():
        raise ImageError(f"There is no file or folder {path}.")
    if path.is_file() and path.stat().st_size == 0:
        raise ImageError(f"{path.name} is empty: copy it again from where it came.")


def has_suffix(path: Path, *suffixes: str) -> bool:
    """Whether the name of a file ends with one of ``suffixes``, in upper or lower case."""
    return path.name.lower().endswith(suffixes)


def _reader(path: Path) -> Callable[[Path], Opened]:
    # Each library is loaded when its first file is opened, so that a window comes up without waiting for all of them.
    if has_suffix(path, ".nii", ".nii.gz"):
        from napari_medsam.engine.io.nifti import read_nifti

        return read_nifti
    if has_suffix(path, ".nrrd", ".nhdr"):
        from napari_medsam.engine.io.itk import read_nrrd

        return read_nrrd
    if has_suffix(path, ".mha", ".mhd"):
        from napari_medsam.engine.io.itk import read_meta

        return read_meta
    if has_suffix(path, ".npz"):
        from napari_medsam.engine.io.challenge import read_challenge

        return read_challenge
    if has_suffix(path, *PICTURES):
        from napari_medsam.engine.io.pictures import read_picture

        return read_picture
    from napari_medsam.engine.io.dicom_files import is_dicom

    if path.is_dir() or is_dicom(path):
        from napari_medsam.engine.io.dicom import read_dicom

        return read_dicom
    raise ImageError(
        f"{path.name} is not an image that can be opened: NIfTI, NRRD, MetaImage, DICOM, .npz challenge cases, PNG, "
        "JPEG and TIFF can."
    )


def _volumes(opened: Opened, path: Path, first: int, last: int) -> list[Volume]:
    frames = opened.load(first, last)
    for frame in frames:
        require_numbers(frame, path.name)
    return [
        Volume(frame, opened.affine, source=path, frame=first + i, modality=opened.modality)
        for i, frame in enumerate(frames)
    ]
