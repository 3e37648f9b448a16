"""Work of the widget on other threads: started, watched, cancelled from the GUI thread."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from psygnal import Signal

from napari_medsam.engine.engine_thread import EngineThread
from napari_medsam.engine.task import Task

Dispatch = Callable[[Callable[[], None]], None]
"""Runs a function on the GUI thread soon; callable from any thread."""

T = TypeVar("T")


class Jobs:
    """Jobs on one `EngineThread`, with every callback and signal on the GUI thread.

    Parameters
    ----------
    name : str
        Of the thread.
    dispatch : callable
        Brings a call to the GUI thread.
    pause : callable, optional
        Called on the thread before each job: waits until the window shows what was asked, which takes three times as
        long beside a model that has all cores.
    """

    progressed = Signal(float, str)
    """How far the running job is: a fraction in [0, 1] and what it does."""
    idled = Signal()
    """The running job ended and none has begun since."""
    cancelled = Signal()
    """A job was stopped by `cancel_all`."""

    def __init__(self, name: str, dispatch: Dispatch, pause: Callable[[], None] = lambda: None) -> None:
        self._thread = EngineThread(name)
        self._dispatch = dispatch
        self._pause = pause
        self._running: object = None
        self._keys: set[Hashable] = set()

    def submit(
        self,
        key: Hashable,
        text: str,
        work: Callable[[Task], T],
        on_done: Callable[[T], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        """Do ``work`` on the thread, in place of any work of the same ``key``; ``text`` says to the user what it is."""
        self._keys.add(key)

        def run(task: Task) -> T:
            self._dispatch(lambda: self._begin(task, text))
            try:
                self._pause()
                return work(task)
            finally:
                self._dispatch(lambda: self._end(task))

        def progress(fraction: float, detail: str) -> None:
            self._dispatch(lambda: self.progressed.emit(fraction, detail or text))

        self._thread.submit(
            key,
            run,
            on_done=lambda result: self._dispatch(lambda: on_done(result)),
            on_error=lambda error: self._dispatch(lambda: on_error(error)),
            on_progress=progress,
        )

    def cancel_all(self) -> None:
        """Cancel what runs and drop what waits."""
        keys, self._keys = self._keys, set()
        for key in keys:
            self._thread.cancel(key)
        if keys:
            self.cancelled.emit()

    def has(self, key: Hashable) -> bool:
        """Whether work of ``key`` runs or waits and was not cancelled."""
        return self._thread.has(key)

    @property
    def busy(self) -> bool:
        """Whether anything runs or waits."""
        return self._thread.busy

    def close(self) -> None:
        """Cancel everything and end the thread."""
        self._thread.close()

    def _begin(self, task: Any, text: str) -> None:
        self._running = task
        self.progressed.emit(0.0, text)

    def _end(self, task: Any) -> None:
        if self._running is task:
            self._running = None
            self.idled.emit()
