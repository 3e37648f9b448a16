"""Label maps from outlines that somebody drew on single slices."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from skimage.draw import polygon2mask


def contoured_volume(slices: Sequence[Path], outlines: Mapping[int, Sequence[Path]]) -> tuple[sitk.Image, sitk.Image]:
    """The slices on which all outlines were drawn, one over the other, and their label map.

    Parameters
    ----------
    slices : sequence of pathlib.Path
        DICOM files ``N.dcm`` of one series of short-axis slices or frames.
    outlines : mapping of int to sequence of pathlib.Path
        By the value that the inside gets; later ones count where they overlap. Text files ``IM-0001-N-*.txt`` of a
        vertex in pixels each line, x and y, counted from one (Sunnybrook Cardiac Data: of shifts by half pixels this
        gave the best contrast between wall and blood).

    Returns
    -------
    tuple of SimpleITK.Image
        Image and label map on its grid.
    """
    by_number = {int(path.stem): path for path in slices}
    drawn = {value: {_number(path): path for path in paths} for value, paths in outlines.items()}
    numbers = set.intersection(*(set(found) for found in drawn.values())) & set(by_number)
    if len(numbers) < 2:
        raise FileNotFoundError("fewer than two slices have all outlines")
    order = sorted(numbers, key=lambda number: _height(by_number[number]))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(by_number[number]) for number in order])
    image = reader.Execute()
    labels = np.zeros(image.GetSize()[::-1], np.uint8)
    for z, number in enumerate(order):
        for value, found in drawn.items():
            vertices = np.loadtxt(found[number]).reshape(-1, 2)
            labels[z][polygon2mask(labels.shape[1:], vertices[:, ::-1] - 1)] = value
    label_map = sitk.GetImageFromArray(labels)
    label_map.CopyInformation(image)
    return image, label_map


def _number(path: Path) -> int:
    found = re.fullmatch(r"IM-\d+-(\d+)-.*", path.stem)
    if found is None:
        raise ValueError(f"{path.name} does not say which slice it was drawn on")
    return int(found[1])


def _height(path: Path) -> float:
    """Where a slice lies along its normal, in millimetres."""
    header = sitk.ImageFileReader()
    header.SetFileName(str(path))
    header.ReadImageInformation()
    direction = np.reshape(header.GetDirection(), (3, 3))
    return float(np.dot(header.GetOrigin(), direction[:, 2]))
