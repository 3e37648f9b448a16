"""Slices of a volume as the model sees them, and places in voxels and in its pixels.

A slice is resized to a square as SAM 2 resizes every video frame, whatever its proportions: so the model was trained.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from napari_medsam.engine.region import BoolArray, Region
from napari_medsam.engine.volume import Index3, Volume
from napari_medsam.engine.window import Window

_MEAN = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
_STD = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
"""Of ImageNet, which the encoder expects its input to be normalised by."""

Crop = tuple[tuple[int, int], tuple[int, int]]
"""Rows and columns of a slice, each as first and one past the last."""


@dataclass(frozen=True, eq=False)
class SliceView:
    """The slices of a volume along one axis.

    Parameters
    ----------
    volume : Volume
        The image.
    window : Window
        Intensities to show.
    size : int
        Side of the model's square input in pixels.
    axis : int
        Axis of the voxels ``(z, y, x)`` along which slices follow each other.
    crop : Crop, optional
        Region of interest of every slice; all of it by default. Small structures are seen larger.
    """

    volume: Volume
    window: Window
    size: int
    axis: int = 0
    crop: Crop | None = None
    _plane: tuple[int, int] = field(init=False, repr=False)
    _box: Crop = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rows, columns = (a for a in range(3) if a != self.axis)
        object.__setattr__(self, "_plane", (rows, columns))
        whole = ((0, self.volume.shape[rows]), (0, self.volume.shape[columns]))
        object.__setattr__(self, "_box", self.crop or whole)

    @property
    def count(self) -> int:
        """Number of slices."""
        return self.volume.shape[self.axis]

    @property
    def key(self) -> str:
        """Names what the model sees: equal keys, equal pixels."""
        return f"{self.volume.hash}|{self.window}|{self.size}|{self.axis}|{self._box}"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a slice, or of its region of interest."""
        (top, bottom), (left, right) = self._box
        return bottom - top, right - left

    def pixels(self, index: int) -> Tensor:
        """Slice ``index`` for the encoder: float32 ``(1, 3, size, size)``, normalised."""
        values = self.window.apply(np.take(self.volume.data, index, axis=self.axis)[self._inside])
        image = torch.from_numpy(values)
        image = image.permute(2, 0, 1) if self.volume.is_colour else image.expand(3, -1, -1)
        image = functional.interpolate(
            image[None], size=(self.size, self.size), mode="bilinear", align_corners=False, antialias=True
        )
        return (image - _MEAN) / _STD

    def places(self, voxels: npt.ArrayLike) -> Tensor:
        """Voxel coordinates ``(n, 3)`` as the model's ``(x, y)`` ``(n, 2)``, integers at pixel centres in both."""
        inside = np.asarray(voxels, dtype=np.float64)[:, list(self._plane)] - [self._box[0][0], self._box[1][0]]
        pixels = (inside + 0.5) * (self.size / np.asarray(self.shape)) - 0.5
        return torch.from_numpy(pixels[:, ::-1].astype(np.float32))

    def box_of(self, index: int) -> tuple[Index3, Index3]:
        """The voxels of slice ``index``, as ``lower <= voxel < upper``."""
        return self._corner(index, 0), self._corner(index + 1, 1)

    def mask_of(self, region: Region, index: int) -> BoolArray:
        """A mask on slice ``index``: bool `shape`."""
        return region.inside(*self.box_of(index))[self._only]

    def region_of(self, mask: BoolArray, index: int) -> Region:
        """Inverse of `mask_of`: a region one voxel thick."""
        return Region.of(np.expand_dims(mask, self.axis), self._corner(index, 0))

    def to_model(self, mask: BoolArray) -> Tensor:
        """A mask on a slice in the model's pixels: float32 ``(size, size)`` of zeros and ones."""
        image = torch.from_numpy(np.ascontiguousarray(mask)).float()[None, None]
        size = (self.size, self.size)
        resized = functional.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)
        return (resized[0, 0] >= 0.5).float()

    def from_model(self, logits: Tensor) -> BoolArray:
        """Logits ``(1, 1, h, w)`` as a mask on a slice: bool `shape`."""
        enlarged = functional.interpolate(logits.detach(), size=self.shape, mode="bilinear", align_corners=False)
        mask: BoolArray = (enlarged[0, 0] > 0).cpu().numpy()
        return mask

    @property
    def _inside(self) -> tuple[slice, slice]:
        rows, columns = self._box
        return slice(*rows), slice(*columns)

    @property
    def _only(self) -> tuple[int | slice, ...]:
        return tuple(0 if axis == self.axis else slice(None) for axis in range(3))

    def _corner(self, index: int, end: int) -> Index3:
        corner = [index, index, index]
        for axis, span in zip(self._plane, self._box, strict=True):
            corner[axis] = span[end]
        return corner[0], corner[1], corner[2]


def crop_around(regions: list[Region], volume: Volume, axis: int, margin: float = 1.0) -> Crop:
    """A region of interest around masks, wider than they are by ``margin`` of their extent in all.

    Parameters
    ----------
    regions : list of Region
        At least one with voxels.
    volume : Volume
        Bounds the crop.
    axis : int
        The slice axis.
    margin : float
        With 1 the masks fill half of the crop along each side, which leaves them room to move from slice to slice.
    """
    held = [region for region in regions if region]
    lower = np.min([region.lower for region in held], axis=0)
    upper = np.max([region.upper for region in held], axis=0)
    spans = []
    for a in (a for a in range(3) if a != axis):
        pad = max(int(np.ceil((upper[a] - lower[a]) * margin / 2)), 8)
        spans.append((max(int(lower[a]) - pad, 0), min(int(upper[a]) + pad, volume.shape[a])))
    return spans[0], spans[1]
