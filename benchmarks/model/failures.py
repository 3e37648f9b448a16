"""Put the structures a model fails on into its folder: ``failures`` in ``model.json``, and ``failures.png``.

    python benchmarks/model/failures.py ../shared/data/cases.json --scores docs/results/compact.json

Of each dataset the structure with the lowest Dice after a box and five clicks, in its largest slice: its outline in
green, that of the answer after the box and one click in magenta. Scores are a report of ``napari-medsam evaluate``.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from card import add_to_card
from PIL import Image, ImageDraw
from scipy import ndimage

from napari_medsam.engine.evaluation import Case, load_cases, next_click, tight_box
from napari_medsam.engine.io import write_aside
from napari_medsam.engine.predictor import Predictor
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.segmenters.compact.bundle import BUNDLED
from napari_medsam.engine.segmenters.compact.segmenter import CompactSegmenter
from napari_medsam.engine.task import Task

SIDE = 220  # pixels of a picture
MARGIN = 0.35  # of the structure's extent, around it
TRUTH, ANSWER = (60, 220, 90), (255, 60, 220)
COLUMNS = 4


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=BUNDLED, help="model folder; its card is written")
    args = parser.parse_args(argv)
    failures = worst_of(json.loads(args.scores.read_text(encoding="utf-8")))
    cases = {case.id: case for case in load_cases(args.cases)}
    segmenter = CompactSegmenter(args.model, "cpu")
    rows = -(-len(failures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + 6), rows * (SIDE + 34)), "white")
    for number, failure in enumerate(failures):
        title = f"{failure['id']} {failure['values']}\nbox {failure['box']:.2f}, box+5 {failure['box+5']:.2f}"
        picture = tile(cases[failure["id"]], failure["values"], segmenter, title)
        sheet.paste(picture, (number % COLUMNS * (SIDE + 6), number // COLUMNS * (SIDE + 34)))
    with write_aside(args.model / "failures.png") as aside:
        sheet.quantize(128).save(aside, format="PNG", optimize=True)
    add_to_card(args.model, {"failures": failures})


def worst_of(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The structure of each dataset with the lowest Dice after a box and five clicks, as the model card has it."""
    shown = ("dataset", "id", "values", "voxels", "box", "box+5")
    failures = []
    for dataset in scores["datasets"]:
        rows = [row for row in scores["structures"] if row["dataset"] == dataset and "box+5" in row]
        if rows:
            worst = min(rows, key=lambda row: row["box+5"])
            failures.append({k: round(worst[k], 4) if isinstance(worst[k], float) else worst[k] for k in shown})
    return failures


def tile(case: Case, values: Sequence[int], segmenter: Segmenter, title: str) -> Image.Image:
    """One structure with its truth and the answer after a box and a click."""
    volume, labels = case.read()
    truth = Region.of(np.isin(labels, values))
    predictor, task = Predictor(segmenter, volume), Task()
    box = tight_box(truth)
    answer = predictor.answer((box,), Region.empty(), task).region
    click = next_click(truth, answer)
    if click is not None:
        answer = predictor.answer((box, click), answer, task).region
    level = truth.lower[0] + int(np.count_nonzero(truth.voxels, axis=(1, 2)).argmax())
    # In millimetres, so that the picture is not stretched.
    spacing = np.array(volume.spacing[1:])
    low, high = np.array(truth.lower[1:]) * spacing, np.array(truth.upper[1:]) * spacing
    side = (high - low).max() * (1 + 2 * MARGIN)
    start = (low + high - side) / 2
    rows, columns = (np.floor((start[a] + (np.arange(SIDE) + 0.5) * side / SIDE) / spacing[a]) for a in (0, 1))
    grid = np.ix_(rows.astype(int).clip(0, volume.shape[1] - 1), columns.astype(int).clip(0, volume.shape[2] - 1))
    outside = (grid[0] != rows[:, None]) | (grid[1] != columns)
    grey = np.where(outside, volume.data[level].min(), volume.data[level][grid]).astype(float)
    bottom, top = np.quantile(grey, [0.01, 0.99])
    pixels = np.repeat((255 * (grey - bottom) / max(top - bottom, 1e-6)).clip(0, 255).astype(np.uint8)[..., None], 3, 2)
    for region, colour in ((truth, TRUTH), (answer, ANSWER)):
        mask = region.inside((level, 0, 0), (level + 1, *volume.shape[1:]))[0][grid] & ~outside
        pixels[mask & ~ndimage.binary_erosion(mask, iterations=2)] = colour
    picture = Image.new("RGB", (SIDE, SIDE + 28), "white")
    picture.paste(Image.fromarray(pixels), (0, 28))
    ImageDraw.Draw(picture).multiline_text((2, 0), title, fill="black", spacing=1)
    return picture


if __name__ == "__main__":
    main()
