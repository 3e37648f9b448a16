"""Score what a training reached, and put it into the ledger.

    python benchmarks/model/score.py runs/deep --flat runs/flat --data ../shared/data [--quick]

The network of the training is paired with a 2D one (a 2D training is inflated instead) and answers simulated users: on
whole volumes, on the largest slices of the same structures, and on pictures. ``ledger.py`` makes the table.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from card import cells_of
from ledger import Entry, add_entry, write_tables
from record import averaged, read_record

from napari_medsam.engine.evaluation import PROTOCOLS, evaluate_cases, load_cases, summarise
from napari_medsam.engine.segmenters.compact.bundle import save_bundle
from napari_medsam.engine.segmenters.compact.network import inflate
from napari_medsam.engine.segmenters.registry import load_segmenter

KINDS: Mapping[str, tuple[str, str, bool]] = {
    "volumes": ("cases.json", "challenge", False),
    "volumes, each prompt": ("cases.json", "prompts", False),
    "slices": ("cases.json", "challenge", True),
    "slices, each prompt": ("cases.json", "prompts", True),
    "pictures": ("slices2d/data_demo", "challenge", False),
    "pictures, each prompt": ("slices2d/data_demo", "prompts", False),
}
QUICK = ("ct_lesions", "spinal_cord", "data_demo")
"""Small datasets, one of each kind of list, that show that the script works."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("training", type=Path)
    parser.add_argument("--flat", type=Path, help="2D training to pair a 3D one with")
    parser.add_argument("--data", type=Path, required=True, help="folder with cases.json and slices2d")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    parser.add_argument("--quick", action="store_true", help="the smallest datasets only, and nothing into the ledger")
    args = parser.parse_args(argv)
    network = averaged(args.training)
    if network.dims == 3 and args.flat is None:
        raise SystemExit("A 3D training is scored with a 2D one beside it: give --flat.")
    flat, deep = (network, inflate(network)) if network.dims == 2 else (averaged(args.flat), network)
    kinds = [kind for kind in args.kinds if network.dims == 3 or not kind.startswith("volumes")]
    with tempfile.TemporaryDirectory() as folder:
        cells = cells_of(read_record(args.flat or args.training), read_record(args.training))
        save_bundle(Path(folder), flat, deep, {"licence": "Apache-2.0", "cells": cells})
        scores = {kind: _scores(Path(folder), args.data, kind, args.quick) for kind in kinds}
    if not args.quick:
        add_entry(Entry(read_record(args.training), scores))
        write_tables()


def _scores(model: Path, data: Path, kind: str, quick: bool) -> dict[str, Any]:
    listed, name, flat = KINDS[kind]
    cases = load_cases(data / listed)
    if quick:
        cases = [case for case in cases if case.dataset in QUICK][:4]
    segmenter = load_segmenter(str(model))
    results = list(evaluate_cases(cases, segmenter, protocols=PROTOCOLS[name], flat=flat))
    report = summarise(results, segmenter.info, PROTOCOLS[name])
    print(f"{kind}: {len(results)} structures, {len(report['failures'])} failed", flush=True)
    return report


if __name__ == "__main__":
    main()
