"""Files written beside their place and moved there when whole, so that a failed save never costs the old file."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_medsam.engine.errors import SaveError


@contextmanager
def write_aside(path: str | Path) -> Iterator[Path]:
    """Path of a temporary file in the same folder, which replaces ``path`` when the block ends well.

    The temporary file keeps every suffix of ``path``, is flushed to the disk and then renamed over it, which file
    systems do as one step. When the block fails, the temporary file is removed and what was at ``path`` before is
    untouched.

    Raises
    ------
    SaveError
        If the system refuses to write: a missing or read-only folder, a full disk, a folder in the way.
    """
    # A link is followed, so that the file it names is replaced and not the link.
    target = Path(path).resolve()
    aside = target.with_name(f".{uuid.uuid4().hex[:12]}-{target.name}")
    try:
        if target.is_dir():
            raise IsADirectoryError(21, "a folder has this name", str(target))
        yield aside
        _flush(aside)
        if target.exists():
            shutil.copymode(target, aside)
        aside.replace(target)
        _flush_folder(target.parent)
    except OSError as error:
        raise SaveError(f"{target} could not be written ({_reason(error)}); nothing there was changed.") from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    # Makes the rename itself durable. Windows cannot open a folder, and some network file systems cannot flush one.
    if os.name == "posix":
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
