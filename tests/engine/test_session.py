import threading

import numpy as np
import pytest
from region_grower import RegionGrower, blobs

from napari_medsam.engine.errors import Cancelled, ImageError, MedSamError, PromptError, SaveError
from napari_medsam.engine.objects import PALETTE, Overlap
from napari_medsam.engine.prompts import Box, Lasso, MaskPrompt, Point, Scribble
from napari_medsam.engine.region import Region
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume

BOX = Box((2, 2, 2), (9, 15, 15))
BOX_AGAIN = Box((1, 1, 1), (10, 16, 16))
INSIDE = (5.0, 8.0, 8.0)
OUTSIDE = (500.0, 0.0, 0.0)


@pytest.fixture
def session() -> Session:
    return Session(blobs(), RegionGrower())


def cube(lower, upper) -> MaskPrompt:
    return MaskPrompt(Region(lower, np.ones(np.subtract(upper, lower), dtype=bool)))


class Heard:
    """What a session told."""

    def __init__(self, session: Session) -> None:
        self.edited: list = []
        self.prompts: list = []
        self.objects = self.history = 0
        self.failures: list = []
        session.edited.connect(lambda *args: self.edited.append(args))
        session.prompts_changed.connect(self.prompts.append)
        session.objects_changed.connect(lambda: setattr(self, "objects", self.objects + 1))
        session.history_changed.connect(lambda: setattr(self, "history", self.history + 1))
        session.journal_failed.connect(self.failures.append)


def test_a_box_gives_a_mask_and_a_click_corrects_it(session):
    first = session.prompt(BOX)
    assert first
    mask = session.mask(1)
    assert np.array_equal(mask.full(session.volume.shape), first.apply(Region.empty()).full(session.volume.shape))
    second = session.prompt(Point(INSIDE, positive=False))
    assert second.removed.any()
    assert not session.mask(1).full(session.volume.shape)[5, 8, 8]
    assert [p.kind for p in session.object(1).prompts] == ["box", "point"]


@pytest.mark.parametrize(
    "prompt",
    [
        Point(INSIDE),
        BOX,
        Box((4, 2, 2), (5, 9, 9)),
        Scribble(((4.0, 4.0, 4.0), (4.0, 9.0, 9.0)), 1.0),
        Lasso(((4.0, 4.0, 4.0), (4.0, 4.0, 9.0), (4.0, 9.0, 9.0))),
        cube((1, 1, 1), (4, 4, 4)),
    ],
    ids=["point", "box", "flat box", "scribble", "lasso", "mask"],
)
def test_every_kind_of_prompt_is_taken(session, prompt):
    assert session.prompt(prompt)


def test_prompts_given_together_are_one_command(session):
    one = session.add_prompt(BOX)
    session.add_prompt(Point(INSIDE, positive=False))
    assert session.object(one).pending
    assert not session.mask(one)
    session.predict(one)
    assert len(session.object(one).steps) == 1
    assert [c.kind for c in session.history] == ["add", "predict"]
    session.undo()
    assert not session.mask(one)
    session.redo()
    assert len(session.object(one).prompts) == 2


def test_nothing_pending_predicts_nothing(session):
    one = session.add_object()
    assert not session.predict(one.id)
    assert not session.predict(77)
    assert [c.kind for c in session.history] == ["add"]


def test_undo_to_empty_and_redo_to_the_end(session):
    states = [(session.objects, session.labels())]

    def note():
        states.append((session.objects, session.labels()))

    one = session.add_object("Liver").id
    note()
    session.prompt(BOX, one)
    note()
    session.rename(one, "Spleen")
    note()
    two = session.add_object().id
    note()
    session.prompt(Point((6.0, 17.0, 20.0)), two)
    note()
    session.edit(two, Region((0, 0, 0), np.ones((2, 2, 2), dtype=bool)))
    note()
    session.remove_object(one)
    note()
    session.recolour(two, (1, 2, 3))
    note()
    for objects, labels in reversed(states[:-1]):
        assert session.can_undo
        assert session.undo()
        assert session.objects == objects
        assert np.array_equal(session.labels(), labels)
    assert not session.can_undo
    assert not session.undo()
    for objects, labels in states[1:]:
        assert session.can_redo
        assert session.redo()
        assert session.objects == objects
        assert np.array_equal(session.labels(), labels)
    assert not session.can_redo
    assert not session.redo()


def test_a_new_command_ends_redo(session):
    session.prompt(BOX)
    session.undo()
    session.prompt(Point(INSIDE))
    assert not session.can_redo


