"""What *Clean up* does: masks cleaned on the engine thread, and what the user is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from napari_medsam.engine.cleaning import Cleaning, CleaningKind, voxel_volume
from napari_medsam.engine.errors import PromptError
from napari_medsam.engine.region import Edit
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task
from napari_medsam.widgets.frame_work import masked_objects

if TYPE_CHECKING:
    from napari_medsam.widgets.controller import SegmentController

_NOTHING = {
    CleaningKind.FILL_HOLES: "There are no holes to fill.",
    CleaningKind.REMOVE_ISLANDS: "There is no island that small.",
    CleaningKind.KEEP_LARGEST: "There is one piece only.",
}


class CleaningWork:
    """The part of a controller that cleans masks.

    Parameters
    ----------
    controller : SegmentController
        Whose images and sessions they are.
    """

    def __init__(self, controller: SegmentController) -> None:
        self._controller = controller

    def clean(self, cleaning: Cleaning, all_objects: bool) -> None:
        """Clean the current object of the displayed frame, or all; prompts that wait come first."""
        controller, work = self._controller, self._controller.work
        session, current = work.session, work.current
        if session is None:
            controller.message.emit("Segment an object first, then clean it.")
            return
        controller.predict_waiting(work, None if all_objects else current)

        def run(task: Task) -> dict[int, Edit]:
            # Looked for now: an answer that was awaited when the button was pressed is there.
            chosen = masked_objects(session, current, all_objects)
            if not chosen:
                raise PromptError("Segment the object first: there is nothing yet to clean.")
            return session.clean(chosen, cleaning, task)

        def done(edits: dict[int, Edit]) -> None:
            controller.message.emit(_told(session, cleaning, edits))
            controller.changed.emit()

        controller.engine.submit(("clean", id(work)), "Cleaning", run, done, controller.fail)


def _told(session: Session, cleaning: Cleaning, edits: Mapping[int, Edit]) -> str:
    added = sum(int(np.count_nonzero(edit.added)) for edit in edits.values())
    removed = sum(int(np.count_nonzero(edit.removed)) for edit in edits.values())
    if not added + removed:
        return _NOTHING[cleaning.kind]
    what = "Holes filled" if added else "Pieces removed"
    volume = (added + removed) * voxel_volume(session.volume) / 1000
    return f"{what}: {volume:.3g} ml. Undo takes it back."
