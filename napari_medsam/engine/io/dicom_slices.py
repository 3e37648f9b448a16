"""What a DICOM header says about the place and scaling of each of its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io.dicom_files import DicomFile
from napari_medsam.engine.volume import FloatArray

# What may tell the volumes of a 4D series apart, the most telling first. The last are times that a scanner also changes
# from slice to slice, where they will not split the series into whole volumes and so are passed over.
FRAME_KEYS = (
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "DiffusionBValue",
    "EchoTime",
    "EffectiveEchoTime",
    "EchoNumbers",
    "ImageType",
    "AcquisitionNumber",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "FrameReferenceDateTime",
    "ContentTime",
)


@dataclass(frozen=True, eq=False)
class Slice:
    """One image of a series: a file, or a frame of a multi-frame file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    frame : int, optional
        Number of the frame in a multi-frame file, from 0.
    size : tuple of int
        Rows and columns.
    position : numpy.ndarray, optional
        LPS millimetres of the centre of the first pixel.
    orientation : numpy.ndarray, optional
        ``(2, 3)``: direction along a row and down a column.
    pixel_spacing : tuple of float
        Millimetres between rows and between columns.
    thickness : float
        Millimetres to the next slice where there is only one.
    slope, intercept : float
        Stored values to modality values (HU).
    number : int
        Instance number, or the number of the frame.
    keys : dict
        Values of the header that may tell the volumes of a 4D series apart.
    """

    path: Path
    frame: int | None
    size: tuple[int, int]
    position: FloatArray | None
    orientation: FloatArray | None
    pixel_spacing: tuple[float, float]
    thickness: float
    slope: float
    intercept: float
    number: int
    keys: dict[str, Any] = field(default_factory=dict)

    @property
    def normal(self) -> FloatArray:
        """Unit vector across the slice."""
        assert self.orientation is not None
        normal = np.cross(self.orientation[0], self.orientation[1])
        return np.asarray(normal / np.linalg.norm(normal))


def slices_of(files: Sequence[DicomFile]) -> list[Slice]:
    """Every image of a series.

    Raises
    ------
    ImageError
        If a header is damaged.
    """
    slices: list[Slice] = []
    for file in files:
        try:
            slices += _slices(file)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise ImageError(f"The header of {file.path.name} is damaged: {error}.") from error
    return slices


def _slices(file: DicomFile) -> list[Slice]:
    header = file.header
    frames = int(header.get("NumberOfFrames") or 1)
    groups = header.get("PerFrameFunctionalGroupsSequence")
    if groups:
        shared = header.get("SharedFunctionalGroupsSequence") or [None]
        if len(groups) != frames:
            raise ValueError(f"{frames} frames are declared and {len(groups)} described")
        return [_slice(file, i, _flat(header, shared[0], group)) for i, group in enumerate(groups)]
    if frames > 1:
        return [_slice(file, i, header) for i in range(frames)]
    return [_slice(file, None, header)]


def _flat(header: Any, shared: Any, group: Any) -> dict[str, Any]:
    """The attributes of one frame of an enhanced image, drawn from the places they may stand in."""
    found: dict[str, Any] = {}
    for layer in (header, shared, group):
        for element in layer or ():
            if element.VR == "SQ" and layer is not header:
                for item in element.value[:1]:
                    found.update({e.keyword: e.value for e in item})
            elif element.VR != "SQ":
                found[element.keyword] = element.value
    return found


def _slice(file: DicomFile, frame: int | None, values: Any) -> Slice:
    position, orientation = values.get("ImagePositionPatient"), values.get("ImageOrientationPatient")
    spacing = next(
        (
            values.get(name)
            for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
            if values.get(name)
        ),
        (1.0, 1.0),
    )
    rows, columns = (float(v) for v in spacing)
    number = values.get("InstanceNumber")
    return Slice(
        path=file.path,
        frame=frame,
        size=(int(file.header.Rows), int(file.header.Columns)),
        position=np.array(position, dtype=np.float64).reshape(3) if position else None,
        orientation=np.array(orientation, dtype=np.float64).reshape(2, 3) if orientation else None,
        pixel_spacing=(rows, columns),
        thickness=float(values.get("SpacingBetweenSlices") or values.get("SliceThickness") or 1.0),
        slope=float(_or(values.get("RescaleSlope"), 1)),
        intercept=float(_or(values.get("RescaleIntercept"), 0)),
        number=frame if frame is not None else int(_or(number, 0)),
        keys={name: _text(values.get(name)) for name in FRAME_KEYS if _text(values.get(name))},
    )


def _or(value: Any, otherwise: float) -> Any:
    return otherwise if value in (None, "") else value


def _text(value: Any) -> Any:
    """A value that can be compared and sorted: a number where it is one, else text."""
    if value is None or value == "":
        return None
    try:
        return (0, float(value), "")
    except (TypeError, ValueError):
        return (1, 0.0, str(value))
