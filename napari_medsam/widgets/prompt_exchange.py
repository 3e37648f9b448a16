"""One prompt of an object put in the place of another."""

from __future__ import annotations

from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.session import Session


def exchange_prompt(session: Session, object_id: int, old: Prompt, new: Prompt) -> None:
    """Take one prompt of an object away and give it another, which then waits to be answered.

    Raises
    ------
    MedSamError
        If there is no such object or prompt, or the new prompt cannot be used.
    """
    item = session.object(object_id)
    newest = item.steps[-1] if item.steps else ()
    is_last = bool(session.history) and object_id in session.history[-1].changes and newest == (old,)
    # To take back what was done last needs no model.
    if is_last and not item.pending:
        session.undo()
    else:
        session.remove_prompt(old.id)
    session.add_prompt(new, object_id)
