"""One image, one model, and the objects being segmented: every change can be taken back and survives a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.answering import find_everything, predict_pending, predict_without, propagate_objects
from napari_medsam.engine.clean_up import clean_objects
from napari_medsam.engine.cleaning import Cleaning
from napari_medsam.engine.editing import add_object, edit_mask
from napari_medsam.engine.errors import JournalError, MedSamError
from napari_medsam.engine.file_hash import sha256_of
from napari_medsam.engine.history import Command, Document
from napari_medsam.engine.label_map import compose_labels
from napari_medsam.engine.ledger import Ledger
from napari_medsam.engine.objects import Colour, Overlap, SegmentedObject
from napari_medsam.engine.predictor import Predictor
from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.propagation import PropagatedSlice, Route
from napari_medsam.engine.recorder import Recorder
from napari_medsam.engine.region import Edit, Region
from napari_medsam.engine.reopening import reopen
from napari_medsam.engine.saving import save_masks
from napari_medsam.engine.segmenters.base import Prepared, Segmenter
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Index3, Volume
from napari_medsam.engine.window import Window


class Session:
    """Segment objects in one volume.

    All methods may be called from any thread, and all but `predict`, `prompt`, `remove_prompt`, `propagate`,
    `segment_everything`, `clean`, `show`, `prepare` and `save` are quick. When a method returns, what it did is in the
    journal, with two exceptions: `add_prompt` never touches the disk, and until the first prediction there is no
    journal (a session in which nothing was segmented leaves no file). If the disk refuses, the session goes on in
    memory, says so once through `journal_failed`, and writes what is missing as soon as it can.

    Parameters
    ----------
    volume : Volume
        The image.
    segmenter : Segmenter
        The model.
    journal : str or pathlib.Path, optional
        File to write; see `napari_medsam.engine.journals.new_journal`. Without it nothing survives a crash.

    Attributes
    ----------
    edited : psygnal.SignalInstance
        ``(object_id, lower, upper)``: labels in this box ``[lower, upper)`` changed. Emitted, like all, from the
        thread that made the change.
    objects_changed : psygnal.SignalInstance
        Objects were added or removed, or a name or colour changed.
    prompts_changed : psygnal.SignalInstance
        ``(object_id)``: its prompts changed, pending or not.
    history_changed : psygnal.SignalInstance
        What undo and redo would do changed.
    journal_failed : psygnal.SignalInstance
        One sentence: from now on the session is in memory only.
    notes : tuple of str
        After `recover`: a sentence for whatever is not as it was.

    Raises
    ------
    JournalError
        If there is such a file already.
    """

    def __init__(self, volume: Volume, segmenter: Segmenter, journal: str | Path | None = None) -> None:
        journal = None if journal is None else Path(journal)
        if journal is not None and journal.exists():
            raise JournalError(f"There is a journal {journal} already: recover it, or choose another name.")
        self._start(volume, segmenter, journal, Ledger(Recorder(journal, volume, segmenter.info)))

    @classmethod
    def recover(cls, journal: str | Path, volume: Volume | None = None, segmenter: Segmenter | None = None) -> Session:
        """Open a journal and go on where it ends, with all objects, pending prompts, undo and redo. Runs no model.

        Parameters
        ----------
        journal : str or pathlib.Path
            The file.
        volume : Volume, optional
            Its image; by default it is opened from where it was.
        segmenter : Segmenter, optional
            The model to go on with; by default the one of the journal.

        Returns
        -------
        Session
            ``notes`` holds a sentence for whatever is not as it was.

        Raises
        ------
        JournalError
            If the journal cannot be read or is in use, or the image is gone or has changed.
        WeightsError
            If the model of the journal cannot be loaded.
        """
        journal = Path(journal)
        reopened = reopen(journal, volume, segmenter)
        session = cls.__new__(cls)
        session._start(reopened.volume, reopened.segmenter, journal, reopened.ledger)
        session.notes = reopened.notes
        return session

    @property
    def objects(self) -> tuple[SegmentedObject, ...]:
        """The objects as they are now, by id."""
        objects, given = self._ledger.snapshot()
        pending: dict[int, tuple[Prompt, ...]] = {}
        for entry in given:
            pending[entry.object_id] = (*pending.get(entry.object_id, ()), entry.prompt)
        return tuple(replace(item, pending=pending.get(item.id, ())) for item in objects.values())

    def object(self, object_id: int) -> SegmentedObject:
        """One object as it is now. Raises `MedSamError` if there is none of this id."""
        for item in self.objects:
            if item.id == object_id:
                return item
        raise MedSamError(f"There is no object {object_id} in this session.")

    def mask(self, object_id: int) -> Region:
        """The mask of an object. Raises `MedSamError` if there is none of this id."""
        return self._ledger.find(object_id).mask

    @property
    def overlap(self) -> Overlap:
        """Who gives way where a new mask meets another object; `Overlap.KEEP` at first."""
        return self._ledger.overlap

    @overlap.setter
    def overlap(self, overlap: Overlap) -> None:
        self._ledger.overlap = overlap

    @property
    def journal_error(self) -> str | None:
        """The sentence of `journal_failed` while the journal cannot be written, else None."""
        return self._ledger.journal_error

    @property
    def history(self) -> tuple[Command, ...]:
        """The commands that `undo` would take back, the next one last."""
        return self._document.done

    @property
    def can_undo(self) -> bool:
        """Whether `undo` would do something."""
        return bool(self._document.done or self._ledger.snapshot()[1])

    @property
    def can_redo(self) -> bool:
        """Whether `redo` would do something."""
        return bool(self._document.undone)

    def labels(self, lower: Index3 | None = None, upper: Index3 | None = None) -> npt.NDArray[np.uint16]:
        """Object ids in the box ``[lower, upper)`` of voxels ``(z, y, x)``, by default the whole image.

        Returns
        -------
        numpy.ndarray
            uint16 ``(z, y, x)``, 0 where there is no object; where objects overlap, the one with the largest id.
        """
        objects, _ = self._ledger.snapshot()
        return compose_labels(objects.values(), lower or (0, 0, 0), upper or self.volume.shape)

    def add_object(
        self, name: str | None = None, colour: Colour | None = None, number: int | None = None
    ) -> SegmentedObject:
        """A new, empty object; by default named by its number, in the next colour of a colour-blind-safe palette.

        Parameters
        ----------
        name : str, optional
            For people.
        colour : Colour, optional
            Red, green, blue.
        number : int, optional
            The id it has in another session of the same series; by default the next one.

        Raises
        ------
        MedSamError
            If there are too many, or the number is taken.
        """
        return add_object(self._ledger, name, colour, number)

    def remove_object(self, object_id: int) -> None:
        """Remove an object with its mask and prompts. Raises `MedSamError` if there is none of this id."""
        with self._ledger.changing() as events:
            self._ledger.find(object_id)
            self._ledger.do("remove", {object_id: None}, events)

    def rename(self, object_id: int, name: str) -> None:
        """Give an object another name. Raises `MedSamError` if there is none of this id."""
        with self._ledger.changing() as events:
            self._ledger.do("describe", {object_id: replace(self._ledger.find(object_id), name=name)}, events)

    def recolour(self, object_id: int, colour: Colour) -> None:
        """Give an object another colour. Raises `MedSamError` if there is none of this id."""
        with self._ledger.changing() as events:
            self._ledger.do("describe", {object_id: replace(self._ledger.find(object_id), colour=colour)}, events)

    def edit(self, object_id: int, mask: Region) -> Edit:
        """Replace the mask of an object by hand; `overlap` decides where it meets others.

        Raises
        ------
        MedSamError
            If there is no object of this id.
        """
        return edit_mask(self._ledger, self.volume.shape, object_id, mask)

    def prompt(self, prompt: Prompt, object_id: int | None = None, task: Task | None = None) -> Edit:
        """Give a prompt and predict: `add_prompt`, then `predict`.

        Raises
        ------
        PromptError
            If the prompt cannot be used; the session is as it was.
        ImageError
            If the image holds nothing to segment.
        Cancelled
            If ``task`` was cancelled; the prompt stays pending.
        """
        return self.predict(self.add_prompt(prompt, object_id), task)

    def add_prompt(self, prompt: Prompt, object_id: int | None = None) -> int:
        """Give a prompt without predicting: it is pending until `predict`. Quick, and in memory only.

        Parameters
        ----------
        prompt : Prompt
            The gesture.
        object_id : int, optional
            The object it is for; by default the newest one, and a new one if there is none.

        Returns
        -------
        int
            Id of the object.

        Raises
        ------
        PromptError
            If it lies outside the image, is empty, was given before, or the model does not take its kind.
        MedSamError
            If there is no object of this id.
        """
        self._predictor.check(prompt)
        if object_id is None:
            objects = self._document.objects
            object_id = max(objects) if objects else self.add_object().id
        self._ledger.give(prompt, object_id)
        return object_id

    def predict(self, object_id: int, task: Task | None = None) -> Edit:
        """Predict with all pending prompts of an object; they become one command.

        An answer is thrown away, and asked for anew, if the object changed while the model worked.

        Returns
        -------
        Edit
            The change of the object's mask; of no voxel if nothing was pending or the object is gone.

        Raises
        ------
        PromptError
            If the model refuses the prompts; the newest pending one is dropped, everything else is as it was.
        ImageError
            If the image holds nothing to segment.
        Cancelled
            If ``task`` was cancelled; the prompts stay pending.
        """
        return predict_pending(self._ledger, self._predictor, object_id, task or Task())

    def remove_prompt(self, prompt_id: str, task: Task | None = None) -> Edit:
        """Take one prompt away and predict again from the empty mask with the others, in their original groups.

        Changes by hand are made again in their place. A pending prompt is just dropped.

        Returns
        -------
        Edit
            The change of the object's mask.

        Raises
        ------
        MedSamError
            If there is no such prompt.
        PromptError, ImageError, Cancelled
            As `predict`; the session is as it was.
        """
        return predict_without(self._ledger, self._predictor, prompt_id, task or Task())

    def propagate(
        self,
        object_ids: Iterable[int],
        route: Route,
        task: Task | None = None,
        on_slice: Callable[[PropagatedSlice], None] = lambda _: None,
    ) -> dict[int, Edit]:
        """Carry the masks of objects from the slices the user settled to the others, as one command.

        Settled are slices with a prompt and slices that were changed by hand: they stay as they are, now and when it is
        done again after a correction. Cancelling keeps what was answered until then, which is what the user saw; undo
        takes it back whole. An object is not to change in the meantime: if one does, nothing is kept.

        Parameters
        ----------
        object_ids : iterable of int
            The objects, each with a mask; done together.
        route : Route
            Slice axis, limits and options.
        task : Task, optional
            Progress and cancellation.
        on_slice : callable, optional
            Called with each slice as it is answered, from this thread, for display: the session changes at the end.

        Returns
        -------
        dict
            `Edit` by object id.

        Raises
        ------
        PromptError
            If an object has no mask yet.
        MedSamError
            If there is no object of such an id.
        ImageError
            If the model cannot go on; what was answered until then is kept.
        Cancelled
            If ``task`` was cancelled, or an object changed in the meantime.
        """
        return propagate_objects(self._ledger, self._predictor, object_ids, route, task or Task(), on_slice)

    def segment_everything(self, axis: int, index: int, task: Task | None = None) -> tuple[SegmentedObject, ...]:
        """Add an object for each thing the model finds on a slice by itself, as one command.

        Objects that are there stay as they are, and of new ones the smaller lies on the larger.

        Parameters
        ----------
        axis, index : int
            The slice.
        task : Task, optional
            Progress and cancellation.

        Returns
        -------
        tuple of SegmentedObject
            The new ones, the largest first; none if there is nothing new.

        Raises
        ------
        PromptError
            If the model does not find objects by itself.
        ImageError
            If the image holds nothing to segment.
        MedSamError
            If there are too many.
        Cancelled
            If ``task`` was cancelled.
        """
        found = find_everything(self._ledger, self._predictor, axis, index, task or Task())
        return tuple(self.object(id_) for id_ in found)

    def clean(self, object_ids: Iterable[int], cleaning: Cleaning, task: Task | None = None) -> dict[int, Edit]:
        """Fill the holes of objects, remove their islands, or keep their largest piece, as one command.

        `overlap` decides where filled holes meet other objects. When an earlier prompt is removed, the cleaning is done
        again on what is left.

        Parameters
        ----------
        object_ids : iterable of int
            The objects.
        cleaning : Cleaning
            What is cleaned away.
        task : Task, optional
            Progress and cancellation.

        Returns
        -------
        dict
            `Edit` by object id; where all are of no voxel there was nothing to clean, and no command is made.

        Raises
        ------
        MedSamError
            If there is no object of such an id.
        Cancelled
            If ``task`` was cancelled; the session is as it was.
        """
        return clean_objects(self._ledger, self.volume, object_ids, cleaning, task or Task())

    def show(self, window: Window | None, task: Task | None = None) -> None:
        """Choose the intensities the model sees from now on, where it can be chosen; None: what suits the modality.

        Waits for what is under way. Raises `Cancelled` if ``task`` was cancelled while it waited.
        """
        self._predictor.show(window, task or Task())

    @property
    def prepared(self) -> Prepared | None:
        """What all predictions share, once `prepare` or a prediction has computed it."""
        return self._predictor.prepared

    def prepare(self, task: Task | None = None) -> None:
        """Compute ahead what all predictions share, so that the first one is quick.

        Raises
        ------
        ImageError
            If the image holds nothing to segment.
        Cancelled
            If ``task`` was cancelled.
        """
        self._predictor.prepare(task or Task())

    def undo(self) -> bool:
        """Drop the newest pending prompt, or take the newest command back. False if there was nothing to undo."""
        with self._ledger.changing() as events:
            _, given = self._ledger.snapshot()
            if given:
                self._ledger.drop(given[-1].prompt.id, events)
            elif self._document.done:
                self._ledger.undo(events)
            else:
                return False
        return True

    def redo(self) -> bool:
        """Make the command again that was taken back last. False if there was none."""
        with self._ledger.changing() as events:
            if not self._document.undone:
                return False
            self._ledger.redo(events)
        return True

    def save(self, path: str | Path) -> None:
        """Write all objects that have voxels; the format follows the extension (see `engine.io.save_objects`).

        Raises
        ------
        SaveError
            If there is nothing to save or it cannot be written; what was there before is untouched.
        """
        path = Path(path)
        ids = save_masks(path, self.volume, self._document.objects.values())
        with self._ledger.changing() as events:
            self._ledger.recorder.add("saved", path=str(path.absolute()), sha256=sha256_of(path), objects=ids)
            self._ledger.flush(events)

    def close(self) -> None:
        """Mark the journal as closed in order and free it. Pending prompts that were not predicted stay in it."""
        self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, volume: Volume, segmenter: Segmenter, journal: Path | None, ledger: Ledger) -> None:
        self.volume = volume
        self.segmenter = segmenter
        self.journal = journal
        self.notes: tuple[str, ...] = ()
        self._predictor = Predictor(segmenter, volume)
        self._ledger = ledger
        self.edited = ledger.edited
        self.objects_changed = ledger.objects_changed
        self.prompts_changed = ledger.prompts_changed
        self.history_changed = ledger.history_changed
        self.journal_failed = ledger.journal_failed

    @property
    def _document(self) -> Document:
        return self._ledger.document
