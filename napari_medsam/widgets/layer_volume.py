"""The `Volume` behind a napari image layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.volume import FloatArray, Volume
from napari_medsam.widgets.layer_family import PLACEMENT
from napari_medsam.widgets.layer_grid import LayerGrid, finest

if TYPE_CHECKING:
    from napari.layers import Image, Layer

METADATA_KEY = "napari_medsam"
"""Key of ``layer.metadata`` under which this package's reader keeps the tuple of volumes, one a frame."""


def volumes_in(layer: Layer) -> tuple[Volume, ...]:
    """The volumes that this package's reader or widget left in a layer's metadata; empty where it did not."""
    kept = layer.metadata.get(METADATA_KEY, ())
    return tuple(v for v in kept if isinstance(v, Volume)) if isinstance(kept, tuple | list) else ()


def volume_maker(layer: Image, frame: int) -> Callable[[], Volume]:
    """A function that makes the volume of one frame of a layer, to be called on the engine thread.

    A layer that this package's reader made brings its volume with it, true affine included. For any other layer the
    voxels are the layer's data, computed here if they are lazy (dask, zarr), and the affine is the layer's own map from
    data to world coordinates with napari's ``(z, y, x)`` read as LPS ``(z, y, x)``; lengths in other units than
    millimetres are converted, layers without a unit of length count in millimetres.

    Parameters
    ----------
    layer : napari.layers.Image
        Read now, on the GUI thread; only its data are read later.
    frame : int
        Frame of a 4D layer, else 0.

    Returns
    -------
    callable
        Raises `ImageError` when the data cannot be a volume.
    """
    grid = LayerGrid.of(layer)
    kept = volumes_in(layer)
    if len(kept) == grid.frames and kept[frame].shape == grid.volume_shape:
        return lambda: kept[frame]
    data, rgb, affine = finest(layer), bool(layer.rgb), _world_affine(layer, grid, frame)

    def make() -> Volume:
        voxels = np.asarray(data[frame] if grid.ndim == 4 else data)
        if rgb:
            voxels = _as_rgb(voxels)
        return Volume(voxels[None] if grid.ndim == 2 else voxels, affine, frame=frame)

    return make


def labels_volume(labels: npt.NDArray[Any], meta: Mapping[str, Any]) -> Volume:
    """The volume whose voxels a labels layer ``(y, x)`` or ``(z, y, x)`` has, from the attributes a writer is given.

    The one in the layer's metadata if it has as many voxels, otherwise the labels on the layer's own map to the world.
    """
    from napari.layers import Labels

    placement = {key: meta[key] for key in PLACEMENT if key in meta}
    layer = Labels(labels, metadata=meta.get("metadata"), **placement)
    grid = LayerGrid(labels.shape)
    kept = volumes_in(layer)
    if len(kept) == 1 and kept[0].shape == grid.volume_shape:
        return kept[0]
    return Volume(grid.frame_of(labels, 0), _world_affine(layer, grid, 0))


def _world_affine(layer: Layer, grid: LayerGrid, frame: int) -> FloatArray:
    corners = grid.coordinates(frame, [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
    scale = _millimetres(layer)
    world = np.array([np.asarray(layer.data_to_world(c), dtype=np.float64) * scale for c in corners])[:, -3:]
    affine = np.eye(4)
    spatial = world.shape[1]
    # napari orders world axes like data axes, (z, y, x); ours are (x, y, z).
    affine[:spatial, :3] = (world[1:] - world[0]).T[::-1]
    affine[:spatial, 3] = world[0][::-1]
    if grid.ndim == 2:
        affine[:3, 0] = (0.0, 0.0, 1.0)
    return affine


def _millimetres(layer: Layer) -> FloatArray:
    factors = []
    for unit in layer.units:
        quantity = 1 * unit
        factors.append(quantity.to("mm").magnitude if quantity.check("[length]") else 1.0)
    return np.asarray(factors, dtype=np.float64)


def _as_rgb(voxels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """RGB or RGBA of any dtype as uint8 RGB: floats span [0, 1] in napari, integers their whole range."""
    voxels = voxels[..., :3]
    if voxels.dtype == np.uint8:
        return voxels
    top = 1.0 if voxels.dtype.kind == "f" else float(np.iinfo(voxels.dtype).max)
    return (np.clip(voxels / top, 0, 1) * 255).astype(np.uint8)
