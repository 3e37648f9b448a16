"""Tables of scores: per structure, per dataset, and as the mean over datasets."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_medsam import __version__
from napari_medsam.engine.evaluation.chart import Panel, draw_chart
from napari_medsam.engine.evaluation.metrics import NSD_TOLERANCE
from napari_medsam.engine.evaluation.run import BOX_STEPS, CLICK_STEPS, PROTOCOLS, Step, StructureResult
from napari_medsam.engine.io import write_aside
from napari_medsam.engine.segmenters.base import SegmenterInfo

Row = dict[str, Any]

_STEPS = (*BOX_STEPS, *CLICK_STEPS)
_AUC_STEPS = 5
"""The challenge takes the area under the last five answers, so that a score of 1 throughout gives 4."""


def summarise(results: Sequence[StructureResult], info: SegmenterInfo) -> dict[str, Any]:
    """The whole report, ready for JSON.

    ``mean_over_datasets``, each value of ``datasets`` and each entry of ``structures`` hold the Dice by the names of
    the steps, the NSD by the same names under ``nsd``, areas under the curves under ``auc`` and ``nsd_auc``, mean
    seconds of each step under ``seconds``, the share of obeyed clicks under ``obeyed`` and the Dice of the ellipsoid
    in the box under ``ellipsoid``. What was not scored is absent. A dataset is the mean of its structures.

    Parameters
    ----------
    results : sequence of StructureResult
        From `evaluate_cases`.
    info : SegmenterInfo
        The model that was scored.
    """
    structures = [_structure(result) for result in results]
    datasets: dict[str, Row] = {}
    for name in dict.fromkeys(result.case.dataset for result in results):
        rows = [row for row in structures if row["dataset"] == name]
        datasets[name] = {"count": len(rows), **_mean(rows)}
    obeyed = [step.obeyed for result in results for step in result.steps.values() if step.obeyed is not None]
    return {
        "model": {"name": info.name, "title": info.title, "weights_hash": info.weights_hash, "device": info.device},
        "version": __version__,
        "nsd_tolerance_mm": NSD_TOLERANCE,
        "mean_over_datasets": _mean(list(datasets.values())),
        "clicks": len(obeyed),
        "clicks_obeyed": sum(obeyed),
        "failures": [result.failure for result in results if result.failure],
        "datasets": datasets,
        "structures": structures,
    }


def write_json(report: Mapping[str, Any], path: Path) -> None:
    """Save the report of `summarise` as JSON.

    Raises
    ------
    SaveError
        If the file cannot be written.
    """
    with write_aside(path) as aside:
        aside.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(report: Mapping[str, Any], path: Path) -> None:
    """Save the report as a table with one line for the mean, each dataset and each structure.

    Raises
    ------
    SaveError
        If the file cannot be written.
    """
    names = ["level", "dataset", "id", "values", "voxels", "ellipsoid", "obeyed"]
    names += [prefix + step for prefix in ("", "nsd ", "seconds ") for step in _STEPS]
    names += [f"{prefix}auc {protocol}" for prefix in ("", "nsd ") for protocol in PROTOCOLS] + ["failure"]
    rows = [{"level": "mean over datasets", **_flat(report["mean_over_datasets"])}]
    rows += [{"level": "dataset", "dataset": name, **_flat(row)} for name, row in report["datasets"].items()]
    rows += [{"level": "structure", **_flat(row)} for row in report["structures"]]
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, names, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)


def write_plot(report: Mapping[str, Any], path: Path) -> None:
    """Draw Dice and NSD against the number of interactions, for each dataset and their mean, as a PNG picture.

    Raises
    ------
    SaveError
        If the file cannot be written.
    """
    rows = {**report["datasets"], "mean over datasets": report["mean_over_datasets"]}
    panels = []
    for metric in ("Dice", "NSD"):
        for title, steps in (("after a 3D box, then clicks", BOX_STEPS), ("clicks only", CLICK_STEPS)):
            curves = {}
            for name, row in rows.items():
                scores = row if metric == "Dice" else row["nsd"]
                curves[name] = [scores.get(step) for step in steps]
            panels.append(Panel(f"{metric} {title}", steps, curves))
    ellipsoid = report["mean_over_datasets"].get("ellipsoid")
    panels[0] = replace(panels[0], reference=ellipsoid, reference_name="ellipsoid in the box (mean)")
    picture = draw_chart(f"{report['model']['title']}, {len(report['structures'])} structures", panels, columns=2)
    with write_aside(path) as aside:
        picture.save(aside, format="PNG")


def format_table(report: Mapping[str, Any]) -> str:
    """The datasets and their mean as text, Dice above NSD."""
    mean = report["mean_over_datasets"]
    rows = {**report["datasets"], "mean over datasets": mean}
    names = [name for name in ("ellipsoid", *_STEPS) if name in mean]
    wide = max(map(len, rows))
    lines = []
    for metric in ("Dice", "NSD"):
        lines.append(" ".join([f"{metric:{wide}} {'n':>4}", *(f"{name:>{max(len(name), 6)}}" for name in names)]))
        for title, row in rows.items():
            scores = row if metric == "Dice" else row["nsd"]
            cells = [_cell(scores.get(name), max(len(name), 6)) for name in names]
            lines.append(" ".join([f"{title:{wide}} {row.get('count', ''):>4}", *cells]))
        lines.append("")
    if report["clicks"]:
        share = report["clicks_obeyed"] / report["clicks"]
        lines.append(f"Clicks obeyed: {share:.1%} of {report['clicks']}.")
    seconds = mean["seconds"]
    if seconds:
        text = ", ".join(f"{name} {seconds[name]:.2f}" for name in _STEPS if name in seconds)
        lines.append(f"Seconds per answer, mean over datasets: {text}.")
    return "\n".join(lines)


def _cell(score: float | None, width: int) -> str:
    return f"{'-':>{width}}" if score is None else f"{score:{width}.3f}"


def _structure(result: StructureResult) -> Row:
    steps = result.steps
    row: Row = {
        "id": result.case.id,
        "dataset": result.case.dataset,
        "modality": result.case.modality,
        "values": list(result.values),
        "voxels": result.voxels,
    }
    row.update({name: step.dice for name, step in steps.items()})
    row["nsd"] = {name: step.nsd for name, step in steps.items()}
    row["seconds"] = {name: step.seconds for name, step in steps.items() if step.seconds is not None}
    row.update(_areas(row))
    obeyed = _share_obeyed(steps)
    if obeyed is not None:
        row["obeyed"] = obeyed
    if result.voxels:
        row["ellipsoid"] = result.ellipsoid
    if result.failure:
        row["failure"] = result.failure
    return row


def _mean(rows: Sequence[Row]) -> Row:
    out: Row = {}
    for key in (*_STEPS, "ellipsoid", "obeyed"):
        values = [row[key] for row in rows if key in row]
        if values:
            out[key] = float(np.mean(values))
    for group in ("nsd", "seconds"):
        out[group] = {}
        for key in _STEPS:
            values = [row[group][key] for row in rows if key in row[group]]
            if values:
                out[group][key] = float(np.mean(values))
    return {**out, **_areas(out)}


def _areas(row: Row) -> Row:
    areas: Row = {"auc": {}, "nsd_auc": {}}
    for protocol, steps in PROTOCOLS.items():
        last = steps[-_AUC_STEPS:]
        for key, scores in (("auc", row), ("nsd_auc", row["nsd"])):
            if all(step in scores for step in last):
                curve = [scores[step] for step in last]
                areas[key][protocol] = sum(curve) - (curve[0] + curve[-1]) / 2
    return areas


def _share_obeyed(steps: Mapping[str, Step]) -> float | None:
    clicks = [step.obeyed for step in steps.values() if step.obeyed is not None]
    return sum(clicks) / len(clicks) if clicks else None


def _flat(row: Row) -> Row:
    flat = {key: value for key, value in row.items() if not isinstance(value, dict)}
    for group, prefix in (("nsd", "nsd "), ("seconds", "seconds "), ("auc", "auc "), ("nsd_auc", "nsd auc ")):
        flat.update({prefix + key: value for key, value in row[group].items()})
    if "values" in flat:
        flat["values"] = " ".join(map(str, flat["values"]))
    return flat
