"""An image with its truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import Volume


@dataclass(frozen=True, eq=False)
class Sample:
    """An image with its truth.

    Parameters
    ----------
    volume : Volume
        The image.
    labels : numpy.ndarray
        uint8 ``(z, y, x)``; 0 where there is nothing named.
    names : mapping of int to str
        What each label value is.
    """

    volume: Volume
    labels: npt.NDArray[np.uint8]
    names: Mapping[int, str]

    def truth(self, name: str) -> Region:
        """The voxels of a structure by its name; raises `KeyError` when there is no such name."""
        values = {title: value for value, title in self.names.items()}
        return Region.of(self.labels == values[name])
