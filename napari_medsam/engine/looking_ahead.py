"""Work done in the background for the slices a user is about to look at."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from napari_medsam.engine.errors import Cancelled
from napari_medsam.engine.task import Task


@runtime_checkable
class Anticipating(Protocol):
    """A `Prepared` that can do what slices cost before anybody asks for them."""

    def encode_ahead(self, axis: int, centre: int, task: Task) -> Iterator[int]:
        """Make slices along ``axis`` ready outwards from ``centre``, yielding each.

        Raises
        ------
        Cancelled
            If ``task`` was cancelled.
        """
        ...


class LookAhead:
    """One background thread that makes slices ready outwards from the one on screen.

    Parameters
    ----------
    prepared : Anticipating
        What can do it.
    on_ready : callable, optional
        Called with the axis and the index of each slice that is ready, from the background thread.
    on_problem : callable, optional
        Called with the exception that ended the work early, from the background thread. What was to be done ahead is
        then done when it is asked for.
    """

    def __init__(
        self,
        prepared: Anticipating,
        on_ready: Callable[[int, int], None] | None = None,
        on_problem: Callable[[Exception], None] | None = None,
    ) -> None:
        self._prepared = prepared
        self._on_ready = on_ready
        self._on_problem = on_problem
        self._changed = threading.Condition()
        self._wanted: tuple[int, int] | None = None
        self._task = Task()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="looking ahead", daemon=True)
        self._thread.start()

    def look_at(self, axis: int, index: int) -> None:
        """Begin again from a slice; what was under way is given up at its next slice."""
        with self._changed:
            if (axis, index) != self._wanted:
                self._wanted = (axis, index)
                self._begin_again()

    def again(self) -> None:
        """Begin again where it is: what was made ready counts no more."""
        with self._changed:
            self._begin_again()

    def stop(self) -> None:
        """Do nothing until the next `look_at`."""
        with self._changed:
            self._wanted = None
            self._begin_again()

    def close(self) -> None:
        """End the thread, after the slice it is at."""
        with self._changed:
            self._is_closed = True
            self._begin_again()
        self._thread.join()

    def _begin_again(self) -> None:
        self._task.cancel()
        self._task = Task()
        self._changed.notify()

    def _work(self) -> None:
        _spare_a_core()
        done: Task | None = None
        while True:
            with self._changed:
                while not self._is_closed and (self._wanted is None or self._task is done):
                    self._changed.wait()
                if self._is_closed or self._wanted is None:
                    return
                (axis, centre), task = self._wanted, self._task
            try:
                for index in self._prepared.encode_ahead(axis, centre, task):
                    if self._on_ready is not None:
                        self._on_ready(axis, index)
            except Cancelled:
                pass
            except Exception as error:  # a thread has nobody above it who could be told
                if self._on_problem is not None:
                    self._on_problem(error)
            done = task


def _spare_a_core() -> None:
    """Leave one core to the window in what the calling thread computes."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads - 1))
    # The number holds for this thread and for those that have computed nothing yet: a third one says the old one.
    other = threading.Thread(target=torch.set_num_threads, args=(threads,))
    other.start()
    other.join()
