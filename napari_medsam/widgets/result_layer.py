"""The masks of a session as one labels layer, patched inside the box that changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.objects import colour_for
from napari_medsam.engine.volume import Index3
from napari_medsam.widgets.layer_family import add_over, drop, holds, placement_of
from napari_medsam.widgets.layer_grid import LayerGrid

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

OPACITY = 0.5

_COLOURS_AHEAD = 32


def blank_labels(shape: tuple[int, ...], frame: int, grid: LayerGrid) -> npt.NDArray[np.uint8]:
    """An array of background with the memory of one frame in place; to be called on the engine thread.

    Memory asked for with `numpy.zeros` is mapped page by page as it is first written; a first patch on the GUI thread
    would pay for that (60 to 150 ms for a large organ). Writing the frame here moves that cost off the GUI thread.
    """
    labels = np.zeros(shape, dtype=np.uint8)
    grid.frame_of(labels, frame).fill(0)
    return labels


class ResultLayer:
    """Shows the masks of all frames of one image layer.

    Parameters
    ----------
    viewer : napari.Viewer
    image : napari.layers.Image
        The layer that is segmented.
    grid : LayerGrid
        Of that layer.
    metadata : mapping
        Kept in the layer's metadata, for the writers.
    """

    def __init__(self, viewer: ViewerModel, image: Image, grid: LayerGrid, metadata: Mapping[str, Any]) -> None:
        self._viewer = viewer
        self._image = image
        self._grid = grid
        self._metadata = metadata
        self._layer: Labels | None = None
        # Those of the first objects are there before them: new ones take napari 20 ms, at the end of the first stroke.
        self._colours = {number: colour_for(number) for number in range(1, _COLOURS_AHEAD + 1)}

    @property
    def layer(self) -> Labels | None:
        """The labels layer, where there is one in the viewer."""
        return self._layer if holds(self._viewer, self._layer) else None

    def show(self, labels: npt.NDArray[Any]) -> None:
        """Put an array of the image's shape into the viewer as the result layer."""
        from napari.layers import Labels

        layer = Labels(
            labels,
            name=f"{self._image.name}: segmentation",
            opacity=OPACITY,
            metadata=dict(self._metadata),
            **placement_of(self._image),
        )
        self._layer = layer
        add_over(self._viewer, layer, self._image)
        # The masks belong to the session, where every change can be undone; painting here would be lost.
        layer.editable = False
        self._apply_colours()

    def set_colours(self, colours: Mapping[int, tuple[int, int, int]]) -> None:
        """Colour of each label value."""
        colours = self._colours | dict(colours)
        if colours != self._colours:
            self._colours = colours
            self._apply_colours()

    def patch(self, frame: int, lower: Index3, labels: npt.NDArray[Any], *, is_seen: bool = True) -> None:
        """Replace the labels of a box of one frame that begins at the voxel ``lower``; there must be a layer.

        Nothing is drawn anew where the box is not on the screen.
        """
        layer = self._layer
        assert layer is not None
        if labels.size == 0:
            return
        if labels.max() > np.iinfo(layer.data.dtype).max:
            layer.data = layer.data.astype(np.int32)
        box = tuple(slice(low, low + n) for low, n in zip(lower, labels.shape, strict=True))
        self._grid.frame_of(layer.data, frame)[box] = labels
        if is_seen:
            self.redraw()

    def redraw(self) -> None:
        """Draw the displayed slice as the labels are now."""
        if self._layer is not None:
            self._layer.refresh(thumbnail=False, highlight=False, extent=False)

    def remove(self) -> None:
        """Take the layer out of the viewer."""
        drop(self._viewer, self._layer)
        self._layer = None

    def _apply_colours(self) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        if self._layer is None:
            return
        clear = (0.0, 0.0, 0.0, 0.0)
        colours: dict[int | None, Any] = {None: clear, 0: clear}
        colours |= {value: (*(c / 255 for c in rgb), 1.0) for value, rgb in self._colours.items()}
        self._layer.colormap = DirectLabelColormap(color_dict=colours)
