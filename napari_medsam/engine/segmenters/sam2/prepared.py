"""A volume made ready for SAM 2: how its slices are shown, and where their embeddings are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from napari_medsam.engine.segmenters.sam2.encoding import (
    Positions,
    Sam2Model,
    SliceFeatures,
    encode_slice,
    feature_shapes,
)
from napari_medsam.engine.segmenters.sam2.feature_disk import FeatureDisk
from napari_medsam.engine.segmenters.sam2.features import FeatureStore
from napari_medsam.engine.segmenters.sam2.slices import Crop, SliceView
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume
from napari_medsam.engine.window import Window

DISK_BUDGET = 20 << 30
"""Bytes on disk for the embeddings of all volumes: about thirty volumes of 300 slices at 512."""

_VIEWS_KEPT = 2  # of whole slices and of a close-up; another plane or crop pushes out the one longest unused
_PATIENCE = 0.05  # seconds between looks at whether the model is free again


@dataclass(frozen=True, eq=False)
class Sight:
    """One way to look at the volume, and the embeddings of its slices."""

    view: SliceView
    features: FeatureStore


class Sam2Prepared:
    """A volume with the window it is shown in. Nothing is encoded until a slice is asked for.

    Parameters
    ----------
    volume : Volume
        The image.
    window : Window
        Intensities shown to the model until another window is chosen.
    model : Sam2VideoModel
        The model.
    weights_hash : str
        Names its weights.
    cache : pathlib.Path, optional
        Folder for embeddings that outlast the session.
    """

    def __init__(
        self, volume: Volume, window: Window, model: Sam2Model, weights_hash: str, cache: Path | None = None
    ) -> None:
        self._volume = volume
        self._window = self._fitting = window
        self._model = model
        self._weights_hash = weights_hash
        self._cache = cache
        self._positions: Positions | None = None
        self._sights: OrderedDict[tuple[int, Crop | None], Sight] = OrderedDict()
        self._lock = threading.Lock()
        self._waited_for = 0

    @property
    def volume(self) -> Volume:
        """The image."""
        return self._volume

    @property
    def window(self) -> Window:
        """Intensities shown to the model."""
        return self._window

    @property
    def problem(self) -> str | None:
        """One sentence when embeddings are no longer kept on disk."""
        with self._lock:
            return next((s.features.problem for s in self._sights.values() if s.features.problem), None)

    def show(self, window: Window | None) -> None:
        """Show the volume in another window from now on; slices are encoded anew as they are asked for.

        None is the window it was made with.
        """
        window = window or self._fitting
        with self._lock:
            if window != self._window:
                self._window = window
                self._sights.clear()

    def forget(self) -> None:
        """Let go of all embeddings in memory; those on disk stay."""
        with self._lock:
            self._sights.clear()

    def sight(self, axis: int, crop: Crop | None = None) -> Sight:
        """Slices along an axis, whole or cropped, with their embeddings."""
        with self._lock:
            found = self._sights.get((axis, crop))
            if found is None:
                view = SliceView(self._volume, self._window, self._model.image_size, axis, crop)
                found = Sight(view, self._store(view))
                self._sights[axis, crop] = found
                if len(self._sights) > _VIEWS_KEPT:
                    self._sights.popitem(last=False)
            self._sights.move_to_end((axis, crop))
            return found

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """While somebody waits for an answer, nothing is encoded ahead."""
        with self._lock:
            self._waited_for += 1
        try:
            yield
        finally:
            with self._lock:
                self._waited_for -= 1

    def encode_ahead(self, axis: int, centre: int, task: Task) -> Iterator[int]:
        """Encode all slices along an axis outwards from ``centre``, yielding each; see `FeatureStore.ahead`.

        Raises
        ------
        Cancelled
            If ``task`` was cancelled.
        """
        slices = self.sight(axis).features.ahead(centre, task)
        idle = threading.Event()
        while True:
            while self._waited_for:
                task.check()
                idle.wait(_PATIENCE)
            with precision(self._model):
                index = next(slices, None)
            if index is None:
                return
            yield index

    def _positions_now(self) -> Positions:
        # The model leaves a GPU whose memory is full.
        if self._positions is None or self._positions.decoder.device != self._model.no_memory_embedding.device:
            self._positions = Positions.of(self._model)
        return self._positions

    def _store(self, view: SliceView) -> FeatureStore:
        def encode(index: int) -> SliceFeatures:
            positions = self._positions_now()
            return encode_slice(self._model, view.pixels(index).to(positions.decoder.device), positions)

        disk = None
        if self._cache is not None:
            shapes = feature_shapes(view.size)
            disk = FeatureDisk(self._cache, f"{self._weights_hash}|{view.key}", view.count, shapes, DISK_BUDGET)
        return FeatureStore(encode, view.count, disk)


@contextmanager
def precision(model: Sam2Model) -> Iterator[None]:
    """How a model is run for answers: without gradients, and in bfloat16 on GPUs that have it.

    Processors stay at float32: without AMX or AVX-512's bfloat16 they are 2.8 times slower in bfloat16.
    """
    device = model.no_memory_embedding.device
    is_half = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=is_half):
        yield
