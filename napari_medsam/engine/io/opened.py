"""What every reader answers with: the geometry at once, the voxels when asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari_medsam.engine.io.values import Array
from napari_medsam.engine.volume import FloatArray


@dataclass(frozen=True)
class Opened:
    """An image file whose header was read and found plausible.

    Parameters
    ----------
    affine : numpy.ndarray
        ``(4, 4)`` affine of every frame, as in `Volume`.
    count : int
        Number of frames: 1 for a 3D image.
    load : callable
        ``load(first, last)`` reads the frames ``first <= i < last`` as ``(frames, z, y, x)`` or ``(frames, z, y, x,
        3)``.
    modality : str
        DICOM modality code where the file names it.
    """

    affine: FloatArray
    count: int
    load: Callable[[int, int], Array]
    modality: str = ""
