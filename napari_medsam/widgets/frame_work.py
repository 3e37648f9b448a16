"""What is known of one frame of an image while its session is being opened, and after."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from napari_medsam.engine.history import Command
from napari_medsam.engine.looking_ahead import Anticipating, LookAhead
from napari_medsam.engine.objects import SegmentedObject
from napari_medsam.engine.prompts import Box, Prompt
from napari_medsam.engine.session import Session


@dataclass
class FrameWork:
    """One frame of the chosen image.

    Parameters
    ----------
    frame : int
        Which one.
    session : Session or None
        None until the engine has opened it.
    waiting : list of Prompt
        Given before the session was there.
    current : int or None
        Id of the object that gets the next prompt; None lets the session make one.
    box : Box or None
        The newest box of the current object, which can still be extended.
    saved : int
        Number of the newest command when the objects were last saved; 0 if never.
    ahead : LookAhead or None
        Makes slices ready before they are asked for, where the model can.
    """

    frame: int
    session: Session | None = None
    waiting: list[Prompt] = field(default_factory=list)
    current: int | None = None
    box: Box | None = None
    saved: int = 0
    ahead: LookAhead | None = None

    @property
    def objects(self) -> tuple[SegmentedObject, ...]:
        """The objects of the session; none before it is there."""
        return self.session.objects if self.session is not None else ()

    @property
    def current_object(self) -> SegmentedObject | None:
        """The object that gets the next prompt, where it exists."""
        return next((item for item in self.objects if item.id == self.current), None)

    @property
    def has_pending(self) -> bool:
        """Whether prompts wait for an answer."""
        return bool(self.waiting) or any(item.pending for item in self.objects)

    @property
    def has_begun(self) -> bool:
        """Whether prompts were given or objects made, even if they were taken back."""
        session = self.session
        return self.has_pending or (session is not None and (session.can_undo or session.can_redo))

    @property
    def newest_command(self) -> int:
        """Number of the newest command that is not taken back; 0 if there is none."""
        history: tuple[Command, ...] = self.session.history if self.session is not None else ()
        return history[-1].number if history else 0

    @property
    def is_saved(self) -> bool:
        """Whether there is nothing that a save has not written."""
        return self.newest_command == self.saved or not any(item.mask for item in self.objects)

    def settle_current(self) -> None:
        """After objects came or went: keep the current one if it still exists, else take the newest."""
        objects = self.objects
        if all(item.id != self.current for item in objects):
            self.current = objects[-1].id if objects else None
            self.box = None

    def look_at(self, axis: int, level: int) -> None:
        """Make the slices around one ready in the background, where the model can."""
        prepared = None if self.session is None else self.session.prepared
        if self.ahead is None and isinstance(prepared, Anticipating):
            # What goes wrong ahead of time is told when it is asked for, if it goes wrong then.
            self.ahead = LookAhead(prepared)
        if self.ahead is not None:
            self.ahead.look_at(axis, level)

    def rest(self) -> None:
        """Make nothing ready until `look_at`."""
        if self.ahead is not None:
            self.ahead.stop()

    def close(self) -> None:
        """End the work on the frame."""
        if self.ahead is not None:
            # Its thread ends with the slice it is at. That may take long and is not waited for here, only when the
            # program ends: without torch the thread would crash it.
            threading.Thread(target=self.ahead.close, name="closing").start()
        # A journal that is not closed is offered for recovery: nothing unsaved is lost by closing a window.
        if self.session is not None and self.is_saved:
            self.session.close()


def masked_objects(session: Session, current: int | None, all_objects: bool) -> list[int]:
    """Numbers of the objects that have a mask: of all, or of the current one alone."""
    return [item.id for item in session.objects if item.mask and (all_objects or item.id == current)]
