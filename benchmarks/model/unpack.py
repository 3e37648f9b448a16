"""Make training folders of the weights in the package, to train on from them where their own folders are gone.

python benchmarks/model/unpack.py --out runs

Their records are those of the ledger; what it does not hold is told by the model card.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ledger import lineage, read_entries
from record import Record, save_averaged

from napari_medsam.engine.segmenters.compact.bundle import BUNDLED, load_bundle


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=BUNDLED, help="model folder; the one in the package otherwise")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    args = parser.parse_args(argv)
    bundle = load_bundle(args.model)
    card = json.loads((args.model / "model.json").read_text(encoding="utf-8"))
    for network in (bundle.flat, bundle.deep):
        record = record_of(card, f"{network.dims}D")
        folder = args.out / record["name"]
        save_averaged(folder, network, record)
        print(folder)


def record_of(card: dict[str, Any], dims: str) -> Record:
    """The record of one of the two trainings that a model card names (``2D`` or ``3D``)."""
    known = {r["name"]: r for entry in read_entries() for r in lineage(entry.record)}
    names = card["lineage"][dims]
    if names[0] in known:
        return known[names[0]]
    record: Record = {}
    for name in reversed(names[1:]):
        record = known.get(name, {"name": name, "start": record or None})
    # Hours that no recorded training accounts for are the 3D training's, or where it is recorded the 2D one's.
    hours = Counter(card["hours"] if dims == "3D" or card["lineage"]["3D"][0] in known else {})
    for name in {*card["lineage"]["2D"], *card["lineage"]["3D"]} & set(known):
        hours.subtract(known[name]["hours"])
    return {
        "name": names[0],
        "start": record or None,
        "steps": card["training_steps"][dims],
        "seed": card["seed"],
        "config": {"cells": card["cells"][dims]},
        "data": {"sources": card["data"], "synthetic": card["synthetic_share"], "patches": 1},
        "hours": {machine: round(spent, 2) for machine, spent in hours.items() if spent > 0.005},
    }


if __name__ == "__main__":
    main()
