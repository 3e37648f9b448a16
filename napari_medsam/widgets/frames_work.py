"""Masks carried through the frames of a series, each slice shown as soon as it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from psygnal import Signal

from napari_medsam.engine.errors import PromptError
from napari_medsam.engine.propagation import PropagatedSlice
from napari_medsam.engine.series import CarriedSlice, propagate_series
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Index3
from napari_medsam.widgets.frame_work import FrameWork, masked_objects
from napari_medsam.widgets.jobs import Dispatch, Jobs
from napari_medsam.widgets.slice_display import SliceDisplay
from napari_medsam.widgets.slice_pictures import SlicePictures


@dataclass(frozen=True)
class _Done:
    """The newest command of a frame before and after."""

    work: FrameWork
    before: int
    after: int


class FramesWork:
    """Propagation through frames as a job of the engine thread; called, and signals emitted, on the GUI thread.

    Parameters
    ----------
    engine : Jobs
        Where it runs.
    dispatch : callable
        Brings a call to the GUI thread.
    """

    began = Signal(object)
    """``(work)``: the frame it begins with."""
    answered = Signal(object, int, tuple, object)
    """``(work, index, lower, labels)``: what a slice of a frame will show."""
    pictured = Signal(object, str)
    """``(picture, caption)``: a small picture of a slice that was answered, ten a second at most."""
    ended = Signal(object, tuple, tuple)
    """``(work, lower, upper)``: this box of a frame is to be drawn as its session has it."""
    succeeded = Signal(object)
    """``(work)``: it came to its end; the frame it began with."""
    failed = Signal(Exception)

    def __init__(self, engine: Jobs, dispatch: Dispatch) -> None:
        self._engine = engine
        self._dispatch = dispatch
        self._done: list[_Done] = []
        self.is_running = False

    def start(
        self,
        works: Sequence[FrameWork],
        base: FrameWork,
        all_objects: bool,
        level: int,
        pictures: SlicePictures,
        *,
        quick: bool,
    ) -> None:
        """Carry the current object of the frame ``base``, or all its objects, to all frames, which have sessions."""
        home = base.session
        assert home is not None
        sessions = [work.session for work in works if work.session is not None]
        current = base.current

        def run(task: Task) -> None:
            chosen = masked_objects(home, current, all_objects)
            if not chosen:
                raise PromptError("Segment the object in this frame first: there is nothing yet to propagate.")
            displays = [SliceDisplay(session, 0, chosen) for session in sessions]
            before = [work.newest_command for work in works]
            self._dispatch(partial(self._begin, works, before, base))

            def show(step: CarriedSlice) -> None:
                lower, labels = displays[step.frame].slice_with(PropagatedSlice(step.index, step.masks))
                self._dispatch(lambda: self.answered.emit(works[step.frame], step.index, lower, labels))
                picture = pictures.next(sessions[step.frame], 0, step.index, labels)
                if picture is not None:
                    caption = f"Frame {step.frame}" + (f", slice {step.index}" if home.volume.shape[0] > 1 else "")
                    self._dispatch(lambda: self.pictured.emit(picture, caption))

            try:
                propagate_series(sessions, works.index(base), chosen, task, show, start=level, quick=quick)
            finally:
                done = [_Done(work, old, work.newest_command) for work, old in zip(works, before, strict=True)]
                self._dispatch(partial(self._end, done, [display.box for display in displays]))

        self._engine.submit("frames", "Propagating", run, lambda _: self.succeeded.emit(base), self.failed.emit)

    def can_take_back(self, work: FrameWork) -> bool:
        """Whether it is the newest thing that was done in all frames, of which this is one."""
        is_one = any(done.work is work for done in self._done)
        changed = any(done.after != done.before for done in self._done)
        return is_one and (
            self.is_running or (changed and all(done.work.newest_command == done.after for done in self._done))
        )

    def take_back(self) -> None:
        """Stop it if it runs, and undo in all frames what it did."""
        done, self._done = self._done, []
        if self.is_running:
            self._engine.cancel_all()

        def undo(_: Task) -> None:
            # After the propagation, on its thread.
            for one in done:
                session = one.work.session
                while session is not None and one.work.newest_command > one.before:
                    session.undo()

        self._engine.submit("take back frames", "Undoing", undo, lambda _: None, self.failed.emit)

    def _begin(self, works: Sequence[FrameWork], before: Sequence[int], base: FrameWork) -> None:
        self.is_running = True
        self._done = [_Done(work, number, number) for work, number in zip(works, before, strict=True)]
        self.began.emit(base)

    def _end(self, done: list[_Done], boxes: Sequence[tuple[Index3, Index3]]) -> None:
        self.is_running = False
        # Empty after it was taken back.
        self._done = done if self._done else []
        for one, (lower, upper) in zip(done, boxes, strict=True):
            self.ended.emit(one.work, lower, upper)
