"""Saving objects, in the format that the name of the file asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from napari_medsam.engine.errors import SaveError
from napari_medsam.engine.io.aside import write_aside
from napari_medsam.engine.io.label_map import composed
from napari_medsam.engine.io.opening import has_suffix
from napari_medsam.engine.io.saved_object import SavedObject
from napari_medsam.engine.volume import Volume

_LARGEST_VALUE = 65535


def save_objects(path: str | Path, volume: Volume, objects: Sequence[SavedObject]) -> None:
    """Save the objects segmented in an image, on exactly its voxels.

    Parameters
    ----------
    path : str or pathlib.Path
        Its ending chooses the format: ``.nii``, ``.nii.gz``, ``.nrrd``, ``.mha`` and ``.png`` (one slice) hold a label
        map of 8 or 16 bits, ``.seg.nrrd`` (3D Slicer) names and colours and overlaps too, and ``.dcm`` (DICOM SEG, for
        images opened from DICOM) all of these, with the segments numbered from 1.
    volume : Volume
        The image.
    objects : sequence of SavedObject
        What to save; an object without voxels keeps its place in the formats that name objects.

    Raises
    ------
    SaveError
        If the format is unknown or cannot hold the objects, or the system refuses to write. What was at ``path`` before
        is untouched.
    """
    path = Path(path)
    _require_savable(volume, objects)
    writer = _writer(path, volume, objects)
    with write_aside(path) as aside:
        writer(aside)


def _writer(path: Path, volume: Volume, objects: Sequence[SavedObject]) -> Callable[[Path], None]:
    """What writes the file: everything that can be refused is refused before it is called."""
    if has_suffix(path, ".seg.nrrd"):
        from napari_medsam.engine.io.slicer_segmentation import write_slicer

        return lambda aside: write_slicer(aside, objects, volume.shape, volume.affine)
    if has_suffix(path, ".dcm"):
        from napari_medsam.engine.io.dicom_segmentation_writing import write_dicom_segmentation

        return lambda aside: write_dicom_segmentation(aside, volume, objects)
    if not has_suffix(path, ".nii", ".nii.gz", ".nrrd", ".mha", ".png"):
        raise SaveError(
            f"{path.name} has no ending of a format to save in: .nii.gz, .nii, .nrrd, .mha, .seg.nrrd, .dcm or .png."
        )
    if has_suffix(path, ".png") and volume.shape[0] > 1:
        raise SaveError(f"A PNG holds one slice and this image has {volume.shape[0]}: save as .nii.gz or .seg.nrrd.")
    labels = composed(objects, volume.shape)
    if has_suffix(path, ".png"):
        from napari_medsam.engine.io.pictures import write_picture

        return lambda aside: write_picture(aside, labels)
    if has_suffix(path, ".nii", ".nii.gz"):
        from napari_medsam.engine.io.nifti import write_nifti

        return lambda aside: write_nifti(aside, labels, volume.affine)
    from napari_medsam.engine.io.itk_writing import write_meta, write_nrrd

    return lambda aside: (write_meta if has_suffix(path, ".mha") else write_nrrd)(aside, labels, volume.affine)


def _require_savable(volume: Volume, objects: Sequence[SavedObject]) -> None:
    for item in objects:
        if not 1 <= item.value <= _LARGEST_VALUE:
            raise SaveError(
                f"'{item.name}' has the label value {item.value}; values from 1 to {_LARGEST_VALUE} can be saved."
            )
        if item.region and not all(
            low >= 0 and up <= n for low, up, n in zip(item.region.lower, item.region.upper, volume.shape, strict=True)
        ):
            raise SaveError(f"'{item.name}' reaches outside the image of {volume.shape} voxels.")
    value, count = Counter(item.value for item in objects).most_common(1)[0] if objects else (0, 0)
    if count > 1:
        names = " and ".join(f"'{item.name}'" for item in objects if item.value == value)
        raise SaveError(f"{names} have the same label value {value}: give each one of its own.")
