"""DICOM segmentation objects (SEG) written through highdicom."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
from highdicom.color import CIELabColor
from pydicom.sr.codedict import codes

from napari_medsam import __version__
from napari_medsam.engine.errors import ImageError, SaveError
from napari_medsam.engine.io.affines import farthest
from napari_medsam.engine.io.dicom import stack_of
from napari_medsam.engine.io.dicom_files import is_dicom
from napari_medsam.engine.io.dicom_slices import Slice
from napari_medsam.engine.io.saved_object import SavedObject
from napari_medsam.engine.io.values import Array
from napari_medsam.engine.volume import Volume

_SERIES_NUMBER = 900
_INSTEAD = "save as .nii.gz or .seg.nrrd instead"
_MAY_BE_EMPTY = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)
_LONGEST_NAME = 64


def write_dicom_segmentation(path: Path, volume: Volume, objects: Sequence[SavedObject]) -> None:
    """Write a DICOM SEG that refers to the images the volume was read from.

    Segments are numbered in the order of ``objects``, as the format demands; overlaps are kept.

    Raises
    ------
    SaveError
        If the volume was not read from DICOM, its files are gone or changed, or nothing is segmented.
    """
    images = _images(volume)
    for item in objects:
        if len(item.name) > _LONGEST_NAME or not item.name:
            raise SaveError(f"DICOM takes names of 1 to {_LONGEST_NAME} characters: rename '{item.name}'.")
    if not any(item.region for item in objects):
        raise SaveError("Nothing is segmented yet, and a DICOM segmentation cannot be empty.")
    sources = [_source(path) for path in dict.fromkeys(image.path for image in images)]
    try:
        with warnings.catch_warnings():
            # Of the patient's name and the like in the source, which are copied as they are.
            warnings.simplefilter("ignore", UserWarning)
            segmentation = highdicom.seg.Segmentation(
                source_images=sources,
                pixel_array=_frames(images, objects, sources[0]),
                segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
                segment_descriptions=[_description(number, item) for number, item in enumerate(objects, 1)],
                series_instance_uid=highdicom.UID(),
                series_number=_SERIES_NUMBER,
                sop_instance_uid=highdicom.UID(),
                instance_number=1,
                manufacturer="napari-medsam",
                manufacturer_model_name="napari-medsam",
                software_versions=__version__,
                device_serial_number="0",
                series_description="Segmentation",
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SaveError(
            f"The headers of these DICOM images are not complete enough for a DICOM segmentation ({error}): {_INSTEAD}."
        ) from error
    segmentation.save_as(path)


def _images(volume: Volume) -> list[Slice]:
    source = volume.source
    if source is None or (source.is_file() and not is_dicom(source)):
        raise SaveError(
            f"A DICOM segmentation refers to DICOM images, and this image was not opened from any: {_INSTEAD}."
        )
    try:
        stack = stack_of(source)
    except (ImageError, OSError) as error:
        raise SaveError(f"The DICOM images of this volume cannot be read any more ({error}): {_INSTEAD}.") from error
    frame = stack.frames[volume.frame] if volume.frame < len(stack.frames) else []
    if len(frame) != volume.shape[0] or farthest(volume.shape, stack.affine, volume.affine) > 0.01:
        raise SaveError(f"The DICOM images in {source.name} have changed since they were opened: {_INSTEAD}.")
    if frame[0].position is None:
        raise SaveError(f"The DICOM images of this volume have no place in the patient: {_INSTEAD}.")
    return frame


def _source(path: Path) -> Any:
    """The header of an image, with what the standard wants there even if empty and old exports leave out."""
    header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")
    if not header.get("SpecificCharacterSet"):
        header.pop("SpecificCharacterSet", None)
    return header


def _frames(images: list[Slice], objects: Sequence[SavedObject], source: Any) -> Array:
    """Bits ``(frame, row, column, segment)`` in the order of the source's frames."""
    rows, columns = images[0].size
    numbers = range(len(images)) if images[0].frame is None else [image.frame or 0 for image in images]
    total = len(images) if images[0].frame is None else int(source.NumberOfFrames)
    bits = np.zeros((total, rows, columns, len(objects)), dtype=np.uint8)
    for segment, item in enumerate(objects):
        depth, height, width = item.region.slices
        for z, plane in zip(range(depth.start, depth.stop), item.region.voxels, strict=True):
            bits[numbers[z], height, width, segment] = plane
    return bits


def _description(number: int, item: SavedObject) -> Any:
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=item.name,
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.Tissue,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="napari-medsam", family=codes.DCM.ArtificialIntelligence, version=__version__
        ),
        display_color=CIELabColor.from_rgb(*item.colour),
    )
