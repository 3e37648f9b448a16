"""DICOM files found in a folder, and their headers told apart by series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.errors import InvalidDicomError

from napari_medsam.engine.errors import ImageError

# What is in a series but is no image of it: masks, doses, contours, presentation states, reports.
_NOT_IMAGES = {"SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "PR", "KO", "SR", "REG", "DOC", "AU", "ECG"}


@dataclass(frozen=True)
class DicomFile:
    """The header of one DICOM image.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    header : pydicom.Dataset
        Everything but the pixels.
    """

    path: Path
    header: Any

    @property
    def series(self) -> str:
        """Identifier of the series."""
        return str(self.header.get("SeriesInstanceUID", ""))


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, or is named like one."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM" or path.suffix.lower() in (".dcm", ".ima")


def find_series(path: Path) -> list[DicomFile]:
    """The images of the one series that ``path`` stands for.

    Parameters
    ----------
    path : pathlib.Path
        A folder that holds one series, itself or in folders below, or a file of a series beside its other files.

    Raises
    ------
    ImageError
        If there is no image, or the folder holds several series: the sentence names them.
    """
    if path.is_dir():
        series = _by_series(path.rglob("*"))
        if not series:
            raise ImageError(f"The folder {path.name} holds no DICOM images.")
        if len(series) > 1:
            listed = "; ".join(f"{describe(files)}: {files[0].path.relative_to(path)}" for files in series.values())
            raise ImageError(
                f"The folder {path.name} holds {len(series)} series; open one file of the one that is meant. {listed}."
            )
        return next(iter(series.values()))
    chosen = _header(path)
    if chosen is None:
        raise ImageError(f"{path.name} is not a DICOM file, or it is damaged.")
    if not _is_image(chosen):
        raise ImageError(
            f"{path.name} holds no image but {chosen.get('Modality') or 'other'} data; open the image series, and a "
            "segmentation as the labels of it."
        )
    return _by_series(path.parent.iterdir())[DicomFile(path, chosen).series]


def describe(files: Sequence[DicomFile]) -> str:
    """How a series is named to a user."""
    header = files[0].header
    title = header.get("SeriesDescription") or f"series {header.get('SeriesNumber', 'without a number')}"
    images = sum(int(file.header.get("NumberOfFrames") or 1) for file in files)
    return f"'{title}' ({header.get('Modality') or 'unknown modality'}, {images} images)"


def _by_series(paths: Iterator[Path]) -> dict[str, list[DicomFile]]:
    series: dict[str, list[DicomFile]] = {}
    seen: set[str] = set()
    for path in sorted(paths):
        if not path.is_file() or not is_dicom(path):
            continue
        header = _header(path)
        if header is None:
            raise ImageError(f"{path.name} is a damaged DICOM file: copy the series again from where it came.")
        # Copies of one image, as exports to several folders make them, count once.
        if not _is_image(header) or str(header.SOPInstanceUID) in seen:
            continue
        seen.add(str(header.SOPInstanceUID))
        file = DicomFile(path, header)
        series.setdefault(file.series, []).append(file)
    return series


def _header(path: Path) -> Any:
    try:
        # Forced, for a file without preamble is common in old archives; what is no DICOM then has no SOP class.
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        return header if header.get("SOPClassUID") and header.get("SOPInstanceUID") else None
    except (InvalidDicomError, EOFError, ValueError, KeyError, AttributeError, NotImplementedError, OSError):
        return None


def _is_image(header: Any) -> bool:
    return bool(header.get("Rows")) and bool(header.get("Columns")) and header.get("Modality") not in _NOT_IMAGES
