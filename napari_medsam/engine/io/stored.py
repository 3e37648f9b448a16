"""What a segmentation file holds, on its own grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_medsam.engine.io.grid import placed
from napari_medsam.engine.io.saved_object import SavedObject
from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import FloatArray, Index3, Volume


@dataclass(frozen=True, eq=False)
class Stored:
    """Objects with the grid their regions count on.

    Parameters
    ----------
    objects : list of SavedObject
        In the order of the file.
    shape : tuple of int
        ``(z, y, x)`` voxels of the grid.
    affine : numpy.ndarray
        ``(4, 4)`` as in `Volume`.
    """

    objects: list[SavedObject]
    shape: Index3
    affine: FloatArray

    def on(self, like: Volume, name: str) -> Stored:
        """The same objects on the grid of an image.

        Raises
        ------
        ImageError
            If the voxels do not coincide, or objects reach outside the image.
        """
        objects = []
        for item in self.objects:
            region = item.region
            if region:
                affine = self.affine.copy()
                affine[:3, 3] += affine[:3, :3] @ np.array(region.lower)
                region = Region.of(placed(region.voxels, affine, like, name))
            objects.append(replace(item, region=region))
        return Stored(objects, like.shape, like.affine)

    def numbered(self) -> Stored:
        """The same objects with a value of their own each: their order, where several shared one."""
        values = {item.value for item in self.objects}
        if len(values) == len(self.objects) and 0 not in values:
            return self
        return replace(self, objects=[replace(item, value=i) for i, item in enumerate(self.objects, 1)])
