"""The table of prompts: each kind by itself, its corrections, and what they spoil elsewhere."""

import pytest

from napari_medsam.engine.evaluation import (
    CHALLENGE,
    PROMPTS,
    evaluate_cases,
    format_table,
    load_cases,
    summarise,
)
from napari_medsam.engine.prompts import Box, Lasso, MaskPrompt, Point, Scribble
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Prediction, SegmenterInfo


@pytest.fixture
def painter(ball_model):
    class Painter(ball_model):
        """Marks or clears what the newest prompt touches, thickened for clicks and strokes."""

        @property
        def info(self):
            kinds = (Box, Point, Scribble, Lasso, MaskPrompt)
            return SegmenterInfo("painter", "Painter", "Apache-2.0", "", frozenset(kind.kind for kind in kinds))

        def predict(self, prepared, prompts, previous, task):
            newest = prompts[-1]
            if isinstance(newest, Box | Point):
                return super().predict(prepared, prompts, previous, task)
            part = newest.region(prepared.volume.shape).full(prepared.volume.shape)
            mask = previous.full(prepared.volume.shape)
            return Prediction(Region.of(mask | part if newest.positive else mask & ~part))

    return Painter()


def test_every_kind_of_prompt_has_its_line(cases_file, painter):
    results = list(evaluate_cases(load_cases(cases_file), painter, protocols=PROMPTS))
    assert [r.failure for r in results] == [""] * 4
    report = summarise(results, painter.info, PROMPTS)
    text = format_table(report)
    first = [line.split()[0] for line in text.splitlines() if line]
    for name in ("box", "click", "scribble+", "scribble+-", "lasso", "mask"):
        assert name in first
    assert 0.2 < report["mean_over_datasets"]["mask"] < 1
    assert report["mean_over_datasets"]["scribble+"] < report["mean_over_datasets"]["scribble+-+3"]
    assert report["mean_over_datasets"]["lasso+3"] > report["mean_over_datasets"]["lasso"]


def test_a_model_gets_only_the_prompts_it_takes(cases_file, ball_model):
    result = next(evaluate_cases(load_cases(cases_file), ball_model(), protocols=PROMPTS))
    assert list(result.steps) == ["box", "click"]


def test_what_a_correction_breaks_elsewhere_is_counted(cases_file, truth, ball_model):
    bar = truth == 1

    class Forgetful(ball_model):
        """Right after the box but for one end; a click there repairs it and loses the other end."""

        def predict(self, prepared, prompts, previous, task):
            answer = bar.copy()
            if len(prompts) == 1:
                answer[:, :, 22:] = False
            else:
                answer[:, :9] = False
            return Prediction(Region.of(answer))

    result = next(evaluate_cases(load_cases(cases_file), Forgetful(), protocols=CHALLENGE[:1]))
    assert result.steps["box"].broken is None
    lost = bar[:, :9].sum() / bar.sum()
    assert result.steps["box+1"].broken == pytest.approx(lost)
    assert result.steps["box+2"].broken == 0
    report = summarise([result], ball_model().info, CHALLENGE[:1])
    assert report["corrections"] == {"count": 5, "broken": pytest.approx(lost / 5), "breaking": 1}
    assert "more than 1% of it in 1" in format_table(report)


def test_a_fall_of_the_score_is_told(cases_file, truth, ball_model):
    class Tired(ball_model):
        def predict(self, prepared, prompts, previous, task):
            answer = truth == 1
            answer[:, :, 25 - 2 * len(prompts) :] = False
            return Prediction(Region.of(answer))

    result = next(evaluate_cases(load_cases(cases_file), Tired(), protocols=CHALLENGE[:1]))
    report = summarise([result], ball_model().info, CHALLENGE[:1])
    assert [fall["step"] for fall in report["falls"]] == ["box+1", "box+2", "box+3", "box+4", "box+5"]
    before, after = result.steps["box"].dice, result.steps["box+1"].dice
    assert report["falls"][0]["by"] == pytest.approx(before - after)
    assert f"first at box+1 by {before - after:.3f}" in format_table(report)
