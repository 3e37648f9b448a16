"""The mean of the weights of trainings that built on each other, as a training folder of its own.

    python benchmarks/model/average.py runs/later runs/earlier --out runs/mean

Where a training gained on one thing and lost on another the mean of its weights and those it started from can hold
both (weight-space ensembles: Wortsman et al. 2022, arXiv 2109.01903).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from record import averaged, read_record, save_averaged


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trainings", type=Path, nargs="+", help="the latest first: its record goes on")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    networks = [averaged(folder) for folder in args.trainings]
    states = [network.state_dict() for network in networks]
    layers = {(network.dims, network.widths, *state) for network, state in zip(networks, states, strict=True)}
    if len(layers) > 1:
        raise SystemExit("Only networks of the same dimensions, widths and layers have a mean.")
    mean = {key: torch.stack([state[key] for state in states]).mean(dim=0) for key in states[0]}
    latest = read_record(args.trainings[0])
    names = [read_record(folder)["name"] for folder in args.trainings]
    new = {"name": args.out.resolve().name, "start": latest, "hours": {}, "mean_of": names}
    networks[0].load_state_dict(mean)
    save_averaged(args.out, networks[0], {**latest, **new})


if __name__ == "__main__":
    main()
