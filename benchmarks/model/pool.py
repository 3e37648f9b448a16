"""Make training patches ahead of time: shards of images, masks and boxes that the trainer reads at random.

    python benchmarks/model/pool.py --data ../shared/train --out runs/pool --count 6000
    python benchmarks/model/pool.py --data ../shared/train --out runs/flat_pool --count 20000 --dims 2 --cells 128
    python benchmarks/model/pool.py --data ../shared/train --out runs/hollow --count 1500 --seed 1 --fill-below 0.25
    python benchmarks/model/pool.py --data ../shared/train --out runs/labelled --seed 2 --synthetic 0 --suggested 0
    python benchmarks/model/pool.py --data MORE --out runs/painted --seed 3 --synthetic 0 --suggested 0 --painted 0.5

Making a patch costs more than a training step spends on it, so patches are made once and varied when read (`augment`).
Patches of 2D pools are cut from pictures and from slices of the volumes at the resolution of their planes.
Stops and goes on anywhere: existing shards are kept. ``pool.json`` says what a pool was made from.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from batches import fill_of
from index import sources
from real import Case, image_target, labelled_target, load_cases, slice_of
from scipy import ndimage
from synthetic import Cells, label_map, picture, regions

from napari_medsam.engine.io import write_aside
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact.patch import PatchGrid
from napari_medsam.engine.segmenters.compact.zoom import PATCH, patch_for

SHARD = 64
TISSUES = 0.5
"""Share of painted patches in which structures share a few grey levels."""

Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class PatchMix:
    """What a pool is made of.

    Parameters
    ----------
    synthetic : float
        Share of synthetic patches.
    suggested : float
        Share of the others whose target the image suggests, not a label; with 0 unlabelled images are left out.
    fill_below : float
        Targets fill less than this share of their own box.
    painted : float
        Share of the labelled ones whose labels are painted in contrasts of none in particular.
    whole : float
        Share of the labelled ones that are one label as it is, no piece of it and no two together.
    """

    synthetic: float
    suggested: float
    fill_below: float
    painted: float = 0.0
    whole: float = 0.0


def user_box(rng: np.random.Generator, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The box somebody draws round the extent: mostly tight, at times loose or a little too small."""
    size = upper - lower
    loose = {0: 0.0, 1: 0.08, 2: 0.3}[int(rng.choice(3, p=[0.35, 0.45, 0.2]))]
    tight = 0.04 if rng.random() < 0.3 else 0.0
    return (
        lower - rng.uniform(-tight, loose + 1e-9, 3) * size,
        upper + rng.uniform(-tight, loose + 1e-9, 3) * size,
    )


def cut(
    rng: np.random.Generator,
    image: np.ndarray,
    spacing: tuple[float, float, float],
    mask: np.ndarray,
    grid: PatchGrid,
    cells: Cells,
) -> Sample | None:
    """One patch of ``cells`` around a target given as ``mask`` on the cells of ``grid``, which lies in ``image``."""
    region = Region.of(mask)
    lower = np.array(grid.start) + np.array(region.lower) * grid.step
    upper = np.array(grid.start) + np.array(region.upper) * grid.step
    view = rng.choice(["box", "click", "inside"], p=[0.68, 0.2, 0.12])
    low, high = user_box(rng, lower, upper)
    deep = np.array(cells) > 1
    low, high = np.where(deep, low, lower), np.where(deep, high, upper)  # a slice is never left
    if view == "box":
        patch = patch_for(low, high, spacing, cells, margin=rng.uniform(1.35, 1.7))
    elif view == "click":  # no box: the object has any size and place in the patch
        shift = rng.uniform(-0.4, 0.4, 3) * (upper - lower) * deep
        patch = patch_for(lower + shift, upper + shift, spacing, cells, margin=np.exp(rng.uniform(0.3, 1.5)))
    else:  # a large object seen through a window on its border
        cross = ndimage.generate_binary_structure(3, 1)
        inner = ndimage.binary_erosion(mask, cross if deep[0] else cross[1:2])
        border = np.argwhere(mask & ~inner)
        centre = np.array(grid.start) + (border[rng.integers(len(border))] + 0.5) * grid.step
        side = (upper - lower) * np.where(deep, rng.uniform(0.35, 0.8), 1)
        patch = patch_for(centre - side / 2, centre + side / 2, spacing, cells, margin=1.2)
    sampled = patch.sample(image).numpy()
    # A rim of zeros, because sampling repeats the outermost cell.
    padded = PatchGrid.around(
        (np.array(patch.start) - grid.start) / grid.step + 1,
        (np.array(patch.start) + patch.size - grid.start) / grid.step + 1,
        cells,
    )
    target = padded.sample(np.pad(mask, 1)).numpy() > 0.5
    reach = np.stack([patch.to_cell(low - 0.5), patch.to_cell(high - 0.5)]) + 0.5  # cell edges
    if view == "click":
        reach[:] = np.nan
    if not 100 < target.sum() < 0.8 * target.size:
        return None
    bottom, top = np.quantile(sampled[::2, ::2, ::2], [0.002, 0.998])
    if not top > bottom:
        return None
    quantised = np.clip((sampled - bottom) * (255 / (top - bottom)), 0, 255).astype(np.uint8)
    return quantised, np.packbits(target), reach.astype(np.float32)


