"""Train without one kind of prompt and put the result into the ledger beside that of the whole mix.

    for kind in none scribble lasso first_mask box; do
        python benchmarks/model/ablate.py $kind --start runs/flat --data ../shared/data
    done

Every ablation is the same short 2D training from the same weights; only the mix of prompts differs (configs
``without_*.json``), and ``none`` leaves nothing out. Scores are those of slices and pictures.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import score
import train

CONFIGS = Path(__file__).parent / "configs"


def main(argv: Sequence[str] | None = None) -> None:
    kinds = sorted(path.stem.removeprefix("without_") for path in CONFIGS.glob("without_*.json"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=kinds, help="the kind of prompt that is left out")
    parser.add_argument("--start", type=Path, required=True, help="2D training to start from")
    parser.add_argument("--data", type=Path, required=True, help="folder with the cases to score")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--quick", action="store_true", help="a few steps and cases, to see that all of it works")
    args = parser.parse_args(argv)
    config = CONFIGS / f"without_{args.kind}.json"
    out = args.out / config.stem
    if args.quick:
        out.mkdir(parents=True, exist_ok=True)
        settings = json.loads(config.read_text(encoding="utf-8"))
        config = out / "quick.json"
        config.write_text(json.dumps({**settings, "steps": 2, "batch": 1}), encoding="utf-8")
    train.main([str(config), "--out", str(out), "--start", str(args.start)])
    quick = ["--quick"] if args.quick else []
    score.main([str(out), "--data", str(args.data), "--kinds", "slices", "slices, each prompt", "pictures", *quick])


if __name__ == "__main__":
    main()