def test_undo_drops_pending_prompts_first_the_newest_first(session):
    session.prompt(BOX)
    one, two = session.object(1).id, session.add_object().id
    a, b = Point(INSIDE), Point((1.0, 1.0, 1.0))
    session.add_prompt(a, two)
    session.add_prompt(b, one)
    session.undo()
    assert session.object(one).pending == ()
    assert session.object(two).pending == (a,)
    session.undo()
    assert session.object(two).pending == ()
    assert len(session.objects) == 2


def test_the_newest_prompt_removed_is_as_if_it_had_not_been_given(session):
    session.prompt(BOX)
    before = session.labels()
    click = Point(INSIDE, positive=False)
    session.prompt(click)
    session.remove_prompt(click.id)
    assert np.array_equal(session.labels(), before)
    assert session.object(1).prompts == (BOX,)


def test_an_early_prompt_removed_leaves_what_the_others_make_alone(session):
    click = Point(INSIDE, positive=False)
    session.prompt(BOX)
    session.prompt(cube((1, 1, 1), (4, 4, 4)))
    session.prompt(click)
    other = Session(session.volume, RegionGrower())
    other.prompt(cube((1, 1, 1), (4, 4, 4)))
    other.prompt(click)
    session.remove_prompt(BOX.id)
    assert np.array_equal(session.labels(), other.labels())
    session.undo()
    assert len(session.object(1).prompts) == 3


def test_the_last_prompt_removed_leaves_an_empty_object(session):
    session.prompt(BOX)
    session.remove_prompt(BOX.id)
    assert not session.mask(1)
    assert session.object(1).steps == ()
    session.undo()
    assert session.mask(1)


def test_changes_by_hand_survive_the_removal_of_a_prompt(session):
    session.prompt(BOX)
    painted = session.mask(1).full(session.volume.shape)
    painted[0, 0, :5] = True
    session.edit(1, Region.of(painted))
    session.remove_prompt(BOX.id)
    assert session.mask(1).count == 5


def test_a_pending_prompt_is_removed_at_once(session):
    one = session.add_prompt(BOX)
    assert not session.remove_prompt(BOX.id)
    assert session.object(one).pending == ()


def test_a_prompt_that_is_not_there_cannot_be_removed(session):
    with pytest.raises(MedSamError, match="no such prompt"):
        session.remove_prompt("none")


def test_another_object_keeps_its_voxels(session):
    one, two = session.add_object().id, session.add_object().id
    session.prompt(cube((1, 1, 1), (5, 5, 5)), one)
    session.prompt(cube((3, 3, 3), (7, 7, 7)), two)
    assert session.mask(one).count == 64
    assert session.mask(two).count == 64 - 8
    assert len(session.history[-1].changes) == 1


def test_another_object_gives_way_when_asked_and_gets_its_voxels_back_by_undo(session):
    one, two = session.add_object().id, session.add_object().id
    session.prompt(cube((1, 1, 1), (5, 5, 5)), one)
    session.overlap = Overlap.REPLACE
    heard = Heard(session)
    session.prompt(cube((3, 3, 3), (7, 7, 7)), two)
    assert session.mask(one).count == 64 - 8
    assert session.mask(two).count == 64
    assert sorted(heard.edited) == [(one, (3, 3, 3), (5, 5, 5)), (two, (3, 3, 3), (7, 7, 7))]
    session.undo()
    assert session.mask(one).count == 64
    session.redo()
    assert session.mask(one).count == 64 - 8


def test_objects_may_share_voxels_when_asked_and_keep_what_they_share(session):
    one, two = session.add_object().id, session.add_object().id
    session.overlap = Overlap.ALLOW
    session.prompt(cube((1, 1, 1), (5, 5, 5)), one)
    session.prompt(cube((3, 3, 3), (7, 7, 7)), two)
    assert session.mask(one).count == session.mask(two).count == 64
    assert session.labels((4, 4, 4), (5, 5, 5)) == two
    session.overlap = Overlap.KEEP
    session.prompt(cube((7, 7, 7), (8, 8, 8)), two)
    assert session.mask(two).count == 65


def test_labels_of_a_box_are_that_box_of_all_labels(session):
    one, two = session.add_object().id, session.add_object().id
    session.prompt(cube((1, 1, 1), (5, 5, 5)), one)
    session.prompt(BOX, two)
    everything = session.labels()
    assert everything.dtype == np.uint16
    assert set(np.unique(everything)) == {0, one, two}
    for lower, upper in (((0, 0, 0), (12, 20, 24)), ((2, 3, 1), (6, 4, 9)), ((11, 19, 23), (12, 20, 24))):
        box = tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))
        assert np.array_equal(session.labels(lower, upper), everything[box])


