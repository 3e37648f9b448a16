"""The window that suits a volume, before the model sees it."""

from __future__ import annotations

import numpy as np

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.volume import Volume
from napari_medsam.engine.window import Window

AIR_BELOW = -500.0
"""A volume of unknown modality with values below this is in Hounsfield units: no other scanner writes them."""

_SAMPLES = 2_000_000  # voxels that percentiles are taken of; more change the third digit


SOFT_TISSUE = Window(-160.0, 240.0)
"""Level 40, width 400 Hounsfield units: the window of MedSAM and MedSAM2 for soft tissue (arXiv 2304.12306)."""

EIGHT_BIT = Window(0.0, 255.0)
"""Pictures, and volumes that were windowed before."""


def window_for(volume: Volume) -> Window:
    """The window a volume is shown to the model in.

    Soft tissue for CT, 0 to 255 for 8-bit data and colour, else the 0.5 and 99.5 percentiles of the voxels that are not
    zero, as MedSAM does for MR.

    Raises
    ------
    ImageError
        If there is nothing to see: no finite voxel, or all of one value.
    """
    data = volume.data
    finite = data[np.isfinite(data)] if data.dtype.kind == "f" else data
    if not finite.size:
        raise ImageError("No voxel of the image holds a number: there is nothing to segment.")
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        raise ImageError(f"Every voxel of the image has the value {low:g}: there is nothing to segment.")
    if volume.is_colour or data.dtype == np.uint8:
        return EIGHT_BIT
    if volume.modality == "CT" or (not volume.modality and low < AIR_BELOW):
        return SOFT_TISSUE
    sample = finite.ravel()[:: max(1, finite.size // _SAMPLES)]
    sample = sample[sample != 0]
    if sample.size:
        first, last = (float(v) for v in np.percentile(sample, (0.5, 99.5)))
        if last > first:
            return Window(first, last)
    return Window(low, high)
