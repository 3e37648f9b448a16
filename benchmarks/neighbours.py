"""How well masks are carried from slice to slice without SAM 2, by the bundled model and its neighbour's mask.

For some structures of each dataset of a list of cases: the slice that shows most of it is segmented with a box, and the
mask carried both ways; then the same from the true mask there, as after the user's corrections. Beside it stands what
the model says of the whole volume after the same box. Dice of the whole structure.

    python benchmarks/neighbours.py --cases CASES.json [--structures 3] [--axis 0] [--quick] [--json FILE]
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from _rows import Rows, arguments

from napari_medsam.engine.evaluation import dice, load_cases
from napari_medsam.engine.evaluation.cases import Case
from napari_medsam.engine.prompts import Box
from napari_medsam.engine.propagation import Growing, Route, Seed, propagate
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.segmenters.registry import load_segmenter
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume, affine_from_spacing

LEAST = 5  # slices of a structure worth carrying through


def structures(cases: list[Case], per_dataset: int, axis: int) -> Iterator[tuple[str, str, Volume, Region]]:
    """Dataset, name, image and truth: of each dataset so many, from as many cases as there are."""
    by_dataset: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_dataset[case.dataset].append(case)
    for dataset, its_cases in by_dataset.items():
        wanted = sorted(
            ((rank, case, values) for case in its_cases for rank, values in enumerate(case.values)),
            key=lambda one: one[0],
        )
        found = 0
        for _, case, values in wanted:
            if found == per_dataset:
                break
            volume, labels = case.read()
            truth = Region.of(np.isin(labels, values))
            if truth and truth.voxels.shape[axis] >= LEAST:
                found += 1
                yield dataset, f"{case.id} {values[0]}", volume, truth


def carried(segmenter: Segmenter, volume: Volume, mask: Region, key: int, axis: int) -> Region:
    """A mask carried from slice ``key`` through the volume."""
    seen = Growing(mask, volume, axis)
    seeds = {1: Seed(mask, (key,))}
    for step in propagate(segmenter, segmenter.prepare(volume, Task()), seeds, Route(axis=axis), Task()):
        seen.put(step.index, step.masks[1])
    return seen.region()


def in_slice(region: Region, key: int, axis: int) -> Region:
    lower, upper = list(region.lower), list(region.upper)
    lower[axis], upper[axis] = key, key + 1
    return Region.of(region.inside(tuple(lower), tuple(upper)), tuple(lower))


def on_its_own(segmenter: Segmenter, volume: Volume, box: Box, key: int, axis: int) -> Region:
    """The answer on one slice that is shown as an image of its own."""
    rows, columns = (a for a in range(3) if a != axis)
    picture = np.moveaxis(np.take(volume.data, [key], axis=axis), axis, 0)
    alone = replace(
        volume, data=picture, affine=affine_from_spacing((1.0, volume.spacing[rows], volume.spacing[columns]))
    )
    here = Box((0, box.lower[rows], box.lower[columns]), (1, box.upper[rows], box.upper[columns]))
    found = segmenter.predict(segmenter.prepare(alone, Task()), [here], Region.empty(), Task()).region
    start = [0, 0, 0]
    start[axis] = key
    return Region.of(np.expand_dims(found.full(alone.shape)[0], axis), tuple(start))


def main() -> None:
    """Run it."""
    parser = arguments(__doc__)
    parser.add_argument("--cases", type=Path, required=True, metavar="FILE", help="list of cases, as 'evaluate' reads")
    parser.add_argument("--structures", type=int, default=3, help="of each dataset (default: 3)")
    parser.add_argument("--axis", type=int, default=0, choices=[0, 1, 2], help="slices follow each other along it")
    args = parser.parse_args()
    segmenter = load_segmenter("compact", device="cpu")
    rows, axis = Rows(), args.axis
    means: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for dataset, name, volume, truth in structures(load_cases(args.cases), 1 if args.quick else args.structures, axis):
        areas = truth.voxels.sum(axis=tuple(a for a in range(3) if a != axis))
        key = truth.lower[axis] + int(areas.argmax())
        true_slice = in_slice(truth, key, axis)
        box = Box(true_slice.lower, true_slice.upper)
        answer = on_its_own(segmenter, volume, box, key, axis)
        whole = segmenter.predict(segmenter.prepare(volume, Task()), [box], Region.empty(), Task()).region
        scores = {
            "slice, box": dice(true_slice, answer),
            "carried from it": dice(truth, carried(segmenter, volume, answer, key, axis)) if answer else 0.0,
            "carried from the true slice": dice(truth, carried(segmenter, volume, true_slice, key, axis)),
            "whole volume at once": dice(truth, whole),
        }
        print(f"{name:40} " + "  ".join(f"{metric} {score:.3f}" for metric, score in scores.items()), flush=True)
        for metric, score in scores.items():
            means[dataset][metric].append(score)
    for dataset, its_scores in means.items():
        for metric, values in its_scores.items():
            rows.add(f"{dataset}, {len(values)} structures, axis {axis}", metric, "Dice", statistics.mean(values))
    for metric in next(iter(means.values())):
        values = [statistics.mean(its_scores[metric]) for its_scores in means.values()]
        rows.add(f"mean of {len(means)} datasets, axis {axis}", metric, "Dice", statistics.mean(values))
    rows.save(args.json)


if __name__ == "__main__":
    main()
