"""PNG, JPEG, TIFF and BMP pictures through Pillow: volumes of one slice, one millimetre a pixel."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io.guard import require_plausible
from napari_medsam.engine.io.opened import Opened
from napari_medsam.engine.io.values import Array, native
from napari_medsam.engine.volume import affine_from_spacing

# Modes of Pillow whose pixels are one number each; what else there is becomes grey or RGB.
_GREY = {"L", "I", "F", "I;16", "I;16B", "I;16L"}
_TO_GREY = {"1": "L", "LA": "L", "La": "L"}
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def read_picture(path: Path, indexed: bool = False) -> Opened:
    """Read a picture: grey of 8 or 16 bits or floating point, or RGB; transparency is dropped.

    Pages of a TIFF are frames. Resolution tags are ignored, for they speak of printing.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    indexed : bool
        Take the numbers of a palette picture instead of its colours, which is what a label map means by them.

    Raises
    ------
    ImageError
        If the file is no picture, damaged, or too large.
    """
    with _opened(path) as picture:
        count = int(getattr(picture, "n_frames", 1))
        bands = 1 if picture.mode in _GREY or picture.mode in _TO_GREY else 3
        deep = 4 if picture.mode in ("I", "F") else 2
        require_plausible(path, picture.width * picture.height * bands * deep * count)

    def load(first: int, last: int) -> Array:
        with _opened(path) as picture:
            try:
                return np.stack([_frame(picture, i, indexed) for i in range(first, last)])
            except _DAMAGE as error:
                raise ImageError(
                    f"{path.name} is damaged, cut short, or its pages differ: its pixels cannot be read."
                ) from error

    return Opened(affine_from_spacing((1.0, 1.0, 1.0)), count, load)


def write_picture(path: Path, labels: Array) -> None:
    """Write a label map ``(1, y, x)`` as a grey PNG of 8 or 16 bits whose grey values are the labels."""
    Image.fromarray(labels[0]).save(path, format="PNG")


def _opened(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures, which slides are (`require_plausible` asks the memory instead), and of
            # damage before it raises.
            warnings.simplefilter("ignore")
            return Image.open(path)
    except UnidentifiedImageError as error:
        raise ImageError(f"{path.name} is not a picture that can be read, or it is damaged.") from error
    except _DAMAGE as error:
        raise ImageError(f"{path.name} cannot be opened as a picture: {error}") from error


def _frame(picture: Image.Image, index: int, indexed: bool) -> Array:
    if index or picture.tell():
        picture.seek(index)
    if picture.mode in _GREY or (indexed and picture.mode == "P"):
        pixels = picture
    else:
        pixels = picture.convert(_TO_GREY.get(picture.mode, "RGB"))
    return native(np.array(pixels))[None]
