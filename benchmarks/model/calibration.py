"""How sure the model is against how good it is, on patients it never saw: fit, store and draw the calibration.

    python benchmarks/model/calibration.py --data ../shared/train [--model FOLDER] [--unseen] [--quick]

Simulated users give a box and three clicks to the labelled structures of the patients that pools made with
``--hold-out`` leave out, or of all patients of data that no pool was made from (``--unseen``). A curve that never
falls, of a few knots, maps the network's confidence to the Dice it went with, for whole answers and for single slices.
It goes into the model card; ``docs/images/model-calibration.png`` shows both before and after, each patient calibrated
by the others.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from card import add_to_card
from index import Entry, is_held_out, read_index
from ledger import DOCS
from scipy.optimize import isotonic_regression

from napari_medsam.engine.evaluation import dice, next_click, tight_box
from napari_medsam.engine.evaluation.chart import Panel, draw_chart
from napari_medsam.engine.io import open_labels, open_volume, write_aside
from napari_medsam.engine.predictor import Predictor
from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.segmenters.compact.bundle import BUNDLED
from napari_medsam.engine.segmenters.registry import load_segmenter
from napari_medsam.engine.task import Task

KNOTS = 8
CLICKS = 3
STRUCTURES = 4  # of one case, at most
SMALLEST = 60  # voxels of a structure

Curve = tuple[list[float], list[float]]


@dataclass
class Pairs:
    """Confidences, the Dice they went with, and the patients they come from (by number)."""

    confidence: list[float]
    dice: list[float]
    patient: list[int]

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.array(self.confidence), np.array(self.dice), np.array(self.patient)


def answers(entry: Entry, data: Path, segmenter: Segmenter) -> Iterator[tuple[Region, Region, float, dict[int, float]]]:
    """Truth, answer, confidence and confidence by slice after each prompt to each structure of a case."""
    volume = open_volume(data / entry["image"], frame=0)
    labels = open_labels(data / entry["label"])
    values = [int(v) for v in np.unique(labels) if v > 0][:STRUCTURES]
    predictor, task = Predictor(segmenter, volume), Task()
    for value in values:
        truth = Region.of(labels == value)
        if truth.count < SMALLEST:
            continue
        prompts: list[Prompt] = [tight_box(truth)]
        answer = Region.empty()
        for _ in range(1 + CLICKS):
            prediction = predictor.answer(tuple(prompts), answer, task, is_answer=True)
            answer = prediction.region
            yield truth, answer, prediction.confidence, dict(prediction.slice_confidence)
            click = next_click(truth, answer)
            if click is None:
                break
            prompts.append(click)


def collect(data: Path, segmenter: Segmenter, unseen: bool, quick: bool) -> tuple[Pairs, Pairs]:
    """Pairs of whole answers and of slices, over all held-out cases; over all that are labelled if all are unseen."""
    entries = [entry for entry in read_index(data) if entry.get("label") and (unseen or is_held_out(entry))]
    if not entries:
        raise SystemExit(f"{data} has no labelled volume that is held out.")
    patients = sorted({str(entry.get("patient") or entry["id"]) for entry in entries})
    whole, slices = Pairs([], [], []), Pairs([], [], [])
    for entry in entries[:2] if quick else entries:
        patient = patients.index(str(entry.get("patient") or entry["id"]))
        for truth, answer, confidence, by_slice in answers(entry, data, segmenter):
            if np.isfinite(confidence):
                add(whole, confidence, dice(truth, answer), patient)
            for level, sure in by_slice.items():
                one, other = (slice_of(region, level) for region in (truth, answer))
                if other:
                    add(slices, sure, dice(one, other), patient)
        print(f"{entry['id']}: {len(whole.dice)} answers, {len(slices.dice)} slices so far", flush=True)
    return whole, slices


def add(pairs: Pairs, confidence: float, score: float, patient: int) -> None:
    pairs.confidence.append(confidence)
    pairs.dice.append(score)
    pairs.patient.append(patient)


def slice_of(region: Region, level: int) -> Region:
    """One slice of a mask."""
    box = (level, *region.lower[1:]), (level + 1, *region.upper[1:])
    return Region.of(region.inside(*box), box[0])


def fit(confidence: np.ndarray, scores: np.ndarray) -> Curve:
    """A curve that never falls through the means of equally large groups (isotonic regression)."""
    order = np.argsort(confidence)
    groups = np.array_split(order, min(KNOTS, len(order)))
    x = np.array([confidence[group].mean() for group in groups])
    y = isotonic_regression(np.array([scores[group].mean() for group in groups])).x
    keep = np.concatenate([[True], np.diff(x) > 1e-3])
    x, y = x[keep], y[keep]
    if len(x) < 2:
        return [0.0, 1.0], [0.0, 1.0]
    return [round(float(v), 4) for v in x], [round(float(v), 4) for v in y]


def calibrated_by_others(pairs: Pairs) -> np.ndarray:
    """Each patient's confidences through the curve of the others."""
    confidence, scores, patient = pairs.arrays()
    out = confidence.copy()
    for number in np.unique(patient):
        own = patient == number
        if not own.all():
            out[own] = np.interp(confidence[own], *fit(confidence[~own], scores[~own]))
    return out


def reliability(confidence: np.ndarray, scores: np.ndarray, edges: np.ndarray) -> list[float | None]:
    """Mean Dice of what was predicted between the edges; None for fewer than five."""
    groups = [(confidence >= low) & (confidence < high) for low, high in pairwise(edges)]
    return [float(scores[group].mean()) if group.sum() >= 5 else None for group in groups]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with an INDEX.json")
    parser.add_argument("--unseen", action="store_true", help="no patient of the data was trained on")
    parser.add_argument("--model", type=Path, default=BUNDLED, help="model folder; its card is written")
    parser.add_argument("--picture", type=Path, default=DOCS / "images" / "model-calibration.png")
    parser.add_argument("--quick", action="store_true", help="two cases, and no file is written")
    args = parser.parse_args(argv)
    card = json.loads((args.model / "model.json").read_text(encoding="utf-8"))
    card.pop("calibration", None)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        shutil.copytree(args.model, raw)
        (raw / "model.json").write_text(json.dumps(card), encoding="utf-8")
        both = collect(args.data, load_segmenter(str(raw), "cpu"), args.unseen, args.quick)
    edges = np.linspace(0, 1 + 1e-9, 11)
    middles = [f"{m:.2f}" for m in (edges[:-1] + edges[1:]) / 2]
    panels, curves, errors = [], {}, {}
    for name, title, pairs in zip(("prediction", "slice"), ("Whole answers", "Single slices"), both, strict=True):
        confidence, scores, _ = pairs.arrays()
        after = calibrated_by_others(pairs)
        curves[name] = fit(confidence, scores)
        errors[name] = [round(float(np.abs(given - scores).mean()), 4) for given in (confidence, after)]
        lines = {"as the network says": reliability(confidence, scores, edges)}
        lines["perfect"] = [(a + b) / 2 for a, b in pairwise(edges)]
        lines["calibrated"] = reliability(after, scores, edges)
        panels.append(Panel(f"{title}: Dice reached against Dice predicted, n = {len(scores)}", middles, lines))
        print(f"{title}: mean error {errors[name][0]:.3f} before, {errors[name][1]:.3f} after; knots {curves[name]}")
    if args.quick:
        return
    add_to_card(args.model, {"calibration": curves, "calibration_error": errors})
    with write_aside(args.picture) as aside:
        draw_chart("Confidence on patients left out of training", panels, columns=2).save(aside, format="PNG")


if __name__ == "__main__":
    main()
