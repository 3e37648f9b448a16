"""The images that are worked on: the chosen one, the frames of each, the contrast each is shown to the model in."""

from __future__ import annotations

from napari_medsam.engine.window import Window
from napari_medsam.widgets.frame_work import FrameWork
from napari_medsam.widgets.image_source import ImageSource


class OpenImages:
    """Knows each frame that was worked on, from the first look at it until its image is gone.

    Attributes
    ----------
    chosen : ImageSource or None
        The chosen image.
    frame : int
        The displayed frame.
    windows : dict of ImageSource to Window or None
        The intensities the model sees; without an entry, or None: those that suit the modality.
    """

    def __init__(self) -> None:
        self.chosen: ImageSource | None = None
        self.frame = 0
        self.windows: dict[ImageSource, Window | None] = {}
        self._works: dict[ImageSource, dict[int, FrameWork]] = {}

    @property
    def displayed(self) -> FrameWork:
        """The displayed frame of the chosen image; one without anything where no image is chosen."""
        return FrameWork(self.frame) if self.chosen is None else self.work(self.chosen, self.frame)

    @property
    def all_images(self) -> tuple[ImageSource, ...]:
        """All images that were chosen and are still here."""
        return tuple(self._works)

    @property
    def all_works(self) -> tuple[FrameWork, ...]:
        """All frames of all images."""
        return tuple(work for image in self._works for work in self.works(image))

    def works(self, image: ImageSource) -> tuple[FrameWork, ...]:
        """All frames of an image."""
        return tuple(self._works.get(image, {}).values())

    def work(self, image: ImageSource, frame: int) -> FrameWork:
        """One frame of an image that is here."""
        return self._works[image].setdefault(frame, FrameWork(frame))

    def image_of(self, work: FrameWork) -> ImageSource | None:
        """The image that a frame belongs to; None where that, or what was done on it, is gone."""
        return next((image for image, works in self._works.items() if works.get(work.frame) is work), None)

    def choose(self, image: ImageSource | None) -> None:
        """Choose an image, its first frame displayed."""
        self.chosen = image
        self.frame = 0
        if image is not None:
            self._works.setdefault(image, {})

    def begin_again(self, image: ImageSource) -> None:
        """Drop what was done on an image that is here."""
        for work in self.works(image):
            work.close()
        self._works[image] = {}

    def forget(self, image: ImageSource) -> None:
        """Drop an image that is gone."""
        if image is self.chosen:
            self.chosen = None
        self.windows.pop(image, None)
        for work in self._works.pop(image, {}).values():
            work.close()
