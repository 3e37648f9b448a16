"""Random valid actions on a session, compared with a plain model: full arrays, and a copy of everything per undo."""

import copy
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from region_grower import RegionGrower, blobs
from scipy import ndimage

from napari_medsam.engine.cleaning import Cleaning, CleaningKind
from napari_medsam.engine.errors import PromptError
from napari_medsam.engine.objects import Overlap
from napari_medsam.engine.postprocess import tidy
from napari_medsam.engine.prompts import Box, Point
from napari_medsam.engine.region import Region
from napari_medsam.engine.replay import Replay
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task

SHAPE = (6, 8, 10)
VOLUME = blobs(SHAPE)


class PlainObject:
    def __init__(self, name):
        self.name = name
        self.steps = []
        self.mask = np.zeros(SHAPE, dtype=bool)


def cleaned(mask, cleaning):
    """By scipy; a voxel of the volume is 1 mm³."""
    if not mask.any():
        return mask
    if cleaning.kind is CleaningKind.FILL_HOLES:
        for axis in range(3):
            if np.ptp(np.nonzero(mask)[axis]) == 0:
                flat = [ndimage.binary_fill_holes(one) for one in np.moveaxis(mask, axis, 0)]
                return np.moveaxis(np.stack(flat), 0, axis)
        return ndimage.binary_fill_holes(mask)
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    enough = cleaning.smallest if cleaning.kind is CleaningKind.REMOVE_ISLANDS else np.inf
    return np.isin(pieces, [sizes.argmax(), *(np.flatnonzero(sizes[1:] >= enough) + 1)])


def prompts_of(steps):
    return [p for s in steps if isinstance(s, list) for p in s]


class PlainSession:
    """What a session should be, written as simply as can be."""

    def __init__(self):
        self.objects = {}
        self.past, self.future = [], []
        self.pending = []
        self.created = 0
        self.overlap = Overlap.KEEP
        self.grower = RegionGrower()

    def remember(self):
        self.past.append(copy.deepcopy(self.objects))
        self.future = []

    def answer(self, prompts, previous):
        prepared = self.grower.prepare(VOLUME, Task())
        region = self.grower.predict(prepared, prompts, Region.of(previous), Task()).region
        return tidy(region, Region.of(previous), prompts, SHAPE).full(SHAPE)

    def kept(self, id_, mask, previous):
        others = [o.mask for i, o in self.objects.items() if i != id_]
        taken = np.logical_or.reduce([*others, np.zeros(SHAPE, dtype=bool)])
        return mask & ~(taken & ~previous) if self.overlap is Overlap.KEEP else mask

    def put(self, id_, mask, previous):
        mask = self.kept(id_, mask, previous)
        if self.overlap is Overlap.REPLACE:
            for i, other in self.objects.items():
                if i != id_:
                    other.mask = other.mask & ~mask
        self.objects[id_].mask = mask

    def labels(self):
        out = np.zeros(SHAPE, dtype=int)
        for id_, item in sorted(self.objects.items()):
            out[item.mask] = id_
        return out

    def forget_pending(self):
        self.pending = [(i, p) for i, p in self.pending if i in self.objects]


voxels = st.tuples(*[st.integers(0, n - 1) for n in SHAPE])
points = st.builds(lambda v, positive: Point(tuple(map(float, v)), positive=positive), voxels, st.booleans())
boxes = st.builds(
    lambda a, b: Box(tuple(map(min, zip(a, b, strict=True))), tuple(1 + max(c) for c in zip(a, b, strict=True))),
    voxels,
    voxels,
)


class SessionMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "a.journal"
        self.session = Session(VOLUME, RegionGrower(), self.path)
        self.plain = PlainSession()

    def pick(self, data):
        return data.draw(st.sampled_from(sorted(self.plain.objects)))

    @rule(name=st.sampled_from([None, "Liver", ""]))
    def add(self, name):
        self.plain.remember()
        self.plain.created += 1
        self.plain.objects[self.plain.created] = PlainObject(name or f"Object {self.plain.created}")
        assert self.session.add_object(name).id == self.plain.created

    @precondition(lambda self: self.plain.objects)
    @rule(data=st.data())
    def remove(self, data):
        id_ = self.pick(data)
        self.plain.remember()
        del self.plain.objects[id_]
        self.plain.forget_pending()
        self.session.remove_object(id_)

    @precondition(lambda self: self.plain.objects)
    @rule(data=st.data(), name=st.text(max_size=5))
    def rename(self, data, name):
        id_ = self.pick(data)
        self.plain.remember()
        self.plain.objects[id_].name = name
        self.session.rename(id_, name)

    @rule(overlap=st.sampled_from(Overlap))
    def choose_overlap(self, overlap):
        self.session.overlap = self.plain.overlap = overlap

    @precondition(lambda self: self.plain.objects)
    @rule(data=st.data(), prompt=st.one_of(points, boxes))
    def give(self, data, prompt):
        id_ = self.pick(data)
        self.plain.pending.append((id_, prompt))
        self.session.add_prompt(prompt, id_)

    @precondition(lambda self: self.plain.pending)
    @rule(data=st.data())
    def predict(self, data):
        id_ = data.draw(st.sampled_from(sorted({i for i, _ in self.plain.pending})))
        item = self.plain.objects[id_]
        new = [p for i, p in self.plain.pending if i == id_]
        try:
            mask = self.plain.answer([*prompts_of(item.steps), *new], item.mask)
        except PromptError:
            self.plain.pending.remove((id_, new[-1]))
            with pytest.raises(PromptError):
                self.session.predict(id_)
            return
        self.plain.remember()
        self.plain.pending = [(i, p) for i, p in self.plain.pending if i != id_]
        item.steps.append(new)
        self.plain.put(id_, mask, item.mask)
        self.session.predict(id_)

    @precondition(lambda self: self.plain.objects)
    @rule(data=st.data(), box=boxes, positive=st.booleans())
    def paint(self, data, box, positive):
        id_ = self.pick(data)
        item = self.plain.objects[id_]
        brush = box.region(SHAPE).full(SHAPE)
        wanted = item.mask | brush if positive else item.mask & ~brush
        before = copy.deepcopy(self.plain.objects)
        old = item.mask
        self.plain.put(id_, wanted, old)
        if any((before[i].mask != o.mask).any() for i, o in self.plain.objects.items()):
            self.plain.past.append(before)
            self.plain.future = []
            item.steps.append((item.mask & ~old, old & ~item.mask))
        self.session.edit(id_, Region.of(wanted))

    @precondition(lambda self: self.plain.objects)
    @rule(data=st.data(), kind=st.sampled_from(CleaningKind), smallest=st.integers(0, 5), every=st.booleans())
    def clean(self, data, kind, smallest, every):
        ids = sorted(self.plain.objects) if every else [self.pick(data)]
        cleaning = Cleaning(kind, float(smallest))
        before = copy.deepcopy(self.plain.objects)
        changed = {i: mask for i in ids if ((mask := cleaned(before[i].mask, cleaning)) != before[i].mask).any()}
        for i, mask in changed.items():
            self.plain.put(i, mask, before[i].mask)
        if any((before[i].mask != self.plain.objects[i].mask).any() for i in ids):
            self.plain.past.append(before)
            self.plain.future = []
            for i in changed:
                self.plain.objects[i].steps.append(cleaning)
        else:
            self.plain.objects = before
        self.session.clean(ids, cleaning)

    @precondition(lambda self: any(prompts_of(o.steps) for o in self.plain.objects.values()))
    @rule(data=st.data())
    def remove_prompt(self, data):
        given = [(i, p) for i, o in sorted(self.plain.objects.items()) for p in prompts_of(o.steps)]
        id_, prompt = data.draw(st.sampled_from(given))
        item = self.plain.objects[id_]
        left = [[p for p in s if p is not prompt] if isinstance(s, list) else s for s in item.steps]
        left = [s for s in left if s]
        mask, sofar = np.zeros(SHAPE, dtype=bool), []
        try:
            for step in left:
                if isinstance(step, list):
                    sofar += step
                    mask = self.plain.kept(id_, self.plain.answer(sofar, mask), mask)
                elif isinstance(step, Cleaning):
                    mask = self.plain.kept(id_, cleaned(mask, step), mask)
                else:
                    mask = (mask | step[0]) & ~step[1]
        except PromptError:
            with pytest.raises(PromptError):
                self.session.remove_prompt(prompt.id)
            return
        self.plain.remember()
        item.steps = left
        self.plain.put(id_, mask, np.zeros(SHAPE, dtype=bool))
        self.session.remove_prompt(prompt.id)

    @rule()
    def undo(self):
        could = bool(self.plain.pending or self.plain.past)
        if self.plain.pending:
            self.plain.pending.pop()
        elif self.plain.past:
            self.plain.future.append(self.plain.objects)
            self.plain.objects = self.plain.past.pop()
        assert self.session.can_undo is could
        assert self.session.undo() is could

    @rule()
    def redo(self):
        could = bool(self.plain.future)
        if could:
            self.plain.past.append(self.plain.objects)
            self.plain.objects = self.plain.future.pop()
            self.plain.forget_pending()
        assert self.session.can_redo is could
        assert self.session.redo() is could

    @precondition(lambda self: self.path.exists())
    @rule(orderly=st.booleans())
    def die_and_recover(self, orderly):
        unpredicted = {p.id for o in self.session.objects for p in o.pending}
        if orderly:
            self.session.close()
        else:
            self.session._ledger.recorder.close()
        self.session = Session.recover(self.path, VOLUME, RegionGrower())
        kept = {p.id for o in self.session.objects for p in o.pending}
        assert kept <= unpredicted
        # Prompts that were given and never predicted were in memory only.
        self.plain.pending = [(i, p) for i, p in self.plain.pending if p.id in kept]
        self.session.overlap = self.plain.overlap

    @invariant()
    def same(self):
        objects = {item.id: item for item in self.session.objects}
        assert objects.keys() == self.plain.objects.keys()
        for id_, item in objects.items():
            plain = self.plain.objects[id_]
            assert item.name == plain.name
            assert [p.id for p in item.prompts] == [p.id for p in prompts_of(plain.steps)]
            assert len(item.steps) == len(plain.steps)
            assert [p.id for p in item.pending] == [p.id for i, p in self.plain.pending if i == id_]
            assert np.array_equal(item.mask.full(SHAPE), plain.mask)
        assert np.array_equal(self.session.labels(), self.plain.labels())

    def teardown(self):
        self.session.close()
        if self.path.exists():
            replay = Replay(self.path, RegionGrower(), VOLUME)
            assert all(result.is_same for result in replay.run(Task()))
            assert replay.document.objects.keys() == self.plain.objects.keys()
        shutil.rmtree(self.folder)


TestSession = SessionMachine.TestCase
TestSession.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
