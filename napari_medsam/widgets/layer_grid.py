"""How the data of an image layer correspond to frames of voxels ``(z, y, x)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import ImageError, PromptError
from napari_medsam.engine.volume import FloatArray, Index3, Vec3

if TYPE_CHECKING:
    from napari.layers import Image


@dataclass(frozen=True)
class Spot:
    """A place in an image layer: a voxel coordinate in one frame, seen in a slice.

    Parameters
    ----------
    frame : int
        Frame of a 4D layer, else 0.
    position : tuple of float
        Voxel coordinate ``(z, y, x)``, whole along ``axis``.
    axis : int
        Axis of ``(z, y, x)`` across the displayed plane.
    """

    frame: int
    position: Vec3
    axis: int

    @property
    def level(self) -> int:
        """Index of the displayed slice along `axis`."""
        return int(self.position[self.axis])


@dataclass(frozen=True)
class LayerGrid:
    """The shape of an image layer read as ``(y, x)``, ``(z, y, x)`` or ``(frame, z, y, x)``.

    Parameters
    ----------
    shape : tuple of int
        Shape of the layer's data, without the colour axis.

    Raises
    ------
    ImageError
        If the layer has another number of axes.
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.shape) <= 4:
            raise ImageError(f"Layers with 2 to 4 axes can be segmented, this one has {len(self.shape)}.")

    @classmethod
    def of(cls, layer: Image) -> LayerGrid:
        """Grid of a layer; the finest level of a multiscale one."""
        shape = tuple(int(n) for n in finest(layer).shape)
        return cls(shape[:-1] if layer.rgb else shape)

    @property
    def ndim(self) -> int:
        """Number of axes of the layer."""
        return len(self.shape)

    @property
    def frames(self) -> int:
        """Number of volumes in the layer."""
        return self.shape[0] if self.ndim == 4 else 1

    @property
    def volume_shape(self) -> Index3:
        """Voxels ``(z, y, x)`` of one frame."""
        z, y, x = (1, *self.shape)[-3:]
        return z, y, x

    def spot(self, coordinate: Sequence[float], displayed: Sequence[int]) -> Spot:
        """The place at a data coordinate of the layer, seen with its axes ``displayed`` on the screen.

        Raises
        ------
        PromptError
            If the screen shows no slice of the image, or the slice lies outside it.
        """
        # A 2D layer is a slice across z; napari pads missing leading axes the same way.
        z, y, x = (float(c) for c in (0.0, *coordinate)[-3:])
        axes = [a + 3 - self.ndim for a in displayed]
        across = [a for a in range(3) if a not in axes]
        if len(axes) != 2 or len(across) != 1:
            raise PromptError("Prompts are drawn on a slice: switch the viewer to 2D and show two axes of the image.")
        axis = across[0]
        # napari rounds halves to even when it picks the slice to show: the voxel clicked must be the voxel seen.
        level = float(np.round((z, y, x)[axis]))
        frame = int(np.round(coordinate[0])) if self.ndim == 4 else 0
        if not (0 <= level < self.volume_shape[axis] and 0 <= frame < self.frames):
            raise PromptError("This slice lies outside the image.")
        z, y, x = (level if a == axis else c for a, c in enumerate((z, y, x)))
        return Spot(frame, (z, y, x), axis)

    def coordinates(self, frame: int, positions: npt.ArrayLike) -> FloatArray:
        """Data coordinates ``(n, ndim)`` of the layer for voxel coordinates ``(n, 3)`` of one frame."""
        points = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
        if self.ndim == 4:
            return np.concatenate([np.full((len(points), 1), float(frame)), points], axis=1)
        return points[:, 3 - self.ndim :]

    def frame_of(self, array: npt.NDArray[Any], frame: int) -> npt.NDArray[Any]:
        """View ``(z, y, x)`` of one frame of an array that has the layer's shape."""
        view: npt.NDArray[Any] = array[frame] if self.ndim == 4 else array[None] if self.ndim == 2 else array
        return view


def finest(layer: Image) -> Any:
    """Data of the layer at full resolution: any array-like, possibly lazy."""
    return layer.data[0] if layer.multiscale else layer.data
