"""From the network's confidence to the Dice it went with."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.prompts import Box
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact import CompactSegmenter
from napari_medsam.engine.segmenters.compact.bundle import BUNDLED
from napari_medsam.engine.segmenters.compact.calibration import Calibration
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume


def model_with(folder: Path, calibration: object) -> Path:
    shutil.copytree(BUNDLED, folder)
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**card, "calibration": calibration}))
    return folder


def test_without_curves_a_confidence_stays_as_it_is() -> None:
    calibration = Calibration.of({})
    assert calibration.of_prediction(0.37) == pytest.approx(0.37)
    assert calibration.of_slices({4: 0.2}) == {4: pytest.approx(0.2)}


def test_between_knots_it_is_linear_and_beyond_them_constant() -> None:
    calibration = Calibration.of({"calibration": {"prediction": [[0.4, 0.8], [0.1, 0.7]]}})
    assert [calibration.of_prediction(c) for c in (0.0, 0.6, 1.0)] == pytest.approx([0.1, 0.4, 0.7])
    assert calibration.of_slices({0: 0.6}) == {0: pytest.approx(0.6)}


@pytest.mark.parametrize("knots", [[[0, 1], [1, 0]], [[0, 0], [0, 1]], [[0.5], [0.5]], [[0, 1], [0.5]], "words", [[0]]])
def test_a_card_with_a_bad_curve_is_refused(tmp_path: Path, knots: object) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        CompactSegmenter(model_with(tmp_path / "model", {"prediction": knots}), "cpu")


def test_a_card_whose_curves_have_no_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        CompactSegmenter(model_with(tmp_path / "model", [[0, 1], [0, 1]]), "cpu")


def test_predictions_are_calibrated_by_the_card(tmp_path: Path) -> None:
    grid = np.indices((24, 40, 40)) - np.reshape((12, 20, 20), (3, 1, 1, 1))
    ball = np.square(grid).sum(axis=0) <= 64
    volume = Volume(ball.astype(np.float32) + 0.1 * np.random.default_rng(0).standard_normal(ball.shape))
    one_value = {"prediction": [[0, 1], [0.25, 0.25]], "slice": [[0, 1], [0.5, 0.5]]}
    segmenter = CompactSegmenter(model_with(tmp_path / "model", one_value), "cpu")
    prepared = segmenter.prepare(volume, Task())
    answer = segmenter.predict(prepared, [Box((4, 12, 12), (21, 29, 29))], Region.empty(), Task())
    assert answer.confidence == 0.25
    assert set(answer.slice_confidence.values()) == {0.5}
    found = {int(z) for z in np.flatnonzero(answer.region.full(volume.shape).any(axis=(1, 2)))}
    assert found <= {z + shift for z in answer.slice_confidence for shift in (-1, 0, 1)}
