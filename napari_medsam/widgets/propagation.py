"""What *Propagate* decides: through which slices or frames, what is taken back, what the user is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_medsam.engine.volume import Index3
from napari_medsam.widgets.frame_work import FrameWork
from napari_medsam.widgets.frames_work import FramesWork
from napari_medsam.widgets.jobs import Dispatch
from napari_medsam.widgets.slices_work import SlicesWork
from napari_medsam.widgets.wish import Wish

if TYPE_CHECKING:
    from napari_medsam.widgets.controller import SegmentController


class Propagation:
    """The part of a controller that carries masks from slice to slice and from frame to frame.

    Parameters
    ----------
    controller : SegmentController
        Whose images and sessions they are.
    dispatch : callable
        Brings a call to the GUI thread.

    Attributes
    ----------
    slices : SlicesWork
        Through the slices of a frame.
    frames : FramesWork
        Through the frames of a series.
    """

    def __init__(self, controller: SegmentController, dispatch: Dispatch) -> None:
        self._controller = controller
        self.slices = SlicesWork(controller.engine, dispatch)
        self.frames = FramesWork(controller.engine, dispatch)
        for work in (self.slices, self.frames):
            work.began.connect(self._on_began)
            work.ended.connect(self._on_ended)
            work.failed.connect(controller.fail)
        self.slices.succeeded.connect(self._tell_slices)
        self.frames.succeeded.connect(self._tell_frames)

    @property
    def is_running(self) -> bool:
        """Whether slices are being answered."""
        return self.slices.is_running or self.frames.is_running

    def through_slices(self, axis: int, wish: Wish) -> None:
        """Carry the current object of the displayed frame, or all, along an axis; prompts that wait come first."""
        controller, work = self._controller, self._controller.work
        if work.session is None:
            controller.message.emit("Segment the object on one slice first, then propagate it.")
        elif work.session.volume.shape[axis] == 1:
            controller.message.emit("There is one slice only along the axis you look along: nothing to propagate to.")
        else:
            controller.predict_waiting(work, None if wish.all_objects else work.current)
            assert controller.image is not None, "a session is of an image"
            self.slices.start(work, wish.route(axis), wish.all_objects, controller.image.slice_pictures())

    def through_frames(self, frames: int, level: int, wish: Wish) -> None:
        """Carry the current object of the displayed frame, or all, to all frames, beginning with a slice."""
        controller, base = self._controller, self._controller.work
        if base.session is None:
            controller.message.emit("Segment the object in one frame first, then propagate it.")
            return
        controller.predict_waiting(base, None if wish.all_objects else base.current)
        assert controller.image is not None, "a session is of an image"
        pictures = controller.image.slice_pictures()
        controller.open_frames(
            frames, lambda works: self.frames.start(works, base, wish.all_objects, level, pictures, quick=wish.quick)
        )

    def take_back(self, work: FrameWork) -> bool:
        """Stop and undo what runs, or what went through all frames; False where undo is that of the frame alone."""
        if self.slices.is_running:
            self.slices.take_back()
        elif self.frames.can_take_back(work):
            self.frames.take_back()
        else:
            return False
        return True

    def _on_began(self, _: FrameWork) -> None:
        self._controller.changed.emit()

    def _on_ended(self, work: FrameWork, lower: Index3, upper: Index3) -> None:
        self._controller.draw_again(work, lower, upper)
        self._controller.changed.emit()

    def _tell_slices(self, work: FrameWork) -> None:
        work.box = None
        self._tell("Propagated. Correct any slice and propagate again: slices with prompts stay as they are.")

    def _tell_frames(self, _: FrameWork) -> None:
        self._tell("Propagated. Correct any frame and propagate again: frames with prompts stay as they are.")

    def _tell(self, sentence: str) -> None:
        self._controller.message.emit(sentence)
        self._controller.changed.emit()
