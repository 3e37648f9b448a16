"""One worker thread for everything slow: the newest request of each key wins, others wait their turn."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from napari_medsam.engine.errors import Cancelled
from napari_medsam.engine.task import ProgressCallback, Task

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class _Request:
    work: Callable[[Task], Any]
    task: Task
    on_done: Callable[[Any], None] | None
    on_error: Callable[[Exception], None] | None


class EngineThread:
    """A daemon thread that works requests off in order.

    A request with the key of one that waits takes its place in the queue; with the key of the one that runs, it
    cancels that one at its next checkpoint and waits for its turn. All methods may be called from any thread.
    """

    def __init__(self, name: str = "napari-medsam engine") -> None:
        self._condition = threading.Condition()
        self._waiting: dict[Hashable, _Request] = {}
        self._running: tuple[Hashable, _Request] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(
        self,
        key: Hashable,
        work: Callable[[Task], T],
        on_done: Callable[[T], None] | None = None,
        on_error: Callable[[Exception], None] | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> Task:
        """Ask for ``work(task)`` to be done.

        The callbacks run on the worker thread. A request that was overtaken or cancelled calls neither ``on_done``
        nor ``on_error``, even if its work came to its end.

        Parameters
        ----------
        key : hashable
            What the work is about, such as an object's id; the newest request of a key wins.
        work : callable
            Called with a `Task` whose checkpoints it should pass often.
        on_done : callable, optional
            Called with what ``work`` returned.
        on_error : callable, optional
            Called with what ``work`` raised; without it the error is logged.
        on_progress : callable, optional
            Called as ``on_progress(fraction, text)``.

        Returns
        -------
        Task
            The handle to cancel this very request.

        Raises
        ------
        RuntimeError
            If the thread was closed.
        """
        task = Task(on_progress)
        with self._condition:
            if self._closed:
                raise RuntimeError("The engine thread is closed.")
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting.task.cancel()
            elif self._running is not None and self._running[0] == key:
                self._running[1].task.cancel()
            self._waiting[key] = _Request(work, task, on_done, on_error)
            self._condition.notify_all()
        return task

    def cancel(self, key: Hashable) -> None:
        """Drop the waiting request of ``key`` and cancel the running one."""
        with self._condition:
            request = self._waiting.pop(key, None)
            if request is not None:
                request.task.cancel()
            if self._running is not None and self._running[0] == key:
                self._running[1].task.cancel()
            self._condition.notify_all()

    def has(self, key: Hashable) -> bool:
        """Whether a request of ``key`` runs or waits and was not cancelled."""
        with self._condition:
            running = self._running is not None and self._running[0] == key and not self._running[1].task.cancelled
            return running or key in self._waiting

    @property
    def busy(self) -> bool:
        """Whether a request runs or waits."""
        with self._condition:
            return self._running is not None or bool(self._waiting)

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs or waits; False if ``timeout`` seconds were not enough."""
        with self._condition:
            return self._condition.wait_for(lambda: self._running is None and not self._waiting, timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Cancel everything and end the thread, waiting at most ``timeout`` seconds for a checkpoint."""
        with self._condition:
            self._closed = True
            for request in self._waiting.values():
                request.task.cancel()
            self._waiting.clear()
            if self._running is not None:
                self._running[1].task.cancel()
            self._condition.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._running = None
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._closed or bool(self._waiting))
                if self._closed:
                    return
                key = next(iter(self._waiting))
                request = self._waiting.pop(key)
                self._running = (key, request)
            _work(request)


def _work(request: _Request) -> None:
    try:
        request.task.check()
        result = request.work(request.task)
        if request.on_done is not None and not request.task.cancelled:
            request.on_done(result)
    except Cancelled:
        return
    except Exception as error:
        # The thread outlives every request: whatever one raises must not cost the next one its turn.
        if request.task.cancelled:
            return
        if request.on_error is None:
            logger.exception("A request to the engine failed.")
            return
        try:
            request.on_error(error)
        except Exception:
            logger.exception("Telling of a failed request failed.")
