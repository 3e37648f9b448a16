"""Objects followed through the slices of a volume: prompts on any slice, in any order, before and after propagation.

Written for volumes: features come from outside and are kept, objects share passes, every prompted slice becomes a key
slice and stays one. SAM 2's own predictor reverts corrections of tracked slices unless it is built with
``add_all_frames_to_correct_as_cond=True`` (facebookresearch/sam2 issue 719); with that, answers here equal its answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from napari_medsam.engine.segmenters.sam2.decoding import ABSENT, LOGIT_LIMIT, Answer, Clicks, accept_mask, decode
from napari_medsam.engine.segmenters.sam2.encoding import Positions, Sam2Model, SliceFeatures
from napari_medsam.engine.segmenters.sam2.memory import Memory, Recall, condition, recall, remember, without_memory
from napari_medsam.engine.segmenters.sam2.out_of_memory import is_out_of_memory
from napari_medsam.engine.task import Task

KEY_LIMIT = 8
"""Key slices remembered at a time, the nearest: a mask drawn on a hundred slices must not cost a hundred memories."""


@dataclass
class _Tracked:
    """The state of one object.

    ``keys`` and ``others`` are memories by slice: of prompted slices, and of slices answered on the way. ``fresh``
    holds answers on prompted slices that no propagation has used yet; their memories are made when one does.
    """

    keys: dict[int, Memory] = field(default_factory=dict)
    others: dict[int, Memory] = field(default_factory=dict)
    fresh: dict[int, Answer] = field(default_factory=dict)
    clicks: dict[int, Clicks] = field(default_factory=dict)
    directions: dict[int, int] = field(default_factory=dict)
    conditioned: dict[int, Tensor] = field(default_factory=dict)

    def answer(self, index: int) -> Answer | None:
        """The newest answer on a slice."""
        if index in self.fresh:
            return self.fresh[index]
        memory = self.keys.get(index) or self.others.get(index)
        return None if memory is None else memory.answer

    def key_slices(self) -> set[int]:
        return set(self.keys) | set(self.fresh)


class Tracker:
    """Follows objects through slices.

    Runs in whatever autograd mode it is called in: under `torch.inference_mode` in use, with gradients in training.

    Parameters
    ----------
    model : Sam2VideoModel
        The model, in evaluation mode.
    features : callable
        Gives the `SliceFeatures` of a slice in float32 on the model's device.
    slices : int
        Number of slices.
    reach : int, optional
        Tracked slices behind the current one that are remembered with their masks; by default all six that the model
        knows. Each costs 2 % of a slice's time at a size of 512, more at 1024.
    positions : Positions, optional
        Of the model, where they were made before.
    """

    def __init__(
        self,
        model: Sam2Model,
        features: Callable[[int], SliceFeatures],
        slices: int,
        reach: int | None = None,
        positions: Positions | None = None,
    ) -> None:
        self._model = model
        self._features = features
        self._slices = slices
        self._reach = model.num_maskmem - 1 if reach is None else reach
        self._positions = Positions.of(model) if positions is None else positions
        self._objects: dict[int, _Tracked] = {}

    @property
    def objects(self) -> tuple[int, ...]:
        """Ids of the objects that have been prompted."""
        return tuple(self._objects)

    def key_slices(self, object_id: int) -> tuple[int, ...]:
        """Slices of an object that were prompted, in order."""
        return tuple(sorted(self._objects[object_id].key_slices()))

    def answer(self, object_id: int, index: int) -> Answer | None:
        """The newest answer for an object on a slice, if there is one."""
        item = self._objects.get(object_id)
        return None if item is None else item.answer(index)

    def click(
        self, object_id: int, index: int, places: Tensor, labels: Tensor, previous: Tensor | None = None
    ) -> Answer:
        """Add points or a box on a slice; the model sees them with all earlier ones there and with its answer so far.

        On a slice that was tracked, the answer corrects what is there in the light of the object's memories; on
        another it is made from the slice alone.

        Parameters
        ----------
        object_id : int
            The object; new ids begin new objects.
        index : int
            The slice.
        places, labels : Tensor
            ``(points, 2)`` and ``(points,)`` as in `Clicks`; the corners of a box must be the first points of a slice.
        previous : Tensor, optional
            ``(1, 1, s / 4, s / 4)`` logits to correct instead of the answer so far.
        """
        item = self._objects.setdefault(object_id, _Tracked())
        clicks = self._with_earlier(item.clicks.get(index), places, labels)
        if previous is None:
            before = item.answer(index)
            previous = None if before is None else before.logits
        answer = decode(
            self._model,
            self._positions,
            self._features(index),
            self._seen_for_click(item, index),
            clicks,
            None if previous is None else previous.clamp(-LOGIT_LIMIT, LOGIT_LIMIT),
        )
        item.clicks[index] = clicks
        item.fresh[index] = answer
        return answer

    def give_mask(self, object_id: int, index: int, mask: Tensor) -> Answer:
        """Take a mask ``(s, s)`` of the user on a slice as it is; earlier points there are forgotten."""
        item = self._objects.setdefault(object_id, _Tracked())
        mask = mask.to(device=self._positions.decoder.device, dtype=torch.float32)[None, None]
        answer = accept_mask(self._model, self._positions, self._features(index), mask)
        item.clicks.pop(index, None)
        item.fresh[index] = answer
        return answer

    def forget(self, object_id: int, index: int | None = None) -> None:
        """Take back the prompts of an object on one slice, or the whole object."""
        if index is None:
            self._objects.pop(object_id, None)
        elif object_id in self._objects:
            item = self._objects[object_id]
            for held in (item.keys, item.others, item.fresh, item.clicks, item.directions):
                held.pop(index, None)
            item.conditioned.clear()

    def propagate(
        self,
        sweep: range,
        joins: Mapping[int, int] | None = None,
        patience: int | None = None,
        task: Task | None = None,
    ) -> Iterator[tuple[int, dict[int, Answer]]]:
        """Visit slices in order and answer each from what is remembered. Key slices keep their answers.

        Parameters
        ----------
        sweep : range
            Slices to visit, with a step of 1 or -1.
        joins : mapping of int to int, optional
            Objects that take part and the slice from which each does; by default all, from the start.
        patience : int, optional
            After so many slices in a row on which an object is absent it is no longer looked for until its next key
            slice; its answers there are empty.
        task : Task, optional
            Checked between slices; what was answered until then stays.

        Yields
        ------
        tuple of (int, dict of int to Answer)
            Slice, and the answers of the objects that take part there.

        Raises
        ------
        Cancelled
            If ``task`` was cancelled.
        """
        if joins is None:
            joins = dict.fromkeys(self._objects, sweep.start)
        joins = {id_: start for id_, start in joins.items() if self._objects[id_].key_slices()}
        for id_ in joins:
            self._settle(self._objects[id_])
        absent = dict.fromkeys(joins, 0)
        for index in sweep:
            if task is not None:
                task.check()
            present = [id_ for id_, start in joins.items() if (index - start) * sweep.step >= 0]
            searched = [
                id_
                for id_ in present
                if index not in self._objects[id_].keys and (patience is None or absent[id_] < patience)
            ]
            self._answer(index, sweep.step, searched)
            answers = {}
            for id_ in present:
                item = self._objects[id_]
                if index not in item.keys and id_ not in searched:
                    item.others.pop(index, None)
                    answers[id_] = self._nothing()
                    continue
                item.directions[index] = sweep.step
                memory = item.keys.get(index) or item.others[index]
                answers[id_] = memory.answer
                is_absent = index not in item.keys and float(memory.answer.score.detach()) <= 0
                absent[id_] = absent[id_] + 1 if is_absent else 0
            yield index, answers

    def _answer(self, index: int, direction: int, ids: Sequence[int]) -> None:
        """Answer a slice for the objects, those with equally many memories in one pass."""
        batches: dict[tuple[int, int], list[tuple[int, Recall]]] = {}
        for id_ in ids:
            known = self._recall(self._objects[id_], index, direction)
            batches.setdefault(known.layout, []).append((id_, known))
        if not batches:
            return
        for batch in batches.values():
            self._answer_together(index, batch)

    def _answer_together(self, index: int, batch: Sequence[tuple[int, Recall]]) -> None:
        features = self._features(index)
        try:
            conditioned = condition(self._model, self._positions, features, [known for _, known in batch], self._slices)
            clicks = Clicks.none(len(batch), conditioned.device)
            answer = decode(self._model, self._positions, features, conditioned, clicks)
            memories = remember(self._model, features, answer, is_key=False)
        except (RuntimeError, MemoryError) as error:
            if len(batch) == 1 or not is_out_of_memory(error):
                raise
        else:
            for (id_, _), memory in zip(batch, memories, strict=True):
                self._objects[id_].others[index] = memory
            return
        half = len(batch) // 2
        self._answer_together(index, batch[:half])
        self._answer_together(index, batch[half:])

    def _settle(self, item: _Tracked) -> None:
        """Turn fresh answers into memories of key slices."""
        for index, answer in item.fresh.items():
            item.keys[index] = remember(self._model, self._features(index), answer, is_key=True)[0]
            item.others.pop(index, None)
        item.fresh.clear()
        item.conditioned.clear()

    def _seen_for_click(self, item: _Tracked, index: int) -> Tensor:
        direction = item.directions.get(index)
        if direction is None or not item.keys:
            return without_memory(self._model, self._features(index))
        if index not in item.conditioned:
            # Kept for further clicks there: nothing that is remembered changes until the next propagation.
            known = self._recall(item, index, direction)
            item.conditioned[index] = condition(
                self._model, self._positions, self._features(index), [known], self._slices
            )
        return item.conditioned[index]

    def _recall(self, item: _Tracked, index: int, direction: int) -> Recall:
        return recall(item.keys, item.others, index, direction, self._reach, KEY_LIMIT)

    def _with_earlier(self, earlier: Clicks | None, places: Tensor, labels: Tensor) -> Clicks:
        device = self._positions.decoder.device
        new = Clicks(places[None].to(device, torch.float32), labels[None].to(device, torch.int32))
        if earlier is None:
            return new
        return Clicks(torch.cat([earlier.places, new.places], 1), torch.cat([earlier.labels, new.labels], 1))

    def _nothing(self) -> Answer:
        side = self._model.image_size // 4
        blank = self._positions.decoder.new_full((1, 1, side, side), ABSENT)
        return Answer(blank, blank.new_zeros(1), blank.new_full((1, 1), ABSENT), self._model.no_object_pointer)
