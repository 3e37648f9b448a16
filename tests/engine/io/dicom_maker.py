"""DICOM series written by the tests themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

Change = Callable[[Dataset, int], None]


def oblique_affine(step: tuple[float, float, float] = (2.5, 0.8, 0.7)) -> np.ndarray:
    """A right-handed rotation about all axes with spacing ``(z, y, x)``: ``(z, y, x)`` to LPS."""
    a, b, c = 0.3, -0.2, 0.5
    turn_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turn_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = (turn_x @ turn_y @ turn_z)[:, ::-1] * step
    affine[:3, 3] = (-101.25, 52.5, 33.125)
    return affine


def write_series(
    folder: Path,
    voxels: np.ndarray,
    affine: np.ndarray,
    change: Change | None = None,
    series: str | None = None,
    prefix: str = "im",
) -> list[Path]:
    """Write ``(z, y, x)`` int16 voxels as one CT file a slice, named backwards; ``change`` edits each."""
    folder.mkdir(parents=True, exist_ok=True)
    series, place, study = series or generate_uid(), generate_uid(), generate_uid()
    paths = []
    for z in range(len(voxels)):
        image = _image(voxels[z], affine, z)
        image.SeriesInstanceUID, image.FrameOfReferenceUID, image.StudyInstanceUID = series, place, study
        if change is not None:
            change(image, z)
        path = folder / f"{prefix}{len(voxels) - z:03d}.dcm"
        image.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _image(pixels: np.ndarray, affine: np.ndarray, z: int) -> Any:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.Modality, image.SeriesDescription, image.SeriesNumber = "CT", "Abdomen", 3
    image.InstanceNumber = z + 1
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.ImageOrientationPatient = [
        f"{v:.10f}" for v in [*(affine[:3, 2] / spacing[2]), *(affine[:3, 1] / spacing[1])]
    ]
    image.ImagePositionPatient = [f"{v:.8f}" for v in affine[:3, 3] + z * affine[:3, 0]]
    image.PixelSpacing = [f"{spacing[1]:.8f}", f"{spacing[2]:.8f}"]
    image.SliceThickness = f"{spacing[0]:.8f}"
    image.Rows, image.Columns = pixels.shape[:2]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    image.RescaleSlope, image.RescaleIntercept = 1, -1024
    image.PixelData = pixels.astype("<i2").tobytes()
    return image
