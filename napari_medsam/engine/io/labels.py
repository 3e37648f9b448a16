"""Opening masks: as one label map, or as named objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import ImageError, SaveError
from napari_medsam.engine.io.grid import placed
from napari_medsam.engine.io.label_map import composed
from napari_medsam.engine.io.opening import PICTURES, has_suffix, read, require_exists
from napari_medsam.engine.io.saved_object import SavedObject, objects_of
from napari_medsam.engine.io.stored import Stored
from napari_medsam.engine.io.values import Array, as_labels
from napari_medsam.engine.volume import FloatArray, Volume


def open_labels(path: str | Path, like: Volume | None = None) -> npt.NDArray[np.integer[Any]]:
    """Open a label map as integers ``(z, y, x)``.

    Parameters
    ----------
    path : str or pathlib.Path
        A file of any format that `open_volume` takes (of a challenge case its ``gts``), a ``.seg.nrrd`` or a DICOM SEG.
        The grey values of a picture, or the numbers of its palette, are the labels.
    like : Volume, optional
        The image the labels belong to. Axes in another order or direction, and a grid cropped to the labels, are
        brought to its grid without interpolation.

    Raises
    ------
    ImageError
        If the file cannot be opened, holds no whole numbers, does not share the voxels of ``like``, or holds objects
        that overlap.
    """
    path = Path(path)
    stored = _stored(path, like)
    if stored is not None:
        try:
            return composed(stored.objects, stored.shape)
        except SaveError as error:
            raise ImageError(
                f"{path.name} holds objects that overlap; open it as a segmentation, not as labels."
            ) from error
    labels, affine = _label_map(path)
    return labels if like is None else placed(labels, affine, like, path.name)


def open_segmentation(path: str | Path, like: Volume | None = None) -> list[SavedObject]:
    """Open the objects of a ``.seg.nrrd``, a DICOM SEG, or a label map, whose objects are named after their values.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    like : Volume, optional
        The image whose voxels the regions are to count; without it they count those of the file, which a program may
        have cropped.

    Raises
    ------
    ImageError
        As `open_labels`, but objects may overlap.
    """
    path = Path(path)
    stored = _stored(path, like)
    return objects_of(open_labels(path, like)) if stored is None else stored.objects


def _stored(path: Path, like: Volume | None) -> Stored | None:
    """The objects of a file that names them; None for a plain label map."""
    require_exists(path)
    if has_suffix(path, ".seg.nrrd"):
        from napari_medsam.engine.io.slicer_segmentation import read_slicer

        stored = read_slicer(path)
        if not stored.objects:
            return None
    else:
        from napari_medsam.engine.io.dicom_files import is_dicom

        if not is_dicom(path):
            return None
        from napari_medsam.engine.io.dicom_segmentation_reading import is_dicom_segmentation, read_dicom_segmentation

        if not is_dicom_segmentation(path):
            return None
        stored = read_dicom_segmentation(path)
    return (stored if like is None else stored.on(like, path.name)).numbered()


def _label_map(path: Path) -> tuple[Array, FloatArray]:
    if has_suffix(path, ".npz"):
        from napari_medsam.engine.io.challenge import open_challenge

        case = open_challenge(path)
        if case.labels is None:
            raise ImageError(f"{path.name} holds no labels: it has no array named gts.")
        return case.labels, case.volume.affine
    if has_suffix(path, *PICTURES):
        from napari_medsam.engine.io.pictures import read_picture

        opened = read_picture(path, indexed=True)
    else:
        opened = read(path)
    if opened.count > 1:
        raise ImageError(f"{path.name} is a series of {opened.count} volumes; a label map has one.")
    return as_labels(opened.load(0, 1)[0], path.name), opened.affine
