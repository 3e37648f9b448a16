"""The embeddings of every slice, computed once for all objects, prompts and sessions."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

import torch

from napari_medsam.engine.segmenters.sam2.encoding import SliceFeatures
from napari_medsam.engine.segmenters.sam2.feature_disk import FeatureDisk
from napari_medsam.engine.task import Task

MEMORY_BUDGET = 1 << 30
"""Bytes of embeddings kept in memory: 500 slices at 512, 120 at 1024."""


class FeatureStore:
    """Slices' embeddings, from memory, else from disk, else computed and kept.

    Kept in float16, at half the memory; answers differ from those of float32 by less than a thousandth of a logit's
    range. May be asked from several threads.

    Parameters
    ----------
    encode : callable
        Computes the `SliceFeatures` of a slice.
    slices : int
        Number of slices.
    disk : FeatureDisk, optional
        Where to keep them beyond memory and session.
    budget : int
        Bytes to keep in memory; at least the newest slice stays.
    dtype : torch.dtype
        Precision to keep; with float32 nothing is lost and nothing goes to disk.
    """

    def __init__(
        self,
        encode: Callable[[int], SliceFeatures],
        slices: int,
        disk: FeatureDisk | None = None,
        budget: int = MEMORY_BUDGET,
        dtype: torch.dtype = torch.float16,
    ) -> None:
        self.slices = slices
        self.encoded = 0
        self._encode = encode
        self._disk = disk if dtype == torch.float16 else None
        self._budget = budget
        self._dtype = dtype
        self._kept: OrderedDict[int, SliceFeatures] = OrderedDict()
        self._latest: tuple[int, SliceFeatures] | None = None
        self._device = torch.device("cpu")
        self._lock = threading.Lock()

    @property
    def problem(self) -> str | None:
        """One sentence when embeddings are no longer kept on disk."""
        return None if self._disk is None else self._disk.problem

    @property
    def nbytes(self) -> int:
        """Bytes kept in memory."""
        with self._lock:
            return sum(features.nbytes for features in self._kept.values())

    def __contains__(self, index: int) -> bool:
        with self._lock:
            return index in self._kept

    def __call__(self, index: int) -> SliceFeatures:
        """The embeddings of a slice in float32, on the device they were computed on."""
        with self._lock:
            features = self._kept.get(index)
            if features is not None:
                self._kept.move_to_end(index)
                if self._latest is not None and self._latest[0] == index:
                    return self._latest[1]
        if features is None:
            features = self._from_disk(index) or self._computed(index)
            self._keep(index, features)
        full = features.to(torch.float32)
        # A click asks for its slice several times, and each time the conversion would cost a hundredth of it.
        with self._lock:
            self._latest = (index, full)
        return full

    def ahead(self, centre: int, task: Task) -> Iterator[int]:
        """Make sure of all slices outwards from ``centre``, yielding each when it is there.

        Stops where memory is full and there is no disk: going on would only push out what is near.

        Raises
        ------
        Cancelled
            If ``task`` was cancelled.
        """
        for done, index in enumerate(outwards(centre, self.slices)):
            task.progress(done / self.slices, "Encoding slices")
            if index not in self:
                if self._is_full() and (self._disk is None or self.problem is not None):
                    return
                self(index)
            yield index

    def close(self) -> None:
        """Let go of memory and disk."""
        with self._lock:
            self._kept.clear()
            self._latest = None
        if self._disk is not None:
            self._disk.close()

    def _computed(self, index: int) -> SliceFeatures:
        features = self._encode(index)
        self.encoded += 1
        self._device = features.coarse.device
        features = features.to(self._dtype)
        if self._disk is not None:
            self._disk.write(index, [tensor[0].detach().cpu().numpy() for tensor in features.tensors])
        return features

    def _from_disk(self, index: int) -> SliceFeatures | None:
        arrays = None if self._disk is None else self._disk.read(index)
        if arrays is None:
            return None
        return SliceFeatures(*(torch.tensor(array)[None].to(self._device) for array in arrays))

    def _keep(self, index: int, features: SliceFeatures) -> None:
        with self._lock:
            self._kept[index] = features
            self._kept.move_to_end(index)
            total = sum(kept.nbytes for kept in self._kept.values())
            while total > self._budget and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                total -= oldest.nbytes

    def _is_full(self) -> bool:
        with self._lock:
            sizes = [features.nbytes for features in self._kept.values()]
        return bool(sizes) and sum(sizes) + max(sizes) > self._budget


def outwards(centre: int, count: int) -> Iterator[int]:
    """Indices below ``count`` from ``centre`` outwards, alternating: the slices a user sees next come first."""
    centre = min(max(centre, 0), count - 1)
    yield centre
    for distance in range(1, count):
        for index in (centre + distance, centre - distance):
            if 0 <= index < count:
                yield index
