"""The memory of a session: its document, its pending prompts and its journal, changed together and told about."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from psygnal import Signal

from napari_medsam.engine.errors import JournalError, MedSamError, PromptError
from napari_medsam.engine.history import Change, Command, Document
from napari_medsam.engine.journal import now
from napari_medsam.engine.objects import Overlap, SegmentedObject
from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.recorder import Recorder
from napari_medsam.engine.recovery import Given, Retold, still_pending

Event = Callable[[], None]


class Ledger:
    """Keeps what happened, in memory and in the journal, in one order.

    Every change goes through `changing`. Signals are emitted from the thread that made the change, with no lock held.

    Parameters
    ----------
    recorder : Recorder
        Where it is written down.
    told : Retold, optional
        What a journal told, to go on from.
    """

    edited = Signal(int, tuple, tuple)
    objects_changed = Signal()
    prompts_changed = Signal(int)
    history_changed = Signal()
    journal_failed = Signal(str)

    def __init__(self, recorder: Recorder, told: Retold | None = None) -> None:
        self.recorder = recorder
        self.document = told.document if told else Document()
        self.overlap = told.overlap if told else Overlap.KEEP
        self.journal_error: str | None = None
        self._pending = told.pending if told else {}
        self._closed = False
        # Two locks: `_writing` puts changes in one order, in memory and in the journal, and is held while the disk
        # writes; `_lock` guards memory for an instant, so that whoever only looks or clicks never waits for a disk.
        self._writing = threading.RLock()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def changing(self) -> Iterator[list[Event]]:
        """Make a change; the events put into the list happen once the lock is free again.

        Raises
        ------
        MedSamError
            If the session was closed.
        """
        events: list[Event] = []
        with self._writing:
            if self._closed:
                raise MedSamError("This session is closed: open the image again, or recover its journal.")
            yield events
        errors = []
        for event in events:
            try:
                event()
            except Exception as error:
                # What happened is told to everybody, whoever fails to listen.
                errors.append(error)
        if errors:
            raise errors[0]

    def snapshot(self) -> tuple[dict[int, SegmentedObject], tuple[Given, ...]]:
        """Objects by id and pending prompts in the order given, of one moment."""
        with self._lock:
            return self.document.objects, tuple(self._pending.values())

    def find(self, object_id: int) -> SegmentedObject:
        """An object, without its pending prompts. Raises `MedSamError` if there is none of this id."""
        item = self.document.objects.get(object_id)
        if item is None:
            raise MedSamError(f"There is no object {object_id} in this session.")
        return item

    def give(self, prompt: Prompt, object_id: int) -> None:
        """Let a prompt wait, in memory only.

        Raises
        ------
        PromptError
            If it was given before.
        MedSamError
            If there is no such object.
        """
        with self._lock:
            self.find(object_id)
            consumed = {p.id for item in self.document.objects.values() for p in item.prompts}
            if prompt.id in consumed or prompt.id in self._pending:
                raise PromptError("This prompt was given already.")
            self._pending[prompt.id] = Given(object_id, prompt, now())
        self.prompts_changed.emit(object_id)
        self.history_changed.emit()

    def write_down(self, given: Sequence[Given], events: list[Event]) -> None:
        """Put pending prompts into the journal, those that are not there yet."""
        for entry in given:
            if not entry.recorded:
                self.recorder.add("prompt", object=entry.object_id, given=entry.time, prompt=entry.prompt.to_json())
                with self._lock:
                    self._pending[entry.prompt.id] = replace(entry, recorded=True)
        self.flush(events)

    def drop(self, prompt_id: str, events: list[Event]) -> bool:
        """Forget a pending prompt; False if there is no such one."""
        with self._lock:
            given = self._pending.pop(prompt_id, None)
        if given is None:
            return False
        if given.recorded:
            self.recorder.add("dropped", prompt=prompt_id)
            self.flush(events)
        events.append(partial(self.prompts_changed.emit, given.object_id))
        events.append(self.history_changed.emit)
        return True

    def do(
        self,
        kind: str,
        new: Mapping[int, SegmentedObject | None],
        events: list[Event],
        details: Mapping[str, Any] | None = None,
    ) -> Command:
        """Make a command that leaves these objects (None: removed) as given."""
        document = self.document
        changes = {id_: Change.between(document.objects.get(id_), item) for id_, item in new.items()}
        command = Command(document.next_number, kind, changes, details or {})
        self.recorder.add("command", command=command.to_json())
        # Until something is segmented there is nothing worth a file, nor worth hashing a large image for.
        if self.recorder.has_begun or kind == "edit":
            self.flush(events)
        objects = {id_: item for id_, item in {**document.objects, **new}.items() if item is not None}
        self._change(partial(document.do, command, objects), command, events)
        return command

    def undo(self, events: list[Event]) -> None:
        """Take the newest command back; there must be one."""
        self._step("undo", self.document.undo, self.document.done[-1], events)

    def redo(self, events: list[Event]) -> None:
        """Make the command again that was taken back last; there must be one."""
        self._step("redo", self.document.redo, self.document.undone[-1], events)

    def flush(self, events: list[Event]) -> None:
        """Bring everything to disk. Where that fails the session goes on in memory, and the user is told once."""
        try:
            self.recorder.flush()
        except JournalError as error:
            if self.journal_error is None:
                events.append(partial(self.journal_failed.emit, str(error)))
            self.journal_error = str(error)
        else:
            self.journal_error = None

    def close(self) -> None:
        """Mark the journal as closed in order and let it go; done again, it does nothing."""
        with self._writing:
            if self._closed:
                return
            with self.changing() as events:
                if self.recorder.has_begun:
                    self.recorder.add("closed")
                    self.flush(events)
                self.recorder.close()
                self._closed = True

    def _step(self, kind: str, step: Callable[[], object], command: Command, events: list[Event]) -> None:
        self.recorder.add(kind)
        if self.recorder.has_begun:
            self.flush(events)
        self._change(step, command, events)

    def _change(self, step: Callable[[], object], command: Command, events: list[Event]) -> None:
        before = self.document.objects
        with self._lock:
            step()
            self._pending = still_pending(self._pending, self.document)
        after = self.document.objects
        described = False
        for id_, change in command.changes.items():
            old, new = before.get(id_), after.get(id_)
            lower, upper = change.box
            if lower != upper:
                events.append(partial(self.edited.emit, id_, lower, upper))
            if old is None or new is None or old.steps != new.steps:
                events.append(partial(self.prompts_changed.emit, id_))
            described |= old is None or new is None or (old.name, old.colour) != (new.name, new.colour)
        if described:
            events.append(self.objects_changed.emit)
        events.append(self.history_changed.emit)
