"""What the controller asks of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from napari_medsam.engine.volume import Volume
from napari_medsam.widgets.slice_pictures import SlicePictures


class ImageSource(Protocol):
    """An image on offer, told from others by identity."""

    def volume_maker(self, frame: int) -> Callable[[], Volume]:
        """A function that makes one frame's volume; it runs on the engine thread."""
        ...

    def slice_pictures(self) -> SlicePictures:
        """What paints its slices as they are displayed now; it is used on the engine thread."""
        ...
