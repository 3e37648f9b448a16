"""Both protocols from files to scores, with models that fail in every way they may."""

import logging
from itertools import pairwise

import numpy as np
import pytest

from napari_medsam.engine.errors import Cancelled, PromptError
from napari_medsam.engine.evaluation import (
    BOX_STEPS,
    CLICK_STEPS,
    EllipsoidSegmenter,
    dice,
    evaluate_cases,
    inscribed_ellipsoid,
    load_cases,
)
from napari_medsam.engine.prompts import Box, Point
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Prediction, Segmenter
from napari_medsam.engine.task import Task


def test_the_ellipsoid_touches_all_six_sides():
    box = Box((3, 4, 5), (8, 13, 12))
    region = inscribed_ellipsoid(box)
    assert (region.lower, region.upper) == (box.lower, box.upper)
    assert region.count == pytest.approx(np.pi / 6 * 5 * 9 * 7, rel=0.1)


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 6, 9), (2, 2, 2)])
def test_the_ellipsoid_in_a_small_box_is_not_empty(size):
    assert inscribed_ellipsoid(Box((0, 0, 0), size))


def test_the_ellipsoid_is_a_segmenter_that_refuses_clicks(cases_file):
    model = EllipsoidSegmenter()
    assert isinstance(model, Segmenter)
    volume, _ = load_cases(cases_file)[0].read()
    prepared = model.prepare(volume, Task())
    with pytest.raises(PromptError, match="boxes only"):
        model.predict(prepared, [Point((1, 1, 1))], Region.empty(), Task())


def test_box_only_model_is_scored_after_the_box_alone(cases_file):
    results = list(evaluate_cases(load_cases(cases_file), EllipsoidSegmenter()))
    assert [(r.case.id, r.values) for r in results] == [("one", (1,)), ("one", (2,)), ("one", (1, 3)), ("two", (1,))]
    for result in results:
        assert list(result.steps) == ["box"]
        assert result.steps["box"].dice == result.ellipsoid
        assert result.failure == ""
    assert results[1].ellipsoid > 0.8
    assert results[0].ellipsoid < 0.5


def test_clicks_raise_the_score_and_are_obeyed(cases_file, ball_model):
    result = next(evaluate_cases(load_cases(cases_file), ball_model()))
    assert list(result.steps) == [*BOX_STEPS, *CLICK_STEPS]
    box = [result.steps[name].dice for name in BOX_STEPS]
    clicks = [result.steps[name].dice for name in CLICK_STEPS]
    assert box == sorted(box)
    assert clicks == sorted(clicks)
    assert box[-1] > box[0] + 0.05
    assert clicks[-1] > clicks[0] + 0.2
    assert result.steps["box"].obeyed is None
    assert all(step.obeyed for name, step in result.steps.items() if name != "box")
    assert all(step.seconds > 0 for step in result.steps.values())


def test_each_answer_builds_on_the_last(cases_file, ball_model):
    class Recorder(ball_model):
        calls: list = []  # noqa: RUF012 - one test, one class

        def predict(self, prepared, prompts, previous, task):
            answer = super().predict(prepared, prompts, previous, task)
            self.calls.append((len(prompts), previous, answer.region))
            return answer

    next(evaluate_cases(load_cases(cases_file), Recorder()))
    assert [count for count, _, _ in Recorder.calls] == [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5]
    for (count, _, last), (_, previous, _) in pairwise(Recorder.calls):
        if count == 6:
            assert not previous
        else:  # the same, tidied
            assert dice(previous, last) > 0.99


def test_a_click_that_is_ignored_is_counted(cases_file, ball_model):
    class Stubborn(ball_model):
        def predict(self, prepared, prompts, previous, task):
            return super().predict(prepared, prompts[:1], previous, task)

    result = next(evaluate_cases(load_cases(cases_file), Stubborn()))
    assert [result.steps[name].obeyed for name in BOX_STEPS[1:]] == [False] * 5


def test_a_perfect_answer_stands_for_the_steps_that_follow(cases_file, truth, ball_model):
    class Perfect(ball_model):
        def predict(self, prepared, prompts, previous, task):
            return Prediction(Region.of(truth == 1))

    result = next(evaluate_cases(load_cases(cases_file), Perfect()))
    assert {step.dice for step in result.steps.values()} == {1.0}
    assert {step.nsd for step in result.steps.values()} == {1.0}
    assert [name for name, step in result.steps.items() if step.seconds is not None] == ["box", "click1"]


def test_a_failing_prediction_scores_nothing_and_stops_nobody(cases_file, caplog, ball_model):
    class Fragile(ball_model):
        def predict(self, prepared, prompts, previous, task):
            if len(prompts) == 3 and prompts[0].to_json().get("lower") == [4, 5, 5]:
                raise RuntimeError("out of memory")
            return super().predict(prepared, prompts, previous, task)

    with caplog.at_level(logging.ERROR):
        results = list(evaluate_cases(load_cases(cases_file), Fragile()))
    assert len(results) == 4
    failed = results[0]
    assert "one [1] box+2: RuntimeError: out of memory" in failed.failure
    assert failed.steps["box+1"].dice > 0
    assert [failed.steps[name].dice for name in BOX_STEPS[2:]] == [0.0] * 4
    assert "click5" in failed.steps
    assert results[1].failure == ""
    assert results[3].failure == ""
    assert caplog.records[0].exc_info is not None


def test_an_unreadable_image_is_reported_for_its_structures_only(cases_file):
    (cases_file.parent / "one.nii.gz").write_bytes(b"not an image")
    results = list(evaluate_cases(load_cases(cases_file), EllipsoidSegmenter()))
    assert [bool(r.steps) for r in results] == [False, False, False, True]
    assert all(r.failure.startswith("one: ") for r in results[:3])


def test_a_structure_that_is_not_there_is_reported(cases_file):
    cases_file.write_text(cases_file.read_text().replace("[[1], [2], [1, 3]]", "[[9], [2]]"))
    missing, present, _ = evaluate_cases(load_cases(cases_file), EllipsoidSegmenter())
    assert "has no voxel of the value 9" in missing.failure
    assert present.steps


def test_cancelling_stops_at_once(cases_file):
    task = Task()
    results = evaluate_cases(load_cases(cases_file), EllipsoidSegmenter(), task)
    next(results)
    task.cancel()
    with pytest.raises(Cancelled):
        list(results)


def test_the_reference_on_the_real_cases(shared_data):
    cases = load_cases(shared_data / "cases.json", ["ct_lesions", "spinal_cord"])
    scores = {r.case.id: r.ellipsoid for r in evaluate_cases(cases, EllipsoidSegmenter())}
    assert scores["t2"] == pytest.approx(0.791, abs=0.001)
    assert np.mean([v for k, v in scores.items() if k != "t2"]) == pytest.approx(0.830, abs=0.001)
