"""Embeddings kept on disk: one file per volume and model, read through memory mapping, valid across sessions.

A slice counts only when its checksum fits, so that a crash half-way, two processes at once or a damaged disk cost an
encoding and never a wrong mask. A disk that is full or read-only costs the cache and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import mmap
import os
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.volume import Index3

_FORMAT = "1"
_VALUES, _INDEX = "features.f16", "checksums.u64"
_PRESENT = 1 << 32  # set beside a checksum, which may be zero itself

HalfArray = npt.NDArray[np.float16]


class FeatureDisk:
    """The embeddings of the slices of one volume in a folder of their own.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of all caches; made where it is missing, readable by its owner only, because embeddings tell of patients.
    key : str
        Names what the embeddings depend on: image, weights, size, window, plane.
    slices : int
        Number of slices.
    shapes : sequence of Index3
        Shapes of the tensors of a slice.
    budget : int
        Bytes that all caches of the folder may take; the ones longest unused go first.

    Attributes
    ----------
    folder : pathlib.Path
        Where this volume's are.
    problem : str or None
        One sentence when nothing is kept any more.
    """

    def __init__(self, folder: Path, key: str, slices: int, shapes: Sequence[Index3], budget: int) -> None:
        self.problem: str | None = None
        self._shapes = [tuple(shape) for shape in shapes]
        self._sizes = [math.prod(shape) for shape in shapes]
        self._length = 2 * sum(self._sizes)
        self._map: mmap.mmap | None = None
        self._checksums = np.zeros(slices, dtype="<u8")
        self.folder = folder / hashlib.sha256(f"{_FORMAT}|{key}|{slices}|{self._shapes}".encode()).hexdigest()[:32]
        if self._length * slices > budget:
            self.problem = "The embeddings of this volume are larger than the cache may be: they are not kept on disk."
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            make_room(folder, budget - self._length * slices, keep=self.folder)
            self._open(slices)
        except OSError as error:
            self._give_up(error)

    def read(self, index: int) -> list[HalfArray] | None:
        """The float16 arrays of a slice, or None if they are not there in full."""
        entry = int(self._checksums[index])
        if self._map is None or not entry:
            return None
        start = index * self._length
        raw = self._map[start : start + self._length]
        if zlib.crc32(raw) | _PRESENT != entry:
            self._checksums[index] = 0
            return None
        values = np.frombuffer(raw, dtype="<f2")
        ends = np.cumsum(self._sizes)[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(values, ends), self._shapes, strict=True)]

    def write(self, index: int, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Keep the arrays of a slice as float16, first what they say and then that they are there."""
        if self.problem is not None:
            return
        raw = b"".join(np.ascontiguousarray(array, dtype="<f2").tobytes() for array in arrays)
        entry = zlib.crc32(raw) | _PRESENT
        try:
            # Through the file and not the mapping, where a full disk would be a bus error instead of an exception.
            self._put(_VALUES, index * self._length, raw)
            self._put(_INDEX, index * 8, entry.to_bytes(8, "little"))
        except OSError as error:
            self._give_up(error)
            return
        self._checksums[index] = entry

    def close(self) -> None:
        """Let go of the files."""
        if self._map is not None:
            self._map.close()
            self._map = None

    def _open(self, slices: int) -> None:
        values, index = self.folder / _VALUES, self.folder / _INDEX
        for path, size in ((values, self._length * slices), (index, 8 * slices)):
            # A cache that is complete can be read from a disk that cannot be written.
            if not path.is_file() or path.stat().st_size != size:
                with path.open("ab") as file:
                    file.truncate(size)  # sparse: takes room only where slices were written
        with contextlib.suppress(OSError):
            os.utime(self.folder)
        self._checksums = np.fromfile(index, dtype="<u8")
        with values.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def _put(self, name: str, offset: int, raw: bytes) -> None:
        with (self.folder / name).open("r+b", buffering=0) as file:
            file.seek(offset)
            if file.write(raw) != len(raw):
                raise OSError("the disk is full")

    def _give_up(self, error: OSError) -> None:
        reason = (error.strerror or str(error)).lower()
        self.problem = (
            f"Embeddings are kept in memory only: the cache {self.folder.parent} cannot be written ({reason})."
        )


def make_room(folder: Path, budget: int, keep: Path) -> None:
    """Remove the caches longest unused from ``folder`` until all but ``keep`` take at most ``budget`` bytes."""
    caches = []
    for cache in folder.iterdir():
        if cache != keep and (cache / _INDEX).is_file():
            # One that another process removes meanwhile takes no room.
            with contextlib.suppress(OSError):
                size = sum(_allocated(path) for path in cache.iterdir())
                caches.append((cache.stat().st_mtime, size, cache))
    taken = sum(size for _, size, _ in caches)
    for _, size, cache in sorted(caches):
        if taken <= budget:
            return
        shutil.rmtree(cache, ignore_errors=True)
        taken -= size


def _allocated(path: Path) -> int:
    status = path.stat()
    # Windows has no blocks; there the files are not sparse.
    return int(getattr(status, "st_blocks", -(-status.st_size // 512))) * 512
