"""Put trained networks into the package, or into a folder that every command takes as a model.

python benchmarks/model/export.py --flat runs/flat --deep runs/deep [--out FOLDER]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from card import cells_of, model_card
from record import averaged, read_record

from napari_medsam.engine.segmenters.compact.bundle import BUNDLED, save_bundle
from napari_medsam.engine.segmenters.compact.network import inflate


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flat", type=Path, required=True)
    parser.add_argument("--deep", type=Path, help="without it the 3D network is the inflated 2D one")
    parser.add_argument("--out", type=Path, default=BUNDLED)
    args = parser.parse_args(argv)
    flat = averaged(args.flat)
    record = read_record(args.flat)
    if args.deep:
        deep, deep_record = averaged(args.deep), read_record(args.deep)
    else:
        deep = inflate(flat)
        config = {"cells": cells_of(record, record)["2D"]}
        deep_record = {"name": "inflated", "steps": 0, "seed": record["seed"], "start": record, "config": config}
    card = model_card(record, deep_record)
    if args.out == BUNDLED and not card["scores"]:
        raise SystemExit(
            f"{deep_record['name']} has no scores in the ledger yet, which the package's card needs: score it."
        )
    save_bundle(args.out, flat, deep, card)
    print(f"{args.out}: 2D after {card['training_steps']['2D']} steps, 3D after {card['training_steps']['3D']}")


if __name__ == "__main__":
    main()