def test_ids_are_never_given_twice_and_names_and_colours_follow_them(session):
    one = session.add_object()
    session.remove_object(one.id)
    two = session.add_object()
    session.undo()
    three = session.add_object()
    assert [o.id for o in (one, two, three)] == [1, 2, 3]
    assert [o.name for o in (one, two, three)] == ["Object 1", "Object 2", "Object 3"]
    assert three.colour == PALETTE[2]
    many = [session.add_object().colour for _ in range(18)]
    assert len({one.colour, two.colour, three.colour, *many}) == 21
    assert all(0 <= c <= 255 for colour in many for c in colour)


def test_an_edit_by_hand_obeys_the_overlap_and_the_image_edge(session):
    one, two = session.add_object().id, session.add_object().id
    session.edit(one, Region((0, 0, 0), np.ones((3, 3, 3), dtype=bool)))
    session.edit(two, Region((-1, -1, -1), np.ones((5, 5, 5), dtype=bool)))
    assert session.mask(one).count == 27
    assert session.mask(two).count == 64 - 27
    assert not session.edit(two, session.mask(two))
    assert [c.kind for c in session.history] == ["add", "add", "edit", "edit"]


@pytest.mark.parametrize(
    "prompt", [Point(OUTSIDE), Box((3, 3, 3), (3, 9, 9)), Box((50, 0, 0), (60, 5, 5)), MaskPrompt(Region.empty())]
)
def test_a_prompt_that_cannot_be_used_is_refused_and_nothing_changes(session, prompt):
    session.prompt(BOX)
    before = (session.objects, session.history)
    with pytest.raises(PromptError):
        session.prompt(prompt)
    assert (session.objects, session.history) == before


def test_a_refused_first_prompt_leaves_no_object(session):
    with pytest.raises(PromptError):
        session.prompt(Point(OUTSIDE))
    assert session.objects == ()


def test_a_kind_the_model_does_not_take_is_refused_by_name():
    segmenter = RegionGrower()
    object.__setattr__(segmenter.info, "prompts", frozenset({"point"}))
    with pytest.raises(PromptError, match="Region grower takes no box; it takes point"):
        Session(blobs(), segmenter).prompt(BOX)


def test_one_prompt_is_given_once(session):
    session.prompt(BOX)
    for _ in range(2):
        with pytest.raises(PromptError, match="already"):
            session.add_prompt(BOX)


def test_a_prompt_the_model_refuses_is_dropped_and_the_earlier_ones_stay(session):
    one = session.add_object().id
    good, bad = Point(INSIDE, positive=True), Point((1.0, 1.0, 1.0), positive=False)
    session.add_prompt(bad, one)
    with pytest.raises(PromptError, match="positive"):
        session.predict(one)
    assert session.object(one).pending == ()
    session.prompt(good, one)
    assert session.object(one).prompts == (good,)


def test_a_constant_image_is_refused_in_a_sentence_and_the_session_stays():
    session = Session(Volume(np.full((4, 5, 6), 7)), RegionGrower())
    with pytest.raises(ImageError, match="nothing to segment"):
        session.prompt(Point((1.0, 1.0, 1.0)))
    assert len(session.object(1).pending) == 1


def test_the_image_is_prepared_once_for_all_objects(session):
    session.prepare()
    session.prompt(BOX)
    session.prompt(Point(INSIDE), session.add_object().id)
    session.remove_prompt(BOX.id)
    assert session.segmenter.prepared_count == 1


def test_a_cancelled_prediction_leaves_its_prompt_pending(session):
    task = Task()
    session.segmenter.before_answer = task.cancel
    with pytest.raises(Cancelled):
        session.prompt(BOX, task=task)
    assert session.object(1).pending == (BOX,)
    session.segmenter.before_answer = None
    assert session.predict(1)


def test_a_cancelled_removal_changes_nothing(session):
    session.prompt(BOX)
    session.prompt(Point(INSIDE))
    before = (session.objects, session.history)
    task = Task()
    session.segmenter.before_answer = task.cancel
    with pytest.raises(Cancelled):
        session.remove_prompt(BOX.id, task)
    assert (session.objects, session.history) == before


def once(action):
    """Do ``action`` when called the first time only."""
    done = []

    def call():
        if not done:
            done.append(1)
            action()

    return call


def test_an_answer_to_a_prompt_that_was_undone_meanwhile_is_thrown_away(session):
    session.prompt(BOX)
    before = session.labels()
    session.segmenter.before_answer = once(session.undo)
    assert not session.prompt(Point(INSIDE, positive=False))
    assert np.array_equal(session.labels(), before)
    assert session.object(1).prompts == (BOX,)


def test_an_answer_is_asked_for_anew_when_the_mask_changed_meanwhile(session):
    session.prompt(BOX)
    painted = Region((0, 0, 0), np.ones((2, 2, 2), dtype=bool))
    session.segmenter.before_answer = once(lambda: session.edit(1, painted))
    session.prompt(cube((8, 8, 8), (9, 9, 9)))
    assert session.mask(1).full(session.volume.shape)[0, 0, 0]
    session.undo()
    assert session.mask(1).count == 8


