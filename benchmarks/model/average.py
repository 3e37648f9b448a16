"""The mean of the weights of trainings that built on each other, as a training folder of its own.

    python benchmarks/model/average.py runs/later runs/earlier --out runs/mean --weights 3 1

Where a training gained on one thing and lost on another the mean of its weights and those it started from can hold
both (weight-space ensembles: Wortsman et al. 2022, arXiv 2109.01903). Further convolutions that an earlier one
had not yet count for it as they began, when they did nothing.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from record import averaged, read_record, save_averaged
from torch import Tensor


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trainings", type=Path, nargs="+", help="the latest first: its record goes on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=float, nargs="+", help="how much each counts; without it all alike")
    args = parser.parse_args(argv)
    shares = args.weights or [1.0] * len(args.trainings)
    if len(shares) != len(args.trainings) or min(shares) < 0 or not sum(shares):
        raise SystemExit("--weights takes one number for each training, none of them negative.")
    networks = [averaged(folder) for folder in args.trainings]
    states = [_with_further(network.state_dict(), networks[0].state_dict()) for network in networks]
    layers = {(network.dims, network.widths, *sorted(state)) for network, state in zip(networks, states, strict=True)}
    if len(layers) > 1:
        raise SystemExit("Only networks of the same dimensions, widths and layers have a mean.")
    mean = {
        key: sum(share * state[key] for share, state in zip(shares, states, strict=True)) / sum(shares)
        for key in states[0]
    }
    latest = read_record(args.trainings[0])
    names = [read_record(folder)["name"] for folder in args.trainings]
    new = {"name": args.out.resolve().name, "start": latest, "hours": {}, "mean_of": names, "weights": shares}
    networks[0].load_state_dict(mean)
    save_averaged(args.out, networks[0], {**latest, **new})


def _with_further(state: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights, and what ``like`` has of further convolutions besides, as they begin."""
    further = {
        key: torch.zeros_like(value) if ".second." in key else value
        for key, value in like.items()
        if key.startswith("deeper.") and key not in state
    }
    return {**state, **further}


if __name__ == "__main__":
    main()
