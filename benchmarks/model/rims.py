"""Collect the patches of pools whose object leaves the middle of its box to something else, and yet shows.

    python benchmarks/model/rims.py runs/labelled runs/body --out runs/rims

Crescents round an organ, tubes along a wall, tumours bent round a ventricle: in a box they are what does not go on
outside it. Among other patches they are one in twenty, too few for a network to look anywhere but in the middle.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from batches import Pool, field_of, is_cut_off
from pool import SHARD
from record import joined_sources
from torch import Tensor

from napari_medsam.engine.io import write_aside
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact.channels import ellipsoid_in
from napari_medsam.engine.segmenters.compact.geodesic import closeness

MIDDLE = 0.3
"""The object holds less than this share of the middle eighth of the ellipsoid in its box."""

SHOWS = 0.5
"""Dice that the cells farthest from all outside the box reach with it, geodesically, at the best of all thresholds."""


def is_rim(image: np.ndarray, mask: np.ndarray) -> bool:
    """Whether an object, seen whole in its patch ``(z, y, x)``, leaves the middle of its box and yet shows."""
    if is_cut_off(mask):
        return False
    box = torch.zeros(mask.shape)
    box[Region.of(mask).slices] = 1
    truth = torch.from_numpy(mask)
    return middle_held(truth, box) < MIDDLE and shown(image, truth, box) > SHOWS


def middle_held(mask: Tensor, box: Tensor) -> float:
    """Share of the middle of a box that an object holds; both ``(z, y, x)``."""
    middle = ellipsoid_in(box[None, None])[0, 0] > 0.5
    return float(mask[middle].float().mean()) if middle.any() else 1.0


def shown(image: np.ndarray, mask: Tensor, box: Tensor) -> float:
    """Dice of an object with the cells of its box that lie farthest from all outside; all ``(z, y, x)``."""
    grey = torch.from_numpy(image.astype(np.float32))
    field = torch.from_numpy(field_of(image))
    normalised = (grey - grey.mean()) / (grey.std() + 1e-6)
    close = closeness(normalised[None, None], box[None, None] < 0.5, field[None, None])[0, 0]
    inside = box > 0.5
    held = mask[inside][close[inside].argsort()].cumsum(0)
    return float((2 * held / (torch.arange(1, len(held) + 1) + mask.sum())).max())


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pools", type=Path, nargs="+", help="3D pools")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    if args.out.exists():
        raise SystemExit(f"{args.out} is there already.")
    args.out.mkdir(parents=True)
    count = 0
    for k, folder in enumerate(args.pools):
        pool = Pool(folder)
        chosen = [patch for patch in map(pool.patch, range(len(pool))) if is_rim(*patch[:2])]
        for first in range(0, len(chosen), SHARD):
            images, masks, boxes = zip(*chosen[first : first + SHARD], strict=True)
            packed = np.array([np.packbits(mask) for mask in masks])
            np.savez(args.out / f"{k:03d}-{first // SHARD:05d}.npz", images=images, masks=packed, boxes=boxes)
        print(f"{folder}: {len(chosen)} of {len(pool)}", flush=True)
        count += len(chosen)
    about = [json.loads((folder / "pool.json").read_text(encoding="utf-8")) for folder in args.pools]
    summary = {
        "dims": 3,
        "cells": max(pool["cells"] for pool in about),
        "patches": count,
        "chosen_from": [folder.name for folder in args.pools],
        "sources": joined_sources(about),
    }
    with write_aside(args.out / "pool.json") as aside:
        aside.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
