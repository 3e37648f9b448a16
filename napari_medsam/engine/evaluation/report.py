"""Tables of scores: per structure, per dataset, and as the mean over datasets."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from napari_medsam import __version__
from napari_medsam.engine.evaluation.chart import Panel, draw_chart
from napari_medsam.engine.evaluation.metrics import NSD_TOLERANCE
from napari_medsam.engine.evaluation.protocols import CHALLENGE, Protocol
from napari_medsam.engine.evaluation.run import Step, StructureResult
from napari_medsam.engine.io import write_aside
from napari_medsam.engine.segmenters.base import SegmenterInfo

Row = dict[str, Any]

_AUC_STEPS = 5
"""The challenge takes the area under the last five answers, so that a score of 1 throughout gives 4."""


_MOST_COLUMNS = 12
"""More scores than these are listed one below the other."""

_BREAKS = 0.01
"""A correction that spoils more than this elsewhere, relative to the structure, counts as one that breaks something."""


def summarise(
    results: Sequence[StructureResult], info: SegmenterInfo, protocols: Sequence[Protocol] = CHALLENGE
) -> dict[str, Any]:
    """The whole report, ready for JSON.

    ``mean_over_datasets``, each value of ``datasets`` and each entry of ``structures`` hold the Dice by the names of
    the steps, the NSD by the same names under ``nsd``, areas under the curves under ``auc`` and ``nsd_auc``, mean
    seconds of each step under ``seconds``, the share of obeyed clicks under ``obeyed`` and the Dice of the ellipsoid
    in the box under ``ellipsoid``. What was not scored is absent. A dataset is the mean of its structures.
    ``protocols`` names the steps of each protocol in their order; ``corrections`` says what corrections spoilt away
    from the gesture (see `Step.broken`), and ``falls`` where a dataset's Dice is lower than one step before.

    Parameters
    ----------
    results : sequence of StructureResult
        From `evaluate_cases`.
    info : SegmenterInfo
        The model that was scored.
    protocols : sequence of Protocol
        What the simulated users did.
    """
    named = {protocol.name: {"title": protocol.title, "steps": list(protocol.steps)} for protocol in protocols}
    structures = [_structure(result, named) for result in results]
    datasets: dict[str, Row] = {}
    for name in dict.fromkeys(result.case.dataset for result in results):
        rows = [row for row in structures if row["dataset"] == name]
        datasets[name] = {"count": len(rows), **_mean(rows, named)}
    steps = [step for result in results for step in result.steps.values()]
    obeyed = [step.obeyed for step in steps if step.obeyed is not None]
    broken = [step.broken for step in steps if step.broken is not None]
    return {
        "model": {"name": info.name, "title": info.title, "weights_hash": info.weights_hash, "device": info.device},
        "version": __version__,
        "nsd_tolerance_mm": NSD_TOLERANCE,
        "protocols": named,
        "mean_over_datasets": _mean(list(datasets.values()), named),
        "clicks": len(obeyed),
        "clicks_obeyed": sum(obeyed),
        "corrections": {
            "count": len(broken),
            "broken": float(np.mean(broken)) if broken else 0.0,
            "breaking": sum(share > _BREAKS for share in broken),
        },
        "falls": _falls(datasets, named),
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
    names += [prefix + step for prefix in ("", "nsd ", "seconds ") for step in _step_names(report["protocols"])]
    names += [f"{prefix}auc {protocol}" for prefix in ("", "nsd ") for protocol in report["protocols"]] + ["failure"]
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
        for title, steps in ((p["title"], p["steps"]) for p in report["protocols"].values()):
            curves = {}
            for name, row in rows.items():
                scores = row if metric == "Dice" else row["nsd"]
                curves[name] = [scores.get(step) for step in steps]
            panels.append(Panel(f"{metric} {title}", steps, curves))
    ellipsoid = report["mean_over_datasets"].get("ellipsoid")
    panels[0] = replace(panels[0], reference=ellipsoid, reference_name="ellipsoid in the box (mean)")
    picture = draw_chart(
        f"{report['model']['title']}, {len(report['structures'])} structures", panels, len(report["protocols"])
    )
    with write_aside(path) as aside:
        picture.save(aside, format="PNG")


def format_table(report: Mapping[str, Any]) -> str:
    """The datasets and their mean as text, Dice above NSD, and what the clicks did."""
    mean = report["mean_over_datasets"]
    rows = {**report["datasets"], "mean over datasets": mean}
    steps = _step_names(report["protocols"])
    names = [name for name in ("ellipsoid", *steps) if name in mean]
    wide = max(map(len, rows))
    lines = []
    for metric in ("Dice", "NSD"):
        scores = {title: row if metric == "Dice" else row["nsd"] for title, row in rows.items()}
        if len(names) > _MOST_COLUMNS:  # a line for each step
            widths = {title: max(len(title), 6) for title in rows}
            lines.append(" ".join([f"{metric:{max(map(len, names))}}", *(f"{t:>{n}}" for t, n in widths.items())]))
            for name in names:
                cells = [_cell(scores[title].get(name), width) for title, width in widths.items()]
                lines.append(" ".join([f"{name:{max(map(len, names))}}", *cells]))
        else:
            lines.append(" ".join([f"{metric:{wide}} {'n':>4}", *(f"{name:>{max(len(name), 6)}}" for name in names)]))
            for title, row in rows.items():
                cells = [_cell(scores[title].get(name), max(len(name), 6)) for name in names]
                lines.append(" ".join([f"{title:{wide}} {row.get('count', ''):>4}", *cells]))
        lines.append("")
    if report["clicks"]:
        share = report["clicks_obeyed"] / report["clicks"]
        lines.append(f"Clicks obeyed: {share:.1%} of {report['clicks']}.")
    corrections = report["corrections"]
    if corrections["count"]:
        lines.append(
            f"Corrections: {corrections['count']}; away from the gesture they spoilt {corrections['broken']:.2%} of "
            f"the structure on average, and more than {_BREAKS:.0%} of it in {corrections['breaking']}."
        )
        falls = [f"{f['dataset']} at {f['step']} by {f['by']:.3f}" for f in report["falls"]]
        lines.append(
            f"Dice falls: {', '.join(falls) or 'nowhere, it rises or stays with every step on every dataset'}."
        )
    seconds = mean["seconds"]
    if seconds:
        text = ", ".join(f"{name} {seconds[name]:.2f}" for name in steps if name in seconds)
        lines.append(f"Seconds per answer, mean over datasets: {text}.")
    return "\n".join(lines)


def _step_names(protocols: Mapping[str, Row]) -> list[str]:
    return [name for protocol in protocols.values() for name in protocol["steps"]]


def _falls(datasets: Mapping[str, Row], protocols: Mapping[str, Row]) -> list[Row]:
    return [
        {"dataset": name, "step": step, "by": row[before] - row[step]}
        for name, row in datasets.items()
        for protocol in protocols.values()
        for before, step in pairwise(protocol["steps"])
        if step in row and row[step] < row[before]
    ]


def _cell(score: float | None, width: int) -> str:
    return f"{'-':>{width}}" if score is None else f"{score:{width}.3f}"


def _structure(result: StructureResult, protocols: Mapping[str, Row]) -> Row:
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
    row.update(_areas(row, protocols))
    obeyed = _share_obeyed(steps)
    if obeyed is not None:
        row["obeyed"] = obeyed
    if result.voxels:
        row["ellipsoid"] = result.ellipsoid
    if result.failure:
        row["failure"] = result.failure
    return row


def _mean(rows: Sequence[Row], protocols: Mapping[str, Row]) -> Row:
    out: Row = {}
    steps = _step_names(protocols)
    for key in (*steps, "ellipsoid", "obeyed"):
        values = [row[key] for row in rows if key in row]
        if values:
            out[key] = float(np.mean(values))
    for group in ("nsd", "seconds"):
        out[group] = {}
        for key in steps:
            values = [row[group][key] for row in rows if key in row[group]]
            if values:
                out[group][key] = float(np.mean(values))
    return {**out, **_areas(out, protocols)}


def _areas(row: Row, protocols: Mapping[str, Row]) -> Row:
    areas: Row = {"auc": {}, "nsd_auc": {}}
    for protocol, about in protocols.items():
        last = about["steps"][-_AUC_STEPS:]
        for key, scores in (("auc", row), ("nsd_auc", row["nsd"])):
            if len(last) == _AUC_STEPS and all(step in scores for step in last):
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
