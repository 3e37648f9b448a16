"""Session and engine thread together, as the widget uses them."""

import threading

import numpy as np
import pytest
from region_grower import RegionGrower, blobs

from napari_medsam.engine.engine_thread import EngineThread
from napari_medsam.engine.errors import PromptError
from napari_medsam.engine.prompts import Box, Point
from napari_medsam.engine.session import Session

BOX = Box((2, 2, 2), (9, 15, 15))


@pytest.fixture
def engine():
    engine = EngineThread()
    yield engine
    engine.close()


class SlowGrower(RegionGrower):
    """Answers only when let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Semaphore(0)
        self.let = threading.Event()

    def predict(self, prepared, prompts, previous, task):
        self.asked.release()
        while not self.let.wait(0.005):
            task.check()
        return super().predict(prepared, prompts, previous, task)


def click(session, engine, prompt, object_id, told):
    session.add_prompt(prompt, object_id)
    engine.submit(object_id, lambda task: session.predict(object_id, task), told.append, told.append)


def test_clicks_given_while_the_model_works_are_answered_together(engine):
    segmenter = SlowGrower()
    session = Session(blobs(), segmenter)
    one, told = session.add_object().id, []
    click(session, engine, BOX, one, told)
    assert segmenter.asked.acquire(timeout=5)
    points = [Point((5.0, 8.0, float(x))) for x in (6, 8, 10)]
    for point in points:
        click(session, engine, point, one, told)
    assert segmenter.asked.acquire(timeout=5)  # the first request gave up and a newer one asks
    segmenter.let.set()
    assert engine.wait_idle(20)
    assert session.object(one).prompts == (BOX, *points)
    assert len(told) == 1
    assert [c.kind for c in session.history] == ["add", "predict"]


def test_undo_at_once_takes_back_what_the_model_still_works_on(engine):
    segmenter = SlowGrower()
    session = Session(blobs(), segmenter)
    one, told = session.add_object().id, []
    click(session, engine, BOX, one, told)
    assert segmenter.asked.acquire(timeout=5)
    assert session.undo()
    segmenter.let.set()
    assert engine.wait_idle(20)
    assert not session.mask(one)
    assert session.object(one).prompts == ()
    assert [bool(edit) for edit in told] == [False]


def test_a_click_waits_for_neither_the_model_nor_the_disk(engine, tmp_path):
    segmenter = SlowGrower()
    session = Session(blobs(), segmenter, tmp_path / "a.journal")
    one, told = session.add_object().id, []
    click(session, engine, BOX, one, told)
    assert segmenter.asked.acquire(timeout=5)
    with session._ledger._writing:  # what a slow disk holds
        done = threading.Event()

        def look_and_click():
            session.add_prompt(Point((5.0, 8.0, 8.0)), one)
            session.labels((0, 0, 0), (3, 3, 3))
            assert len(session.objects[0].pending) == 2
            done.set()

        threading.Thread(target=look_and_click, daemon=True).start()
        assert done.wait(5)
    segmenter.let.set()
    assert engine.wait_idle(20)


def test_a_refused_prompt_tells_its_sentence_and_the_next_click_works(engine):
    session = Session(blobs(), RegionGrower())
    one, told = session.add_object().id, []
    click(session, engine, Point((5.0, 8.0, 8.0), positive=False), one, told)
    assert engine.wait_idle(20)
    assert isinstance(told[0], PromptError)
    click(session, engine, BOX, one, told)
    assert engine.wait_idle(20)
    assert told[1]
    assert session.object(one).prompts == (BOX,)


def test_objects_worked_on_in_turn_end_as_if_each_had_waited(engine):
    session = Session(blobs(), RegionGrower())
    told = []
    ids = [session.add_object().id for _ in range(3)]
    rng = np.random.default_rng(0)
    for k in range(30):
        point = Point(tuple(map(float, rng.integers((0, 0, 0), session.volume.shape))))
        click(session, engine, point, ids[k % 3], told)
    assert engine.wait_idle(30)
    for id_ in ids:
        session.predict(id_)
    assert all(len(session.object(i).prompts) == 10 for i in ids)
    assert all(not item.pending for item in session.objects)
    total = sum(item.mask.count for item in session.objects)
    assert np.count_nonzero(session.labels()) == total
