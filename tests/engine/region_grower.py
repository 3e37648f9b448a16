"""A small segmenter without a network: grows regions of similar brightness. Makes tests of session logic quick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_medsam.engine.errors import ImageError, PromptError
from napari_medsam.engine.prompts import Box, MaskPrompt, Prompt
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Prediction, SegmenterInfo
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume


@dataclass(frozen=True)
class Smoothed:
    volume: Volume
    values: np.ndarray


class RegionGrower:
    """Boxes take what is brighter than their mean; clicks take or give away the similar voxels within ``reach``."""

    def __init__(self, weights_hash: str = "0" * 64, tolerance: float = 0.2, reach: int = 3) -> None:
        self.info = SegmenterInfo(
            "region-grower",
            "Region grower",
            "Apache-2.0",
            weights_hash,
            frozenset({"point", "box", "scribble", "lasso", "mask"}),
        )
        self.tolerance = tolerance
        self.reach = reach
        self.prepared_count = 0
        self.before_answer: Callable[[], None] | None = None

    def prepare(self, volume: Volume, task: Task) -> Smoothed:
        task.progress(0.0, "Smoothing")
        values = volume.data.astype(np.float32)
        if not np.isfinite(values).any() or np.ptp(values) == 0:
            raise ImageError("The image holds nothing to segment.")
        self.prepared_count += 1
        return Smoothed(volume, (values - values.min()) / np.ptp(values))

    def predict(self, prepared: Smoothed, prompts: Sequence[Prompt], previous: Region, task: Task) -> Prediction:
        shape = prepared.volume.shape
        values = prepared.values
        if not previous and not any(prompt.positive for prompt in prompts):
            raise PromptError("A first prompt must be positive.")
        mask = previous.full(shape)
        for number, prompt in enumerate(prompts):
            task.progress(number / len(prompts), "Growing")
            touched = prompt.region(shape).full(shape)
            if isinstance(prompt, Box):
                grown = touched & (values > values[touched].mean())
            elif isinstance(prompt, MaskPrompt):
                grown = touched
            else:
                near = ndimage.binary_dilation(touched, iterations=self.reach)
                similar = near & (np.abs(values - values[touched].mean()) <= self.tolerance) | touched
                labels, _ = ndimage.label(similar)
                grown = np.isin(labels, np.unique(labels[touched]))
            mask = mask | grown if prompt.positive else mask & ~grown
        if self.before_answer is not None:
            self.before_answer()
        task.check()
        return Prediction(Region.of(mask), 0.5, {"grow": 0.0})


def blobs(shape: tuple[int, int, int] = (12, 20, 24), seed: int = 0) -> Volume:
    """A volume of smooth bright blobs on a dark, slightly noisy ground."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.random(shape), 2.0)
    return Volume(((noise - noise.min()) / np.ptp(noise) * 1000).astype(np.int16))
