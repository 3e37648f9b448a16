"""An image layer and the layers of ours that belong to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.volume import Volume
from napari_medsam.engine.window import Window
from napari_medsam.widgets.frame_work import FrameWork
from napari_medsam.widgets.layer_grid import LayerGrid
from napari_medsam.widgets.layer_volume import METADATA_KEY, volume_maker, volumes_in
from napari_medsam.widgets.prompt_layers import PromptLayers, ShownPrompt, Slice
from napari_medsam.widgets.result_layer import ResultLayer, blank_labels
from napari_medsam.widgets.screen_axes import ScreenAxes
from napari_medsam.widgets.slice_pictures import SlicePictures

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image, Layer


class Scene:
    """One image layer, its prompt layers and its result layer.

    Parameters
    ----------
    viewer : napari.Viewer
    image : napari.layers.Image

    Attributes
    ----------
    is_as_displayed : bool
        Whether the model sees the image in the layer's contrast.

    Raises
    ------
    ImageError
        If the layer has a number of axes that cannot be segmented.
    """

    def __init__(self, viewer: ViewerModel, image: Image) -> None:
        self._viewer = viewer
        self.image = image
        self.grid = LayerGrid.of(image)
        self.prompts = PromptLayers(viewer, image, self.grid)
        self.is_as_displayed = False
        self.result = ResultLayer(viewer, image, self.grid, {METADATA_KEY: volumes_in(image)})

    @property
    def window(self) -> Window | None:
        """The contrast the model is to see; None: the one that suits the modality."""
        low, high = (float(limit) for limit in self.image.contrast_limits)
        return Window(low, high) if self.is_as_displayed and low < high else None

    @property
    def layers(self) -> list[Layer]:
        """The layers in the viewer, the image first."""
        ours = (self.result.layer, self.prompts.points, self.prompts.shapes)
        return [self.image, *(layer for layer in ours if layer is not None)]

    def volume_maker(self, frame: int) -> Callable[[], Volume]:
        """A function that makes the volume of a frame, for the engine thread."""
        return volume_maker(self.image, frame)

    def slice_pictures(self) -> SlicePictures:
        """What paints slices as they are displayed now, for the engine thread."""
        return SlicePictures(ScreenAxes.of(self._viewer, self.image, self.grid), self._contrast)

    def painted(self, works: tuple[FrameWork, ...]) -> npt.NDArray[np.generic]:
        """All masks of the image as one array of its shape; for the engine thread."""
        labels = blank_labels(self.grid.shape, works[0].frame if works else 0, self.grid)
        for work in works:
            if work.session is not None and any(item.mask for item in work.objects):
                painted = work.session.labels()
                if painted.max() > np.iinfo(labels.dtype).max:
                    labels = labels.astype(np.int32)
                self.grid.frame_of(labels, work.frame)[:] = painted
        return labels

    def show_prompts(self, work: FrameWork, plane: Slice | None) -> None:
        """Draw the prompts of the current object of a frame."""
        self.prompts.show(work.frame, _shown(work), plane)

    def redraw_prompts(self, work: FrameWork, plane: Slice | None) -> None:
        """Draw the same prompts in another slice; a layer that the user removed does not come back for that."""
        self.prompts.redraw(work.frame, _shown(work), plane)

    def show_objects(self, works: tuple[FrameWork, ...]) -> None:
        """Colour the result layer."""
        self.result.set_colours({item.id: item.colour for work in works for item in work.objects})

    def _contrast(self) -> Window:
        low, high = (float(limit) for limit in self.image.contrast_limits)
        return Window(low, high if low < high else low + 1)

    def close(self) -> None:
        """Take the prompt layers away; the result stays with the user."""
        self.prompts.remove()


def _shown(work: FrameWork) -> list[ShownPrompt]:
    item = work.current_object
    consumed = item.prompts if item else ()
    waiting = [*(item.pending if item else ()), *work.waiting]
    return [*(ShownPrompt(p, pending=False) for p in consumed), *(ShownPrompt(p, pending=True) for p in waiting)]
