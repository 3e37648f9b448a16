"""Make training patches ahead of time: shards of images, masks and boxes that the trainer reads at random.

    python benchmarks/model/pool.py --data ../shared/train --out runs/pool --count 6000

Making a patch costs more than a training step spends on it, so patches are made once and varied when read (`augment`).
Stops and goes on anywhere: existing shards are kept.
"""

import argparse
from pathlib import Path

import numpy as np
from real import Case, image_target, labelled_target, load_cases
from scipy import ndimage
from synthetic import label_map, picture

from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact.patch import PatchGrid
from napari_medsam.engine.segmenters.compact.zoom import PATCH, patch_for

SHARD = 64
CELLS = (PATCH,) * 3
Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


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
    rng: np.random.Generator, image: np.ndarray, spacing: tuple[float, float, float], mask: np.ndarray, grid: PatchGrid
) -> Sample | None:
    """One patch around a target given as ``mask`` on the cells of ``grid``, which lies in ``image``."""
    region = Region.of(mask)
    lower = np.array(grid.start) + np.array(region.lower) * grid.step
    upper = np.array(grid.start) + np.array(region.upper) * grid.step
    view = rng.choice(["box", "click", "inside"], p=[0.68, 0.2, 0.12])
    low, high = user_box(rng, lower, upper)
    if view == "box":
        patch = patch_for(low, high, spacing, CELLS, margin=rng.uniform(1.35, 1.7))
    elif view == "click":  # no box: the object has any size and place in the patch
        shift = rng.uniform(-0.4, 0.4, 3) * (upper - lower)
        patch = patch_for(lower + shift, upper + shift, spacing, CELLS, margin=np.exp(rng.uniform(0.3, 1.5)))
    else:  # a large object seen through a window on its border
        border = np.argwhere(mask & ~ndimage.binary_erosion(mask))
        centre = np.array(grid.start) + (border[rng.integers(len(border))] + 0.5) * grid.step
        side = (upper - lower) * rng.uniform(0.35, 0.8)
        patch = patch_for(centre - side / 2, centre + side / 2, spacing, CELLS, margin=1.2)
    cells = patch.sample(image).numpy()
    # A rim of zeros, because sampling repeats the outermost cell.
    inner = PatchGrid.around(
        (np.array(patch.start) - grid.start) / grid.step + 1,
        (np.array(patch.start) + patch.size - grid.start) / grid.step + 1,
        CELLS,
    )
    target = inner.sample(np.pad(mask, 1)).numpy() > 0.5
    reach = np.stack([patch.to_cell(low - 0.5), patch.to_cell(high - 0.5)]) + 0.5  # cell edges
    if view == "click":
        reach[:] = np.nan
    if not 100 < target.sum() < 0.8 * target.size:
        return None
    bottom, top = np.quantile(cells[::2, ::2, ::2], [0.002, 0.998])
    if not top > bottom:
        return None
    quantised = np.clip((cells - bottom) * (255 / (top - bottom)), 0, 255).astype(np.uint8)
    return quantised, np.packbits(target), reach.astype(np.float32)


def real_sample(rng: np.random.Generator, cases: list[Case], chances: np.ndarray) -> Sample | None:
    case = cases[rng.choice(len(cases), p=chances)]
    if rng.random() < 0.65 and (mask := labelled_target(rng, case)) is not None:
        region = Region.of(mask)
        if region.count < 60:
            return None
        # Only the neighbourhood of the target is kept, so that the work does not grow with the volume.
        grid = PatchGrid.around(region.lower, region.upper, region.voxels.shape)
        return cut(rng, case.image, case.spacing, region.voxels, grid)
    found = image_target(rng, case, PATCH)
    return None if found is None else cut(rng, case.image, case.spacing, *found)


def synthetic_sample(rng: np.random.Generator) -> Sample | None:
    labels = label_map(rng, 80)
    image = picture(rng, labels)
    pieces, _ = ndimage.label(labels == rng.integers(labels.max() + 1))
    sizes = np.bincount(pieces.ravel())[1:]
    large = np.flatnonzero((sizes > 250) & (sizes < 0.35 * labels.size))
    if not len(large):
        return None
    region = Region.of(pieces == 1 + rng.choice(large))
    grid = PatchGrid.around(region.lower, region.upper, region.voxels.shape)
    return cut(rng, image, (1.0, 1.0, 1.0), region.voxels, grid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with an INDEX.json; synthetic patches only without it")
    parser.add_argument("--out", type=Path, default=Path("runs/pool"))
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--synthetic", type=float, default=0.3, help="share of synthetic patches")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    cases = load_cases(args.data) if args.data else []
    chances = np.array([case.weight for case in cases])
    chances = chances / chances.sum() if cases else chances
    for shard in range(args.count // SHARD):
        path = args.out / f"{args.seed:03d}-{shard:05d}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([args.seed, shard])
        samples: list[Sample] = []
        while len(samples) < SHARD:
            made = (
                synthetic_sample(rng)
                if not cases or rng.random() < args.synthetic
                else real_sample(rng, cases, chances)
            )
            if made is not None:
                samples.append(made)
        images, masks, boxes = (np.stack(part) for part in zip(*samples, strict=True))
        aside = path.with_suffix(".tmp.npz")
        np.savez(aside, images=images, masks=masks, boxes=boxes)
        aside.replace(path)
        print(f"{path.name}: {SHARD} patches", flush=True)


if __name__ == "__main__":
    main()
