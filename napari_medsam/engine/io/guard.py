"""Headers checked against the file and the memory before anything is allocated for them."""

from __future__ import annotations

from pathlib import Path

import psutil

from napari_medsam.engine.errors import ImageError

DEFLATE_RATIO = 1032
"""Most bytes that one byte of deflate (gzip, zip, PNG) can stand for; https://zlib.net/zlib_tech.html."""


def require_plausible(path: Path, declared: int, held: int | None = None, ratio: int = 1) -> None:
    """Refuse a header that declares more voxels than the file can hold or the machine can take.

    Parameters
    ----------
    path : pathlib.Path
        Names the file in the sentence.
    declared : int
        Bytes of voxels the header declares.
    held : int, optional
        Bytes of the file that may be voxels; None where the compression has no bound.
    ratio : int
        Bytes of voxels that one byte of the file can stand for.

    Raises
    ------
    ImageError
        If they cannot be read.
    """
    if held is not None and declared > held * ratio:
        raise ImageError(
            f"{path.name} declares {_size(declared)} of voxels but holds only {_size(held)}: the file is cut short or "
            "its header is damaged; copy it again from where it came."
        )
    free = psutil.virtual_memory().available
    if declared > free:
        raise ImageError(
            f"{path.name} needs {_size(declared)} of memory and {_size(free)} are free: close other programs or crop "
            "the image first."
        )


def _size(count: int) -> str:
    for unit, bytes_ in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= bytes_:
            return f"{count / bytes_:.1f} {unit}"
    return f"{count} bytes"
