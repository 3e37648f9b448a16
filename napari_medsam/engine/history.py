"""What a session holds in memory and how it changes: commands that can be taken back and written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_medsam.engine.cleaning import Cleaning
from napari_medsam.engine.objects import CleanUp, HandEdit, Propagation, SegmentedObject, Step
from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.propagation import Route
from napari_medsam.engine.region import Edit, Region
from napari_medsam.engine.volume import Index3


@dataclass(frozen=True)
class Change:
    """What one command does to one object.

    Parameters
    ----------
    before, after : SegmentedObject or None
        The object without its mask; None where it does not exist.
    packed : dict
        The edit of its mask as `Edit.to_json` packs it: a long history stays small in memory.
    """

    before: SegmentedObject | None
    after: SegmentedObject | None
    packed: dict[str, Any] = field(repr=False)

    @classmethod
    def between(cls, before: SegmentedObject | None, after: SegmentedObject | None) -> Change:
        """The change from one state of an object to another."""
        edit = Edit.between(before.mask if before else Region.empty(), after.mask if after else Region.empty())
        return cls(_card(before), _card(after), edit.to_json())

    @property
    def edit(self) -> Edit:
        """The edit of the mask, unpacked."""
        return Edit.from_json(self.packed)

    @property
    def box(self) -> tuple[Index3, Index3]:
        """First voxel of the changed box and one past its last."""
        z, y, x = self.packed["lower"]
        depth, height, width = self.packed["shape"]
        return (z, y, x), (z + depth, y + height, x + width)


@dataclass(frozen=True)
class Command:
    """One undoable change of a session.

    Parameters
    ----------
    number : int
        From 1, in the order in which commands were given; never given twice.
    kind : str
        ``"add"``, ``"remove"``, ``"describe"`` (name, colour), ``"predict"``, ``"remove_prompt"``, ``"propagate"``,
        ``"everything"``, ``"clean"`` or ``"edit"``.
    changes : mapping
        `Change` by object id.
    details : mapping
        Of a prediction: ``overlap`` (mode), ``confidence`` (or None) and ``seconds`` by stage. Of a propagation:
        ``overlap``, ``route``, ``keys`` (key slices by object id), ``answered`` (slices) and ``complete``. Of both
        ``window`` (low and high), where the image was shown to the model in another than its own choice. Of a
        cleaning: ``overlap`` and ``cleaning``.
    """

    number: int
    kind: str
    changes: Mapping[int, Change]
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON form; prompts appear by their id only."""
        changes = {
            str(id_): {"before": _card_to_json(c.before), "after": _card_to_json(c.after), "edit": c.packed}
            for id_, c in self.changes.items()
        }
        return {"number": self.number, "kind": self.kind, "changes": changes, "details": dict(self.details)}

    @classmethod
    def from_json(cls, record: dict[str, Any], inputs: Inputs) -> Command:
        """Inverse of `to_json`; what the command makes, other than a prediction, is added to ``inputs``."""
        number, kind = int(record["number"]), str(record["kind"])
        details = record["details"]
        if kind == "propagate":
            answered = None if details["complete"] else int(details["answered"])
            inputs.propagations[number] = Propagation(number, Route(**details["route"]), answered)
        if kind == "clean":
            inputs.clean_ups[number] = CleanUp(number, Cleaning.from_json(details["cleaning"]))
        changes = {}
        for key, change in record["changes"].items():
            if kind == "edit" and change["after"] and {"edit": number} in change["after"]["steps"]:
                inputs.edits[number] = HandEdit(number, change["edit"])
            before = _card_from_json(int(key), change["before"], inputs)
            after = _card_from_json(int(key), change["after"], inputs)
            changes[int(key)] = Change(before, after, change["edit"])
        return cls(number, kind, changes, details)


@dataclass
class Inputs:
    """Everything that steps of a journal name by id or number."""

    prompts: dict[str, Prompt] = field(default_factory=dict)
    edits: dict[int, HandEdit] = field(default_factory=dict)
    propagations: dict[int, Propagation] = field(default_factory=dict)
    clean_ups: dict[int, CleanUp] = field(default_factory=dict)


class Document:
    """The objects of a session and the commands that made them.

    Replaced as a whole at every change, ``objects`` may be read while another thread changes the document.
    """

    def __init__(self) -> None:
        self.objects: dict[int, SegmentedObject] = {}
        self.done: tuple[Command, ...] = ()
        self.undone: tuple[Command, ...] = ()
        self.next_id = 1
        self.next_number = 1

    def do(self, command: Command, objects: dict[int, SegmentedObject] | None = None) -> None:
        """Make a new change; what was undone can no longer be redone.

        Parameters
        ----------
        command : Command
            The change.
        objects : dict, optional
            What it leads to, by id, where the caller has it at hand; else it is worked out from the edits.
        """
        self.objects = self._changed(command, forward=True) if objects is None else dict(sorted(objects.items()))
        self.done += (command,)
        self.undone = ()
        self.next_id = max(self.next_id, 1 + max(command.changes, default=0))
        self.next_number = command.number + 1

    def undo(self) -> Command:
        """Take the newest change back; there must be one."""
        command = self.done[-1]
        self.objects = self._changed(command, forward=False)
        self.done, self.undone = self.done[:-1], (*self.undone, command)
        return command

    def redo(self) -> Command:
        """Make the change again that was taken back last; there must be one."""
        command = self.undone[-1]
        self.objects = self._changed(command, forward=True)
        self.done, self.undone = (*self.done, command), self.undone[:-1]
        return command

    def _changed(self, command: Command, *, forward: bool) -> dict[int, SegmentedObject]:
        objects = dict(self.objects)
        for id_, change in command.changes.items():
            before = objects.pop(id_, None)
            card = change.after if forward else change.before
            if card is not None:
                edit = change.edit if forward else change.edit.inverse()
                mask = edit.apply(before.mask if before else Region.empty())
                objects[id_] = _with_mask(card, mask)
        return dict(sorted(objects.items()))


def _with_mask(card: SegmentedObject, mask: Region) -> SegmentedObject:
    return SegmentedObject(card.id, card.name, card.colour, card.steps, mask)


def _card(item: SegmentedObject | None) -> SegmentedObject | None:
    return None if item is None else _with_mask(item, Region.empty())


def _card_to_json(card: SegmentedObject | None) -> dict[str, Any] | None:
    if card is None:
        return None
    return {"name": card.name, "colour": list(card.colour), "steps": [_step_to_json(step) for step in card.steps]}


def _step_to_json(step: Step) -> dict[str, int] | list[str]:
    match step:
        case HandEdit():
            return {"edit": step.number}
        case Propagation():
            return {"propagation": step.number}
        case CleanUp():
            return {"clean_up": step.number}
        case _:
            return [prompt.id for prompt in step]


def _card_from_json(id_: int, record: dict[str, Any] | None, inputs: Inputs) -> SegmentedObject | None:
    if record is None:
        return None
    steps: list[Step] = []
    for step in record["steps"]:
        match step:
            case {"edit": number}:
                steps.append(inputs.edits[number])
            case {"propagation": number}:
                steps.append(inputs.propagations[number])
            case {"clean_up": number}:
                steps.append(inputs.clean_ups[number])
            case _:
                steps.append(tuple(inputs.prompts[prompt] for prompt in step))
    red, green, blue = (int(c) for c in record["colour"])
    return SegmentedObject(id_, str(record["name"]), (red, green, blue), tuple(steps))