def test_an_object_removed_meanwhile_stays_removed(session):
    session.add_prompt(BOX)
    session.segmenter.before_answer = once(lambda: session.remove_object(1))
    assert not session.predict(1)
    assert session.objects == ()
    session.undo()
    assert session.object(1).pending == ()


def test_a_prompt_given_meanwhile_waits_for_the_next_prediction(session):
    late = Point(INSIDE, positive=False)
    session.segmenter.before_answer = once(lambda: session.add_prompt(late, 1))
    session.prompt(BOX)
    assert session.object(1).prompts == (BOX,)
    assert session.object(1).pending == (late,)


def test_a_neighbour_that_grew_meanwhile_keeps_its_voxels(session):
    one, two = session.add_object().id, session.add_object().id
    session.prompt(BOX, one)
    grown = Region((0, 0, 0), np.ones((12, 20, 24), dtype=bool))
    session.segmenter.before_answer = once(lambda: session.edit(two, grown))
    click = Point(INSIDE)
    session.prompt(click, one)
    assert session.mask(one).count + session.mask(two).count == grown.count
    session.segmenter.before_answer = once(lambda: session.edit(two, Region.empty()))
    session.remove_prompt(click.id)
    session.segmenter.before_answer = once(lambda: session.edit(two, grown))
    session.prompt(BOX_AGAIN, one)
    assert session.mask(one).count + session.mask(two).count == grown.count


def test_a_prompt_undone_while_it_is_being_removed_is_gone(session):
    session.prompt(BOX)
    click = Point(INSIDE)
    session.prompt(click)
    session.segmenter.before_answer = once(session.undo)
    assert not session.remove_prompt(click.id)
    assert session.object(1).prompts == (BOX,)


def test_signals_tell_what_changed_and_nothing_else(session):
    heard = Heard(session)
    one = session.add_object().id
    assert (heard.objects, heard.history, heard.edited, heard.prompts) == (1, 1, [], [one])
    session.add_prompt(cube((1, 1, 1), (3, 3, 3)), one)
    assert (heard.objects, heard.history, heard.edited, heard.prompts) == (1, 2, [], [one, one])
    session.predict(one)
    assert (heard.objects, heard.history, heard.edited) == (1, 3, [(one, (1, 1, 1), (3, 3, 3))])
    session.undo()
    assert heard.edited[-1] == (one, (1, 1, 1), (3, 3, 3))
    session.rename(one, "Liver")
    assert (heard.objects, len(heard.edited)) == (2, 2)
    assert heard.failures == []


def test_listeners_may_ask_the_session_from_their_signal_while_other_threads_change_it(session):
    one, two = session.add_object().id, session.add_object().id
    session.edited.connect(lambda id_, lower, upper: session.labels(lower, upper))
    session.history_changed.connect(lambda: (session.objects, session.can_undo))

    def click(object_id, offset):
        for k in range(10):
            session.prompt(Point((float(k), float(offset + k % 4), float(2 * k))), object_id)

    def look():
        for _ in range(50):
            session.labels()
            session.undo()
            session.redo()

    threads = [
        threading.Thread(target=click, args=(one, 0)),
        threading.Thread(target=click, args=(two, 9)),
        threading.Thread(target=look),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    for item in session.objects:
        replayed = Region.empty()
        for command in session.history:
            if item.id in command.changes:
                replayed = command.changes[item.id].edit.apply(replayed)
        assert np.array_equal(replayed.full(session.volume.shape), item.mask.full(session.volume.shape))


def test_a_closed_session_says_so(session):
    session.prompt(BOX)
    session.close()
    session.close()
    assert session.mask(1)
    for change in (session.undo, session.add_object, lambda: session.predict(1)):
        with pytest.raises(MedSamError, match="closed"):
            change()


def test_an_object_that_is_not_there_is_named(session):
    for ask in (session.object, session.mask, session.remove_object, lambda i: session.rename(i, "x")):
        with pytest.raises(MedSamError, match="no object 7"):
            ask(7)


def test_nothing_is_not_saved(session, tmp_path):
    session.add_object()
    with pytest.raises(SaveError, match="nothing to save"):
        session.save(tmp_path / "mask.nii.gz")
    assert list(tmp_path.iterdir()) == []


def test_a_listener_that_fails_keeps_no_other_from_hearing(session):
    def fail(*args):
        raise RuntimeError("not listening")

    session.edited.connect(fail)
    heard = []
    session.history_changed.connect(lambda: heard.append(session.can_undo))
    one = session.add_object().id
    with pytest.raises(Exception, match="not listening"):
        session.prompt(BOX, one)
    assert len(heard) == 3
    assert session.mask(one)
