"""Cases of the CVPR-2025 challenge on interactive 3D segmentation: ``.npz`` files with image, truth and boxes."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io.affines import from_itk
from napari_medsam.engine.io.guard import DEFLATE_RATIO, require_plausible
from napari_medsam.engine.io.object_array import read_objects
from napari_medsam.engine.io.opened import Opened
from napari_medsam.engine.io.values import Array, as_labels, native, require_numbers
from napari_medsam.engine.prompts import Box
from napari_medsam.engine.volume import FloatArray, Vec3, Volume

_LOWER = ("z_min", "z_mid_y_min", "z_mid_x_min")
_UPPER = ("z_max", "z_mid_y_max", "z_mid_x_max")


@dataclass(frozen=True, eq=False)
class ChallengeCase:
    """What a challenge file holds.

    Parameters
    ----------
    volume : Volume
        The image (``imgs``).
    labels : numpy.ndarray, optional
        Integer ``(z, y, x)`` truth (``gts``); None where the file has none.
    boxes : tuple of Box, optional
        One box for each structure (``boxes``), in the order of the label values; None where the file has none.
    """

    volume: Volume
    labels: npt.NDArray[np.integer[Any]] | None
    boxes: tuple[Box, ...] | None


def open_challenge(path: str | Path) -> ChallengeCase:
    """Open a ``.npz`` case of the CVPR-2025 challenge.

    The order of its spacing is settled by `spacing_zyx`. Where ``origin`` and ``direction`` are there too, they give
    the place in the world.

    Raises
    ------
    ImageError
        If the file is not such a case, damaged, or its arrays do not fit together.
    """
    path = Path(path)
    opened = read_challenge(path)
    image = opened.load(0, 1)[0]
    require_numbers(image, path.name)
    volume = Volume(image, opened.affine, source=path)
    labels = boxes = None
    with _archive(path) as archive:
        names = _names(archive)
        if "gts" in names:
            labels = as_labels(_slices(_array(archive, path, "gts")), path.name)
        if "boxes" in names:
            boxes = _boxes(archive, path)
    if labels is not None and labels.shape != volume.shape:
        raise ImageError(f"In {path.name} the labels have the shape {labels.shape} and the image {volume.shape}.")
    return ChallengeCase(volume, labels, boxes)


def read_challenge(path: Path) -> Opened:
    """Read the image of a challenge case.

    Raises
    ------
    ImageError
        If the file holds no ``imgs``, or is damaged.
    """
    with _archive(path) as archive:
        names = _names(archive)
        if "imgs" not in names:
            raise ImageError(f"{path.name} holds no array named imgs: it is not a case of the CVPR-2025 challenge.")
        with _member(archive, path, "imgs") as (_, shape, _dtype):
            frame = _slices(np.broadcast_to(np.uint8(0), shape)).shape
        place: dict[str, Array] = {
            name: _array(archive, path, name) for name in ("spacing", "origin", "direction") if name in names
        }

    def load(_first: int, _last: int) -> Array:
        with _archive(path) as archive:
            return _slices(_array(archive, path, "imgs"))[None]

    return Opened(_affine(path, frame, place), 1, load)


def spacing_zyx(spacing: Vec3, shape: tuple[int, ...], itk: bool) -> Vec3:
    """The spacing of a challenge case in the order ``(z, y, x)``.

    Users of the format disagree: its conversion scripts write ITK's ``(x, y, z)``, the evaluator and some entries read
    the order of the array. It is taken as ``(x, y, z)``, unless the numbers show otherwise: the first alone differs,
    and the slices are square, which is how a stack of axial slices looks that was written as ``(z, y, x)``.

    Parameters
    ----------
    spacing : tuple of float
        As in the file.
    shape : tuple of int
        Of the image, ``(z, y, x)``.
    itk : bool
        Whether ITK's ``origin`` and ``direction`` stand beside it, which settles the question.
    """
    first, middle, last = spacing
    reversed_ = not itk and first != middle and middle == last and shape[1] == shape[2] != shape[0]
    return (first, middle, last) if reversed_ else (last, middle, first)


def _affine(path: Path, shape: tuple[int, ...], place: dict[str, Array]) -> FloatArray:
    spacing = np.ravel(place.get("spacing", np.ones(3))).astype(np.float64)
    if spacing.size == 2:
        spacing = np.append(spacing, 1.0)
    if spacing.size != 3 or not (spacing > 0).all():
        raise ImageError(f"The spacing in {path.name} is not three positive numbers: {spacing.tolist()}.")
    first, middle, last = spacing.tolist()
    z, y, x = spacing_zyx((first, middle, last), shape, "direction" in place)
    try:
        return from_itk(place.get("origin", np.zeros(3)), (x, y, z), place.get("direction", np.eye(3)))
    except ValueError as error:
        raise ImageError(f"The origin or direction in {path.name} does not have three axes.") from error


def _boxes(archive: zipfile.ZipFile, path: Path) -> tuple[Box, ...]:
    with _member(archive, path, "boxes") as (file, shape, dtype):
        if not dtype.hasobject:
            raise ImageError(f"The boxes in {path.name} are of the type {dtype}; a list of named bounds is needed.")
        records = read_objects(file.read(), path.name)
    boxes = []
    for record in records:
        try:
            lz, ly, lx = (int(record[name]) for name in _LOWER)
            uz, uy, ux = (int(record[name]) + 1 for name in _UPPER)
        except (KeyError, TypeError, ValueError) as error:
            raise ImageError(
                f"The boxes in {path.name} lack one of the bounds {', '.join(_LOWER + _UPPER)}."
            ) from error
        boxes.append(Box((lz, ly, lx), (uz, uy, ux)))
    if len(boxes) != prod(shape):
        raise ImageError(
            f"The boxes in {path.name} are damaged: {prod(shape)} are declared and {len(boxes)} are there."
        )
    return tuple(boxes)


def _slices(array: Array) -> Array:
    """The array with a slice axis: a 2D picture, grey or RGB, becomes a volume of one slice."""
    flat = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    return array[None] if flat else array


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ImageError(f"{path.name} is not a .npz file, or it is damaged or cut short.") from error


def _names(archive: zipfile.ZipFile) -> set[str]:
    return {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}


@contextmanager
def _member(
    archive: zipfile.ZipFile, path: Path, name: str
) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[Any]]]:
    """The stream of an array, placed at its voxels, with the shape and type its header declares; nothing allocated."""
    member = archive.getinfo(f"{name}.npy")
    require_plausible(path, member.file_size, member.compress_size, DEFLATE_RATIO)
    with archive.open(member) as file:
        try:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(file)
        except ValueError as error:
            raise ImageError(f"The array {name} in {path.name} is damaged.") from error
        if not dtype.hasobject:
            require_plausible(path, prod(shape) * dtype.itemsize, member.file_size)
        yield file, shape, dtype


def _array(archive: zipfile.ZipFile, path: Path, name: str) -> Array:
    with _member(archive, path, name):
        pass
    with archive.open(f"{name}.npy") as file:
        try:
            array = npy.read_array(file, allow_pickle=False)
        except ValueError as error:
            raise ImageError(f"The array {name} in {path.name} is damaged or is not an array of numbers.") from error
    return native(np.asarray(array))
