"""Masks carried through the displayed frame, each slice shown as soon as it is answered."""

from __future__ import annotations

from functools import partial

from psygnal import Signal

from napari_medsam.engine.errors import PromptError
from napari_medsam.engine.propagation import PropagatedSlice, Route
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Index3
from napari_medsam.widgets.frame_work import FrameWork, masked_objects
from napari_medsam.widgets.jobs import Dispatch, Jobs
from napari_medsam.widgets.slice_display import SliceDisplay
from napari_medsam.widgets.slice_pictures import SlicePictures


class SlicesWork:
    """Propagation as a job of the engine thread; methods are called, and signals emitted, on the GUI thread.

    Parameters
    ----------
    engine : Jobs
        Where it runs, after what was asked for before.
    dispatch : callable
        Brings a call to the GUI thread.
    """

    began = Signal(object)
    """``(work)``: the first slice is looked at."""
    answered = Signal(object, int, tuple, object)
    """``(work, index, lower, labels)``: what a slice will show."""
    pictured = Signal(object, str)
    """``(picture, caption)``: a small picture of a slice that was answered, ten a second at most."""
    ended = Signal(object, tuple, tuple)
    """``(work, lower, upper)``: it came to its end or was stopped; this box is to be drawn as the session has it."""
    succeeded = Signal(object)
    """``(work)``: it came to its end."""
    failed = Signal(Exception)

    def __init__(self, engine: Jobs, dispatch: Dispatch) -> None:
        self._engine = engine
        self._dispatch = dispatch
        self._running: tuple[FrameWork, int] | None = None

    @property
    def is_running(self) -> bool:
        """Whether slices are being answered."""
        return self._running is not None

    def start(self, work: FrameWork, route: Route, all_objects: bool, pictures: SlicePictures) -> None:
        """Propagate the current object of a frame that has a session, or all its objects."""
        session = work.session
        assert session is not None
        current = work.current

        def run(task: Task) -> None:
            # Looked for now: an answer that was awaited when the button was pressed is there.
            chosen = masked_objects(session, current, all_objects)
            if not chosen:
                raise PromptError("Segment the object on one slice first: there is nothing yet to propagate.")
            display = SliceDisplay(session, route.axis, chosen)
            newest = session.history[-1].number
            self._dispatch(partial(self._begin, work, newest))

            def show(step: PropagatedSlice) -> None:
                lower, labels = display.slice_with(step)
                self._dispatch(lambda: self.answered.emit(work, step.index, lower, labels))
                picture = pictures.next(session, route.axis, step.index, labels)
                if picture is not None:
                    self._dispatch(lambda: self.pictured.emit(picture, f"Slice {step.index}"))

            try:
                session.propagate(chosen, route, task, show)
            finally:
                self._dispatch(partial(self._end, work, *display.box))

        key = ("propagate", id(work))
        self._engine.submit(key, "Propagating", run, lambda _: self.succeeded.emit(work), self.failed.emit)

    def take_back(self) -> None:
        """Stop what runs and undo what it did so far."""
        assert self._running is not None
        (work, newest), session = self._running, self._running[0].session
        assert session is not None
        self._engine.cancel_all()

        def undo(_: Task) -> None:
            # After the propagation, on its thread: by now what it did is a command, if it did anything.
            if session.history and session.history[-1].number > newest and session.history[-1].kind == "propagate":
                session.undo()

        self._engine.submit(("take back", id(work)), "Undoing", undo, lambda _: None, self.failed.emit)

    def _begin(self, work: FrameWork, newest: int) -> None:
        self._running = work, newest
        self.began.emit(work)

    def _end(self, work: FrameWork, lower: Index3, upper: Index3) -> None:
        self._running = None
        self.ended.emit(work, lower, upper)
