"""What the *Segment* widget decides: which session a prompt goes to, what runs, what the user is told."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from psygnal import Signal

from napari_medsam.engine.errors import ImageError, MedSamError, WeightsError
from napari_medsam.engine.objects import Overlap, SegmentedObject
from napari_medsam.engine.prompts import Box, Prompt
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.segmenters.registry import segmenter_names
from napari_medsam.engine.session import Session
from napari_medsam.engine.volume import Index3
from napari_medsam.engine.window import Window
from napari_medsam.widgets.answer_text import answer_text
from napari_medsam.widgets.cleaning_work import CleaningWork
from napari_medsam.widgets.frame_work import FrameWork
from napari_medsam.widgets.image_source import ImageSource
from napari_medsam.widgets.jobs import Dispatch, Jobs
from napari_medsam.widgets.open_images import OpenImages
from napari_medsam.widgets.opening import Opening
from napari_medsam.widgets.prompt_exchange import exchange_prompt
from napari_medsam.widgets.propagation import Propagation
from napari_medsam.widgets.strokes import extended_to, united


class SegmentController:
    """Binds one image, its frames and their sessions; knows no window.

    All methods are called, and all signals emitted, on the GUI thread. Nothing here waits: opening, predicting and
    preparing are jobs of the engine thread, changes that touch the disk are jobs of a second thread, so that undo
    answers at once while a prediction runs.

    Parameters
    ----------
    dispatch : callable
        Runs a function on the GUI thread soon; callable from any thread.
    pause : callable, optional
        Waits until the window has drawn what it was asked for; called on the engine thread before each of its jobs.
    """

    changed = Signal()
    """Objects, prompts, history or settings changed: whoever shows them looks again."""
    opened = Signal(object, int)
    """``(image, frame)``: the session of this frame is there."""
    edited = Signal(object, int, tuple, tuple)
    """``(image, frame, lower, upper)``: labels in this box changed."""
    message = Signal(str)
    """One sentence for the user."""
    failed = Signal(Exception)
    """Something did not work; the error is for the user."""

    def __init__(self, dispatch: Dispatch, pause: Callable[[], None] = lambda: None) -> None:
        self._dispatch = dispatch
        self._engine = Jobs("napari-medsam engine", dispatch, pause)
        self._disk = Jobs("napari-medsam journal", dispatch)
        self._numbers = itertools.count()
        self._images = OpenImages()
        self._opening = Opening(self._engine, self._images)
        self._opening.opened.connect(self._on_opened)
        self._opening.failed.connect(self.fail)
        self._is_change_due = False
        self._overlap = Overlap.KEEP
        self.model = segmenter_names()[0]
        self.auto_run = True
        self.propagation = Propagation(self, dispatch)
        self.cleaning = CleaningWork(self)

    @property
    def engine(self) -> Jobs:
        """The engine thread's jobs, for progress and cancelling."""
        return self._engine

    @property
    def image(self) -> ImageSource | None:
        """The chosen image."""
        return self._images.chosen

    @property
    def work(self) -> FrameWork:
        """The displayed frame of the chosen image."""
        return self._images.displayed

    def works(self, image: ImageSource) -> tuple[FrameWork, ...]:
        """All frames of an image that were worked on."""
        return self._images.works(image)

    @property
    def has_begun(self) -> bool:
        """Whether something was done on the chosen image; from then on the model is fixed."""
        return self.image is not None and any(work.has_begun for work in self.works(self.image))

    @property
    def segmenter(self) -> Segmenter | None:
        """The chosen model, once it is loaded."""
        return self._opening.segmenter(self.model)

    @property
    def busy(self) -> bool:
        """Whether work is under way."""
        return self._engine.busy or self._disk.busy

    @property
    def overlap(self) -> Overlap:
        """What happens where a new mask meets another object."""
        return self._overlap

    def set_image(self, image: ImageSource | None) -> None:
        """Choose the image; whatever was done on others stays until `forget`, and nothing more is made ready there."""
        for work in self._images.all_works:
            work.rest()
        self._images.choose(image)
        self.changed.emit()

    def forget(self, image: ImageSource) -> None:
        """End the work on an image that is gone."""
        if image is self.image:
            self._engine.cancel_all()
        self._images.forget(image)
        self.changed.emit()

    def set_frame(self, frame: int) -> None:
        """Say which frame is displayed."""
        if frame != self._images.frame:
            self._images.frame = frame
            self.changed.emit()

    def look_at(self, axis: int, level: int) -> None:
        """Say which slice of the displayed frame is displayed: those around it are made ready in the background."""
        if self.image is None:
            return
        for work in self.works(self.image):
            if work is not self.work:
                work.rest()
        self.work.look_at(axis, level)

    def rest(self) -> None:
        """Make nothing ready until `look_at`."""
        self.work.rest()

    def set_overlap(self, overlap: Overlap) -> None:
        """Choose what happens where a new mask meets another object."""
        self._overlap = overlap
        for work in self._images.all_works:
            if work.session is not None:
                work.session.overlap = overlap
        self.changed.emit()

    def choose_model(self, name: str) -> None:
        """Choose the model of images that are not begun yet."""
        self.model = name
        if self.image is not None and not self.has_begun:
            self._images.begin_again(self.image)
        self.changed.emit()

    def show_as(self, window: Window | None) -> None:
        """Choose the intensities the model sees of the chosen image; None: those that suit its modality."""
        if self.image is None:
            return
        self._images.windows[self.image] = window
        for work in self.works(self.image):
            if work.session is not None:
                self._show_as(work, work.session, window)

    def set_auto_run(self, on: bool) -> None:
        """Choose whether prompts are answered at once."""
        self.auto_run = on
        self.changed.emit()

    def open(self) -> None:
        """Make the displayed frame ready ahead of the first prompt: volume, model, what predictions share."""
        if self.image is not None and self.work.session is None:
            self._opening.open(self.image, self.work, self.model)

    def adopt(self, session: Session) -> None:
        """Take a recovered session as that of the first frame of the chosen image."""
        assert self.image is not None
        self._opening.take(self.work, session.segmenter.info.name, session)
        for note in session.notes:
            self.message.emit(note)

    def give(self, prompt: Prompt) -> None:
        """Give a prompt to the current object of the displayed frame."""
        work = self.work
        if work.session is None:
            work.waiting.append(prompt)
            self.open()
            self.changed.emit()
            return
        try:
            work.current = work.session.add_prompt(prompt, work.current)
        except MedSamError as error:
            self.failed.emit(error)
            return
        work.box = prompt if isinstance(prompt, Box) else work.box
        if self.auto_run:
            self._predict(work, work.current)
        elif not isinstance(prompt, Box):
            self.message.emit("The prompt waits: press Run to predict.")

    def extend_box(self, axis: int, level: int) -> None:
        """Stretch the newest box of the current object to the slice ``level`` along ``axis``."""
        if self.work.box is None:
            self.message.emit("Draw a box first, then scroll to the other end of the object and extend it.")
            return
        self._replace_box(extended_to(self.work.box, axis, level))

    def join_box(self, box: Box) -> None:
        """Make one box of the newest box of the current object and another; without one, just give the other."""
        if self.work.box is None:
            self.give(box)
        else:
            self._replace_box(united(self.work.box, box))

    def run(self) -> None:
        """Answer every prompt of the displayed frame that waits."""
        work = self.work
        if work.session is None:
            if work.waiting:
                self.open()
            return
        if not any(item.pending for item in work.objects):
            self.message.emit("No prompt waits: give one first.")
        self.predict_waiting(work, None)

    def predict_waiting(self, work: FrameWork, object_id: int | None) -> None:
        """Answer the prompts of a frame that wait: those of one object, or of all."""
        for item in work.objects:
            if item.pending and object_id in (None, item.id):
                self._predict(work, item.id)

    def open_frames(self, frames: int, then: Callable[[Sequence[FrameWork]], None]) -> None:
        """Make the first ``frames`` frames of the chosen image ready, then go on with them."""
        if self.image is not None:
            works = [self._images.work(self.image, frame) for frame in range(frames)]
            self._opening.open_all(self.image, works, self.model, then)

    def draw_again(self, work: FrameWork, lower: Index3, upper: Index3) -> None:
        """Have a box of a frame drawn as its session has it."""
        image = self._images.image_of(work)
        if image is not None:
            self.edited.emit(image, work.frame, lower, upper)

    def segment_everything(self, axis: int, level: int) -> None:
        """Make an object of each thing the model finds on a slice of the displayed frame."""
        work, session = self.work, self.work.session
        if session is None:
            return

        def done(found: tuple[SegmentedObject, ...]) -> None:
            if found:
                work.current, work.box = found[0].id, None
            self.message.emit(
                f"{len(found)} found. Choose one in the list to correct, rename or delete it; Undo takes all back."
                if found
                else "Nothing was found on this slice that is not there yet: give a prompt."
            )
            self.changed.emit()

        find = partial(session.segment_everything, axis, level)
        self._engine.submit(("everything", id(work)), "Looking for everything", find, done, self.fail)

    def cancel(self) -> None:
        """Stop what runs; prompts that were not answered wait, slices that were propagated stay."""
        self._engine.cancel_all()
        if self.propagation.is_running:
            self.message.emit("Stopped. What was propagated so far stays; Undo takes it back.")
        else:
            self.message.emit("Cancelled. Press Run to go on, or Undo to drop the prompt.")
        self.changed.emit()

    def next_object(self) -> None:
        """Begin another object."""
        work = self.work
        if work.session is not None:
            work.current = work.session.add_object().id
            work.box = None
            self.message.emit("A new object: give it a first prompt.")
            self.changed.emit()

    def choose_object(self, object_id: int) -> None:
        """Go back to an object: the next prompt is for it."""
        work = self.work
        if object_id != work.current:
            work.current, work.box = object_id, None
            self.changed.emit()

    def rename_object(self, object_id: int, name: str) -> None:
        """Give an object another name."""
        session = self.work.session
        try:
            if session is not None and name.strip():
                session.rename(object_id, name.strip())
        except MedSamError as error:
            self.failed.emit(error)
        self.changed.emit()

    def delete_object(self) -> None:
        """Delete the current object."""
        work = self.work
        if work.session is not None and work.current is not None:
            self._on_disk("Deleting", partial(work.session.remove_object, work.current))

    def undo(self) -> None:
        """Take the newest step of the displayed frame back."""
        work = self.work
        if work.session is None:
            if work.waiting:
                work.waiting.pop()
                self.changed.emit()
            return
        if self.propagation.take_back(work):
            return
        if work.has_pending:
            # What runs would answer a prompt that is being taken back.
            self._engine.cancel_all()
        work.box = None
        self._on_disk("Undoing", work.session.undo)

    def redo(self) -> None:
        """Do the step again that was taken back last."""
        if self.work.session is not None:
            self._on_disk("Redoing", self.work.session.redo)

    def save(self, path: Path) -> None:
        """Write the objects of the displayed frame."""
        work, session = self.work, self.work.session
        if session is None:
            self.message.emit("There is nothing to save yet.")
            return
        newest = work.newest_command

        def done(_: None) -> None:
            work.saved = newest
            self.message.emit(f"Saved {path.name}.")

        key = ("save", next(self._numbers))
        self._engine.submit(key, f"Saving {path.name}", lambda _: session.save(path), done, self.fail)

    def fail(self, error: Exception) -> None:
        """Tell the user what went wrong."""
        if isinstance(error, ImageError | WeightsError):
            # There will be no session with this image or model: its prompts must not stand in the way of another.
            self.work.waiting.clear()
        self.failed.emit(error)
        self.changed.emit()

    def close(self) -> None:
        """End the work of both threads and the sessions."""
        self._engine.close()
        self._disk.close()
        for work in self._images.all_works:
            if work.ahead is not None:
                # Waited for, unlike in `forget`: a thread inside torch when the program ends would crash it.
                work.ahead.close()
                work.ahead = None
        for image in self._images.all_images:
            self.forget(image)

    def _show_as(self, work: FrameWork, session: Session, window: Window | None) -> None:
        def done(_: None) -> None:
            if work.ahead is not None:
                work.ahead.again()

        key = ("show", id(work))
        self._engine.submit(key, "Changing the contrast", partial(session.show, window), done, self.fail)

    def _predict(self, work: FrameWork, object_id: int) -> None:
        session = work.session
        assert session is not None

        def done(_: object) -> None:
            self.changed.emit()
            item = next((item for item in work.objects if item.id == object_id), None)
            if item is not None:
                self.message.emit(answer_text(item, session.volume, work.box))

        key = ("predict", id(work), object_id)
        self._engine.submit(key, "Segmenting", partial(session.predict, object_id), done, self.fail)

    def _replace_box(self, box: Box) -> None:
        work = self.work
        session, old, object_id = work.session, work.box, work.current
        if session is None or old is None or object_id is None:
            return
        work.box = box
        self._engine.cancel_all()

        def done() -> None:
            if self.auto_run:
                self._predict(work, object_id)

        self._on_disk("Extending the box", partial(exchange_prompt, session, object_id, old, box), done)

    def _on_disk(self, text: str, change: Callable[[], object], then: Callable[[], None] = lambda: None) -> None:
        def done(_: object) -> None:
            self.work.settle_current()
            self.changed.emit()
            then()

        self._disk.submit(next(self._numbers), text, lambda _: change(), done, self.fail)

    def _on_opened(self, image: ImageSource, work: FrameWork, session: Session) -> None:
        session.overlap = self._overlap
        session.edited.connect(lambda _id, low, up: self._dispatch(partial(self.draw_again, work, low, up)))
        for signal in (session.objects_changed, session.prompts_changed, session.history_changed):
            signal.connect(self._on_session_changed)
        session.journal_failed.connect(lambda sentence: self._dispatch(lambda: self.failed.emit(MedSamError(sentence))))
        work.settle_current()
        self.opened.emit(image, work.frame)
        waiting, work.waiting = work.waiting, []
        for prompt in waiting:
            self.give(prompt)
        self.changed.emit()

    def _on_session_changed(self) -> None:
        # A prompt alone is three changes of a session; those that look again do it once.
        if not self._is_change_due:
            self._is_change_due = True
            self._dispatch(self._tell_change)

    def _tell_change(self) -> None:
        self._is_change_due = False
        self.changed.emit()
