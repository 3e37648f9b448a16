"""Put trained networks into the package, or into a folder that every command takes as a model.

python benchmarks/model/export.py --flat runs/flat --deep runs/deep [--out FOLDER]
"""

import argparse
from pathlib import Path

import torch

from napari_medsam.engine.segmenters.compact.bundle import BUNDLED, save_bundle
from napari_medsam.engine.segmenters.compact.network import PromptUNet, inflate


def averaged(folder: Path) -> tuple[PromptUNet, int]:
    """The averaged network of a training folder, and its steps."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    widths = [state["ema"][f"down.{k}.first.weight"].shape[0] for k in range(4)]
    network = PromptUNet(state["dims"], widths)
    network.load_state_dict(state["ema"])
    return network, state["done"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flat", type=Path, required=True)
    parser.add_argument("--deep", type=Path, help="without it the 3D network is the inflated 2D one")
    parser.add_argument("--out", type=Path, default=BUNDLED)
    args = parser.parse_args()
    flat, flat_steps = averaged(args.flat)
    deep, deep_steps = averaged(args.deep) if args.deep else (inflate(flat), 0)
    steps = {"2D": flat_steps, "3D": deep_steps}
    save_bundle(args.out, flat, deep, {"version": "0.1", "licence": "Apache-2.0", "training_steps": steps})
    print(f"{args.out}: 2D after {flat_steps} steps, 3D after {deep_steps}")


if __name__ == "__main__":
    main()
