"""A volume made ready for SAM 2: how its slices are shown, and where their embeddings are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from napari_medsam.engine.segmenters.sam2.encoding import Sam2Model, SliceFeatures, encode_slice, feature_shapes
from napari_medsam.engine.segmenters.sam2.feature_disk import FeatureDisk
from napari_medsam.engine.segmenters.sam2.features import FeatureStore
from napari_medsam.engine.segmenters.sam2.slices import Crop, SliceView
from napari_medsam.engine.segmenters.sam2.windowing import Window
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume

DISK_BUDGET = 20 << 30
"""Bytes on disk for the embeddings of all volumes: about thirty volumes of 300 slices at 512."""

_VIEWS_KEPT = 2  # of whole slices and of a close-up; another plane or crop pushes out the one longest unused


@dataclass(frozen=True, eq=False)
class Sight:
    """One way to look at the volume, and the embeddings of its slices."""

    view: SliceView
    features: FeatureStore


@dataclass(frozen=True, eq=False)
class Sam2Prepared:
    """A volume with the window it is shown in. Nothing is encoded until a slice is asked for.

    Parameters
    ----------
    volume : Volume
        The image.
    window : Window
        Intensities shown to the model.
    model : Sam2VideoModel
        The model.
    weights_hash : str
        Names its weights.
    cache : pathlib.Path, optional
        Folder for embeddings that outlast the session.
    """

    volume: Volume
    window: Window
    model: Sam2Model
    weights_hash: str
    cache: Path | None = None
    _sights: OrderedDict[tuple[int, Crop | None], Sight] = field(default_factory=OrderedDict, repr=False)

    def sight(self, axis: int, crop: Crop | None = None) -> Sight:
        """Slices along an axis, whole or cropped, with their embeddings."""
        found = self._sights.get((axis, crop))
        if found is None:
            view = SliceView(self.volume, self.window, self.model.image_size, axis, crop)
            found = Sight(view, self._store(view))
            self._sights[axis, crop] = found
            if len(self._sights) > _VIEWS_KEPT:
                self._sights.popitem(last=False)[1].features.close()
        self._sights.move_to_end((axis, crop))
        return found

    def encode_ahead(self, axis: int, centre: int, task: Task) -> Iterator[int]:
        """Encode all slices along an axis outwards from ``centre``, yielding each; see `FeatureStore.ahead`."""
        slices = self.sight(axis).features.ahead(centre, task)
        while True:
            with torch.inference_mode():
                index = next(slices, None)
            if index is None:
                return
            yield index

    def _store(self, view: SliceView) -> FeatureStore:
        def encode(index: int) -> SliceFeatures:
            return encode_slice(self.model, view.pixels(index).to(self.model.no_memory_embedding.device))

        disk = None
        if self.cache is not None:
            shapes = feature_shapes(view.size)
            disk = FeatureDisk(self.cache, f"{self.weights_hash}|{view.key}", view.count, shapes, DISK_BUDGET)
        return FeatureStore(encode, view.count, disk)
