"""DICOM segmentation objects (SEG) read frame by frame, so that a tilted stack and missing slices are no obstacle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from highdicom.color import CIELabColor
from pydicom.pixels import pixel_array

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io.dicom_files import DicomFile
from napari_medsam.engine.io.dicom_slices import Slice, slices_of
from napari_medsam.engine.io.guard import require_plausible
from napari_medsam.engine.io.saved_object import Colour, SavedObject, colour_of
from napari_medsam.engine.io.stored import Stored
from napari_medsam.engine.io.values import Array
from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import FloatArray

_OFF_GRID_MM = 0.1
# Segmentation Storage, and Label Map Segmentation Storage, which pydicom does not name yet.
_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")


def is_dicom_segmentation(path: Path) -> bool:
    """Whether a DICOM file is a segmentation."""
    header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=["SOPClassUID"])
    return header.get("SOPClassUID") in _SEGMENTATIONS


def read_dicom_segmentation(path: Path) -> Stored:
    """Read a DICOM SEG, binary, fractional (from a half upwards) or label map.

    Its grid spans the slices it has frames for.

    Raises
    ------
    ImageError
        If the file is damaged, or its frames are not slices of one grid.
    """
    try:
        file = pydicom.dcmread(path)
        frames = slices_of([DicomFile(path, file)])
        rows, columns = int(file.Rows), int(file.Columns)
        require_plausible(path, rows * columns * len(frames))
        affine, levels = _grid(frames, path.name)
        pixels = pixel_array(file).reshape(len(frames), rows, columns)
        objects = [_object(file, i, pixels, levels) for i in range(len(file.SegmentSequence))]
    except ImageError:
        raise
    # pydicom raises almost anything for a damaged file.
    except Exception as error:
        raise ImageError(f"{path.name} is damaged, or a segmentation of a kind that cannot be read.") from error
    return Stored(objects, (int(levels.max()) + 1, rows, columns), affine)


def _grid(frames: list[Slice], name: str) -> tuple[FloatArray, Array]:
    """The affine of the grid and the ``z`` of each frame on it."""
    first = frames[0]
    if any(f.position is None or f.orientation is None for f in frames) or first.orientation is None:
        raise ImageError(f"{name} does not say where its frames lie; it cannot be placed on an image.")
    positions = np.array([f.position for f in frames])
    along = positions @ first.normal
    steps = np.diff(np.unique(np.round(along, 3)))
    lowest, highest = int(np.argmin(along)), int(np.argmax(along))
    step = first.normal * first.thickness
    levels = np.zeros(len(frames), dtype=int)
    if steps.size:
        # Slices without labels have no frame, so the smallest step may span several; the declared one tells.
        times = steps / first.thickness
        fits = times.min() > 0.5 and np.abs(times - np.rint(times)).max() < 0.05
        levels = np.rint((along - along[lowest]) / (first.thickness if fits else steps.min())).astype(int)
        step = (positions[highest] - positions[lowest]) / levels[highest]
    off = np.linalg.norm(positions - positions[lowest] - levels[:, None] * step, axis=1)
    if off.max() > _OFF_GRID_MM:
        raise ImageError(f"The frames of {name} are not slices of one grid: one lies {off.max():.2f} mm off.")
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = first.orientation[1] * first.pixel_spacing[0]
    affine[:3, 2] = first.orientation[0] * first.pixel_spacing[1]
    affine[:3, 3] = positions[lowest]
    return affine, levels


def _object(file: Any, i: int, pixels: Array, levels: Array) -> SavedObject:
    description = file.SegmentSequence[i]
    number = int(description.SegmentNumber)
    label_map = file.SegmentationType == "LABELMAP"
    threshold = (int(file.MaximumFractionalValue) + 1) // 2 if file.SegmentationType == "FRACTIONAL" else 1
    mask = np.zeros((int(levels.max()) + 1, *pixels.shape[1:]), dtype=bool)
    for frame, level in enumerate(levels):
        if label_map:
            mask[level] |= pixels[frame] == number
        elif _segment_of(file, frame) == number:
            mask[level] |= pixels[frame] >= threshold
    name = str(description.get("SegmentLabel") or f"Segment {number}")
    return SavedObject(name, _colour(description, i), Region.of(mask), number)


def _segment_of(file: Any, frame: int) -> int:
    for group in (file.PerFrameFunctionalGroupsSequence[frame], file.SharedFunctionalGroupsSequence[0]):
        if "SegmentIdentificationSequence" in group:
            return int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    raise ValueError("a frame names no segment")


def _colour(description: Any, i: int) -> Colour:
    stored = description.get("RecommendedDisplayCIELabValue")
    if not stored:
        return colour_of(i)
    red, green, blue = CIELabColor.from_dicom_value(tuple(stored)).to_rgb()
    return int(red), int(green), int(blue)
