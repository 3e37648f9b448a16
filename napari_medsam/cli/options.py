"""Options several commands share: the model, and prompts in voxels."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_medsam.engine.errors import SaveError
from napari_medsam.engine.prompts import Box, Point


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--model`` and ``--device``."""
    parser.add_argument(
        "--model",
        default="compact",
        metavar="M",
        help="a registered name or the folder of a fine-tuned model (default: compact)",
    )
    parser.add_argument("--device", default="auto", help="torch device (default: a GPU where there is one)")


def add_prompt_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--box``, ``--point`` and ``--negative``: all end in ``args.prompts``, in the order in which they come."""
    for name, kind, metavar, text in (
        ("--box", _box, "Z0,Y0,X0,Z1,Y1,X1", "a box: its first voxel and one past its last"),
        ("--point", _point, "Z,Y,X", "a click inside the object"),
        ("--negative", _negative, "Z,Y,X", "a click on what does not belong to it"),
    ):
        parser.add_argument(
            name, type=kind, action="append", dest="prompts", default=[], metavar=metavar, help=f"{text}; repeatable"
        )


def require_folder_of(path: Path) -> None:
    """Ask before the work, not after, whether there is a folder to write a file into.

    Raises
    ------
    SaveError
        If there is none.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise SaveError(f"{path} cannot be written: there is no folder {folder}.")


def make_folder(folder: Path) -> None:
    """Make a folder to write into, and those above it.

    Raises
    ------
    SaveError
        If the system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"The folder {folder} cannot be made: {(error.strerror or str(error)).lower()}.") from error


def _numbers(text: str, count: int) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise argparse.ArgumentTypeError(f"{text!r} is not {count} numbers with commas between them")
    return values


def _box(text: str) -> Box:
    values = _numbers(text, 6)
    z0, y0, x0, z1, y1, x1 = (int(value) for value in values)
    if [z0, y0, x0, z1, y1, x1] != values:
        raise argparse.ArgumentTypeError(f"{text!r}: the corners of a box are whole voxels")
    return Box((z0, y0, x0), (z1, y1, x1))


def _point(text: str) -> Point:
    z, y, x = _numbers(text, 3)
    return Point((z, y, x))


def _negative(text: str) -> Point:
    z, y, x = _numbers(text, 3)
    return Point((z, y, x), positive=False)
