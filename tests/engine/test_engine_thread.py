import logging
import threading

import pytest

from napari_medsam.engine.engine_thread import EngineThread


@pytest.fixture
def engine():
    engine = EngineThread()
    yield engine
    engine.close()


class Gate:
    """Work that tells when it runs and goes on only when let through."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()

    def __call__(self, task):
        self.entered.set()
        while not self.leave.wait(0.005):
            task.check()
        return "through"


def test_work_is_done_on_the_thread_and_its_result_told_there(engine):
    seen = []
    engine.submit("a", lambda task: 6 * 7, lambda r: seen.append((r, threading.current_thread().name)))
    assert engine.wait_idle(5)
    assert seen == [(42, "napari-medsam engine")]


def test_progress_is_passed_on(engine):
    seen = []
    engine.submit("a", lambda task: task.progress(0.5, "half"), on_progress=lambda *a: seen.append(a))
    assert engine.wait_idle(5)
    assert seen == [(0.5, "half")]


def test_different_keys_are_worked_off_in_order(engine):
    gate, seen = Gate(), []
    engine.submit("gate", gate)
    assert gate.entered.wait(5)
    for key in range(20):
        engine.submit(key, lambda task, key=key: seen.append(key))
    gate.leave.set()
    assert engine.wait_idle(5)
    assert seen == list(range(20))


def test_a_waiting_request_is_dropped_for_a_newer_one_which_keeps_its_place(engine):
    gate, seen = Gate(), []
    engine.submit("gate", gate)
    assert gate.entered.wait(5)
    old = engine.submit("a", lambda task: seen.append("old a"))
    engine.submit("b", lambda task: seen.append("b"))
    engine.submit("a", lambda task: seen.append("new a"))
    assert old.cancelled
    gate.leave.set()
    assert engine.wait_idle(5)
    assert seen == ["new a", "b"]


def test_a_running_request_is_cancelled_by_a_newer_one_and_tells_nobody(engine):
    gate, seen = Gate(), []
    running = engine.submit("a", gate, lambda r: seen.append(r), lambda e: seen.append(e))
    assert gate.entered.wait(5)
    engine.submit("a", lambda task: "new", seen.append)
    assert engine.wait_idle(5)
    assert running.cancelled
    assert seen == ["new"]


def test_an_overtaken_request_that_ends_all_the_same_tells_nobody(engine):
    gate, seen = Gate(), []

    def stubborn(task):
        gate.entered.set()
        gate.leave.wait(5)
        return "old"

    engine.submit("a", stubborn, seen.append)
    assert gate.entered.wait(5)
    engine.submit("a", lambda task: "new", seen.append)
    gate.leave.set()
    assert engine.wait_idle(5)
    assert seen == ["new"]


def test_another_key_leaves_the_running_request_alone(engine):
    gate, seen = Gate(), []
    engine.submit("a", gate, seen.append)
    assert gate.entered.wait(5)
    engine.submit("b", lambda task: "b", seen.append)
    gate.leave.set()
    assert engine.wait_idle(5)
    assert seen == ["through", "b"]


def test_cancel_drops_what_waits_and_stops_what_runs(engine):
    gate, seen = Gate(), []
    engine.submit("a", gate, seen.append)
    assert gate.entered.wait(5)
    engine.submit("b", lambda task: "b", seen.append)
    engine.cancel("b")
    engine.cancel("a")
    engine.cancel("never asked for")
    assert engine.wait_idle(5)
    assert seen == []
    assert not engine.busy


def test_it_knows_what_runs_and_waits_until_that_is_cancelled(engine):
    gate = Gate()
    engine.submit("a", gate)
    assert gate.entered.wait(5)
    engine.submit("b", lambda task: None)
    assert engine.has("a")
    assert engine.has("b")
    assert not engine.has("c")
    engine.cancel("b")
    assert not engine.has("b")
    engine.cancel("a")
    assert not engine.has("a")
    assert engine.wait_idle(5)


def test_errors_are_told_and_the_thread_goes_on(engine):
    seen = []

    def fail(task):
        raise ValueError("no")

    engine.submit("a", fail, seen.append, lambda error: seen.append(str(error)))
    engine.submit("b", lambda task: "still here", seen.append)
    assert engine.wait_idle(5)
    assert seen == ["no", "still here"]


def test_errors_nobody_listens_to_are_logged(engine, caplog):
    def fail(*args):
        raise ValueError("no")

    with caplog.at_level(logging.ERROR):
        engine.submit("a", fail)
        engine.submit("b", fail, None, fail)
        assert engine.wait_idle(5)
    assert [record.message for record in caplog.records] == [
        "A request to the engine failed.",
        "Telling of a failed request failed.",
    ]


def test_close_cancels_everything_and_ends_the_thread():
    engine = EngineThread("one that ends")
    gate, seen = Gate(), []
    engine.submit("a", gate, seen.append)
    assert gate.entered.wait(5)
    engine.submit("b", lambda task: "b", seen.append)
    engine.close()
    assert seen == []
    assert "one that ends" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(RuntimeError, match="closed"):
        engine.submit("c", lambda task: None)


def test_a_callback_may_ask_for_more_or_close():
    engine = EngineThread()
    seen = []

    def again(result):
        seen.append(result)
        if result < 3:
            engine.submit("a", lambda task: result + 1, again)
        else:
            engine.close()

    engine.submit("a", lambda task: 1, again)
    assert engine.wait_idle(5)
    assert seen == [1, 2, 3]


def test_many_threads_may_ask_at_once(engine):
    seen = []
    threads = [
        threading.Thread(
            target=lambda k=k: [engine.submit((k, i), lambda task, k=k, i=i: seen.append((k, i))) for i in range(50)]
        )
        for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.wait_idle(5)
    assert sorted(seen) == [(k, i) for k in range(8) for i in range(50)]
