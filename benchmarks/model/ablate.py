"""Train without one kind of prompt and put the result into the ledger beside that of the whole mix.

    for kind in none box click scribble lasso first_mask; do
        python benchmarks/model/ablate.py $kind --data ../shared/data --bf16
    done

Every ablation is the same short 2D training from nothing; only the mix of prompts differs (configs
``without_*.json``), and ``none`` leaves nothing out. Without clicks all corrections are strokes or lassos. Scores are
those of slices and pictures.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import score
import train

CONFIGS = Path(__file__).parent / "configs"
KINDS = ("slices", "slices, each prompt", "pictures", "pictures, each prompt")


def main(argv: Sequence[str] | None = None) -> None:
    kinds = sorted(path.stem.removeprefix("without_") for path in CONFIGS.glob("without_*.json"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=kinds, help="the kind of prompt that is left out")
    parser.add_argument("--data", type=Path, required=True, help="folder with the cases to score")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--bf16", action="store_true", help="as for train.py")
    parser.add_argument("--quick", action="store_true", help="a few steps and cases, to see that all of it works")
    args = parser.parse_args(argv)
    config = CONFIGS / f"without_{args.kind}.json"
    out = args.out / config.stem
    if args.quick:
        out.mkdir(parents=True, exist_ok=True)
        settings = json.loads(config.read_text(encoding="utf-8"))
        config = out / "quick.json"
        config.write_text(json.dumps({**settings, "steps": 2, "batch": 1}), encoding="utf-8")
    train.main([str(config), "--out", str(out), *(["--bf16"] if args.bf16 else [])])
    quick = ["--quick"] if args.quick else []
    score.main([str(out), "--data", str(args.data), "--kinds", *KINDS, *quick])


if __name__ == "__main__":
    main()