def cut_target(
    rng: np.random.Generator, image: np.ndarray, spacing: tuple[float, float, float], target: Region, cells: Cells
) -> Sample | None:
    """One patch around a target on the voxels of the image.

    Only the target's neighbourhood is looked at, so that the work does not grow with the volume.
    """
    grid = PatchGrid.around(target.lower, target.upper, target.voxels.shape)
    return cut(rng, image, spacing, target.voxels, grid, cells)


def surroundings(cells: Cells) -> Cells:
    """Cells of a picture that is made for a patch: a little more than the patch shows."""
    z, y, x = (1 if n == 1 else n * 5 // 4 for n in cells)
    return z, y, x


def real_sample(
    rng: np.random.Generator, cases: list[Case], chances: np.ndarray, cells: Cells, mix: PatchMix
) -> Sample | None:
    case = cases[rng.choice(len(cases), p=chances)]
    if cells[0] == 1:
        case = slice_of(rng, case)
    if (not case.has_image or rng.random() < 1 - mix.suggested) and (
        region := labelled_target(rng, case, mix.whole)
    ) is not None:
        if region.count < 60 or fill_of(region.voxels) > mix.fill_below:
            return None
        if not case.has_image or (mix.painted and rng.random() < mix.painted):
            return painted_sample(rng, case, region, cells)
        return cut_target(rng, case.image, case.spacing, region, cells)
    found = image_target(rng, case, cells[-1]) if mix.suggested and case.has_image else None
    if found is None or fill_of(found[0]) > mix.fill_below:
        return None
    return cut(rng, case.image, case.spacing, *found, cells)


def painted_sample(rng: np.random.Generator, case: Case, target: Region, cells: Cells) -> Sample | None:
    """A structure among its labelled neighbours as no scanner shows them: shapes that are real, in random contrasts."""
    around = surroundings(cells)
    grid = patch_for(target.lower, target.upper, case.spacing, around, margin=2.2)
    at = [
        np.clip(np.floor(start + (np.arange(n) + 0.5) * step), 0, size - 1).astype(int)
        for start, step, n, size in zip(grid.start, grid.step, around, case.labels.shape, strict=True)
    ]
    # On the target's own voxels, with a rim of zeros for all around them.
    there = [np.clip(i - low, -1, n) + 1 for i, low, n in zip(at, target.lower, target.voxels.shape, strict=True)]
    mask = np.pad(target.voxels, 1)[np.ix_(*there)]
    if not mask.any():
        return None
    # What has no label holds many things: it becomes regions, and the labels are numbered after those.
    outside = regions(rng, around)
    labels = case.labels[np.ix_(*at)]
    labels = np.where(
        labels > 0, np.unique(labels, return_inverse=True)[1].reshape(around) + outside.max() + 1, outside
    )
    step_z, step_y, step_x = (grid.step * case.spacing).tolist()
    return cut_target(rng, picture(rng, labels, TISSUES), (step_z, step_y, step_x), Region.of(mask), cells)


def synthetic_sample(rng: np.random.Generator, cells: Cells, mix: PatchMix) -> Sample | None:
    labels = label_map(rng, surroundings(cells))
    pieces, _ = ndimage.label(labels == rng.integers(labels.max() + 1))
    sizes = np.bincount(pieces.ravel())[1:]
    boxes = [np.prod([s.stop - s.start for s in where]) for where in ndimage.find_objects(pieces)]
    large = np.flatnonzero((sizes > 250) & (sizes < 0.35 * labels.size) & (sizes <= mix.fill_below * np.array(boxes)))
    if not len(large):
        return None
    image = picture(rng, labels)
    return cut_target(rng, image, (1.0, 1.0, 1.0), Region.of(pieces == 1 + rng.choice(large)), cells)


def make_shard(
    rng: np.random.Generator, cases: list[Case], cells: Cells, mix: PatchMix
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images uint8 ``(SHARD, *cells)``, masks as packed bits, box edges ``(SHARD, 2, 3)`` in cells (nan: no box)."""
    chances = np.array([case.weight for case in cases])
    samples: list[Sample] = []
    while len(samples) < SHARD:
        made = (
            synthetic_sample(rng, cells, mix)
            if not cases or rng.random() < mix.synthetic
            else real_sample(rng, cases, chances / chances.sum(), cells, mix)
        )
        if made is not None:
            samples.append(made)
    images, masks, boxes = (np.stack(part) for part in zip(*samples, strict=True))
    return images, masks, boxes


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with an INDEX.json; synthetic patches only without it")
    parser.add_argument("--out", type=Path, default=Path("runs/pool"))
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--dims", type=int, choices=(2, 3), default=3)
    parser.add_argument("--cells", type=int, default=PATCH, help="side of a patch")
    parser.add_argument("--synthetic", type=float, default=0.3, help="share of synthetic patches")
    parser.add_argument(
        "--suggested", type=float, default=0.35, help="share of the others that the image suggests, without labels"
    )
    parser.add_argument("--painted", type=float, default=0.0, help="share of the labelled ones in random contrasts")
    parser.add_argument("--whole", type=float, default=0.0, help="share of the labelled ones that are one whole label")
    parser.add_argument("--fill-below", type=float, default=1.0, help="only objects that fill less of their own box")
    parser.add_argument("--hold-out", action="store_true", help="leave out the patients that calibration.py asks")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    cells = (1 if args.dims == 2 else args.cells, args.cells, args.cells)
    mix = PatchMix(args.synthetic, args.suggested, args.fill_below, args.painted, args.whole)
    shards = [args.out / f"{args.seed:03d}-{shard:05d}.npz" for shard in range(args.count // SHARD)]
    missing = [(shard, path) for shard, path in enumerate(shards) if not path.exists()]
    cases = load_cases(args.data, args.dims, args.hold_out) if args.data and missing else []
    for shard, path in missing:
        images, masks, boxes = make_shard(np.random.default_rng([args.seed, shard]), cases, cells, mix)
        with write_aside(path) as aside:
            np.savez(aside, images=images, masks=masks, boxes=boxes)
        print(f"{path.name}: {SHARD} patches", flush=True)
    about = {
        "dims": args.dims,
        "cells": args.cells,
        "patches": len(shards) * SHARD,
        "synthetic": args.synthetic if args.data else 1.0,
        "pool_seed": args.seed,
        "suggested": args.suggested,
        "painted": args.painted,
        "whole": args.whole,
        "fill_below": args.fill_below,
        "hold_out": args.hold_out,
        "sources": sources(args.data, args.dims, args.hold_out) if args.data else [],
    }
    with write_aside(args.out / "pool.json") as aside:
        aside.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
