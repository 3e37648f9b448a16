"""The tables: averages, areas, files."""

import csv
import json
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from napari_medsam.engine.errors import SaveError
from napari_medsam.engine.evaluation import (
    BOX_STEPS,
    CLICK_STEPS,
    EllipsoidSegmenter,
    evaluate_cases,
    format_table,
    load_cases,
    summarise,
    write_csv,
    write_json,
    write_plot,
)


@pytest.fixture
def results(cases_file, ball_model):
    return list(evaluate_cases(load_cases(cases_file), ball_model()))


@pytest.fixture
def report(results, ball_model):
    return summarise(results, ball_model().info)


def test_the_mean_weighs_datasets_alike(report, results):
    first = [r for r in results if r.case.dataset == "first"]
    second = [r for r in results if r.case.dataset == "second"]
    for step in (*BOX_STEPS, *CLICK_STEPS):
        expected = np.mean([np.mean([r.steps[step].dice for r in group]) for group in (first, second)])
        assert report["mean_over_datasets"][step] == pytest.approx(expected)
        expected = np.mean([np.mean([r.steps[step].nsd for r in group]) for group in (first, second)])
        assert report["mean_over_datasets"]["nsd"][step] == pytest.approx(expected)
    assert report["datasets"]["first"]["count"] == 3


def test_areas_are_trapezoids_over_the_last_five(report):
    row = report["structures"][0]
    curve = [row[step] for step in BOX_STEPS[1:]]
    assert row["auc"]["box"] == pytest.approx(sum((a + b) / 2 for a, b in pairwise(curve)))
    curve = [row["nsd"][step] for step in CLICK_STEPS]
    assert row["nsd_auc"]["click"] == pytest.approx(sum((a + b) / 2 for a, b in pairwise(curve)))
    assert report["mean_over_datasets"]["auc"]["box"] <= 4.0


def test_obeyed_clicks_are_counted(report, results):
    clicks = [s.obeyed for r in results for s in r.steps.values() if s.obeyed is not None]
    assert (report["clicks"], report["clicks_obeyed"]) == (len(clicks), len(clicks))
    assert report["mean_over_datasets"]["obeyed"] == 1.0


def test_what_was_not_scored_is_absent_not_zero(cases_file):
    (cases_file.parent / "one.nii.gz").write_bytes(b"not an image")
    report = summarise(list(evaluate_cases(load_cases(cases_file), EllipsoidSegmenter())), EllipsoidSegmenter().info)
    assert "box" not in report["datasets"]["first"]
    assert report["mean_over_datasets"]["box"] == report["datasets"]["second"]["box"]
    assert "click1" not in report["mean_over_datasets"]
    assert len(report["failures"]) == 3
    assert "first" in format_table(report)


def test_json_comes_back_the_same(report, tmp_path):
    write_json(report, tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text()) == report


def test_csv_has_a_line_for_each_level(report, tmp_path):
    write_csv(report, tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["level"] for row in rows] == ["mean over datasets", *["dataset"] * 2, *["structure"] * 4]
    assert float(rows[0]["box+5"]) == pytest.approx(report["mean_over_datasets"]["box+5"])
    assert float(rows[0]["nsd auc click"]) == pytest.approx(report["mean_over_datasets"]["nsd_auc"]["click"])
    assert rows[5]["values"] == "1 3"


def test_the_plot_shows_curves(report, tmp_path):
    write_plot(report, tmp_path / "scores.png")
    with Image.open(tmp_path / "scores.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(maxcolors=1 << 20)}
    assert (0, 0x72, 0xB2) in colours
    assert (0, 0, 0) in colours


@pytest.mark.parametrize("write", [write_json, write_csv, write_plot])
def test_a_file_that_cannot_be_written_is_one_sentence(write, report, tmp_path):
    with pytest.raises(SaveError, match="could not be written"):
        write(report, tmp_path / "missing" / "scores")


def test_the_table_names_every_step(report):
    lines = format_table(report).splitlines()
    for step in (*BOX_STEPS, *CLICK_STEPS):
        assert step in lines[0].split()
    assert lines[3].startswith("mean over datasets")
    assert f"{report['mean_over_datasets']['box']:.3f}" in lines[3].split()
