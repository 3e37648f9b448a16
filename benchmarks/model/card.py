"""The model card: what the weights learnt from, for how long, and what they reach."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ledger import RESULTS, SUMMARY, lineage, read_entries
from record import Record

from napari_medsam.engine.io import write_aside
from napari_medsam.engine.segmenters.compact.zoom import PATCH


def model_card(flat: Record, deep: Record) -> dict[str, Any]:
    """What ``model.json`` says beside the shape of the network.

    Parameters
    ----------
    flat, deep : dict
        Records of the 2D and the 3D training (see `record`).
    """
    records = [*lineage(deep), *lineage(flat)]
    by_source: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records:
        for source in record.get("data", {}).get("sources", []):
            by_source[source["source"], source["licence"]] = source
    hours: Counter[str] = Counter()
    for record in {record["name"]: record for record in records}.values():
        hours.update(record.get("hours", {}))
    return {
        "version": "0.1",
        "licence": "Apache-2.0",
        "training_steps": {"2D": flat.get("steps", 0), "3D": deep.get("steps", 0)},
        "lineage": {"2D": [r["name"] for r in lineage(flat)], "3D": [r["name"] for r in lineage(deep)]},
        "cells": cells_of(flat, deep),
        "seed": deep.get("seed", flat.get("seed")),
        "hours": {machine: round(spent, 2) for machine, spent in hours.items() if spent > 0},
        "synthetic_share": _synthetic_share(flat.get("data", {})),
        "data": list(by_source.values()),
        "scores": _scores(deep["name"]) or _scores(flat["name"]),
    }


def add_to_card(folder: Path, facts: Mapping[str, Any]) -> None:
    """Put what was found out about the model in ``folder`` into its ``model.json``; what it said of that goes."""
    path = folder / "model.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    with write_aside(path) as aside:
        aside.write_text(json.dumps({**card, **facts}, indent=2) + "\n", encoding="utf-8")


def cells_of(flat: Record, deep: Record) -> dict[str, int]:
    """Side of the patches as each network saw them."""
    return {
        name: int(record.get("config", {}).get("cells") or record.get("data", {}).get("cells", PATCH))
        for name, record in (("2D", flat), ("3D", deep))
    }


def _synthetic_share(data: dict[str, Any]) -> float | None:
    """Share of synthetic patches in a pool, or in several together; None where it was not written down."""
    pools = data.get("pools", [data])
    if any(pool.get(key) is None for pool in pools for key in ("synthetic", "patches")):
        return None
    patches = sum(pool["patches"] for pool in pools)
    return float(round(sum(pool["synthetic"] * pool["patches"] for pool in pools) / patches, 3))


def _scores(training: str) -> dict[str, dict[str, float]]:
    if not (RESULTS / f"{training}.json").exists():
        return {}
    (entry,) = (entry for entry in read_entries() if entry.record["name"] == training)
    means = {kind: entry.scores[kind]["mean_over_datasets"] for kind in SUMMARY if kind in entry.scores}
    return {
        kind: {step: round(value, 4) for step, value in mean.items() if isinstance(value, float)}
        for kind, mean in means.items()
    }
