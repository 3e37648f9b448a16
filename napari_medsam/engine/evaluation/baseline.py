"""What a box alone is worth: the ellipsoid that touches its six sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_medsam.engine.errors import PromptError
from napari_medsam.engine.prompts import Box, Prompt
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Prediction, Prepared, SegmenterInfo
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume


def inscribed_ellipsoid(box: Box) -> Region:
    """Voxels whose centres lie in the ellipsoid that touches the six sides of the box."""
    size = np.subtract(box.upper, box.lower)
    axes = [((np.arange(n) + 0.5) / n * 2.0 - 1.0) ** 2 for n in size.tolist()]
    z, y, x = np.ix_(*axes)
    return Region.of(z + y + x <= 1.0, box.lower)


@dataclass(frozen=True)
class _PreparedEllipsoid:
    volume: Volume


class EllipsoidSegmenter:
    """Reference without a look at the image: answers the newest box with its inscribed ellipsoid; takes no clicks."""

    @property
    def info(self) -> SegmenterInfo:
        """What it is and takes."""
        return SegmenterInfo("ellipsoid", "Ellipsoid in the box", "Apache-2.0", "", frozenset({Box.kind}))

    def prepare(self, volume: Volume, task: Task) -> Prepared:
        """Nothing to compute."""
        task.check()
        return _PreparedEllipsoid(volume)

    def predict(
        self,
        prepared: Prepared,
        prompts: Sequence[Prompt],
        previous: Region,  # noqa: ARG002 - part of the protocol
        task: Task,
    ) -> Prediction:
        """The ellipsoid in the newest box.

        Raises
        ------
        PromptError
            If a prompt is not a box, or lies outside the image.
        """
        task.check()
        boxes = [prompt for prompt in prompts if isinstance(prompt, Box)]
        if len(boxes) < len(prompts):
            raise PromptError("The ellipsoid answers boxes only.")
        return Prediction(inscribed_ellipsoid(boxes[-1].clipped(prepared.volume.shape)))
