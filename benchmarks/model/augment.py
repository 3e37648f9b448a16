"""What changes from one reading of a patch to the next: contrast, noise, voxels, bias field, what is drawn over."""

import numpy as np
import torch
from scipy import ndimage
from synthetic import grid_of, regions, shape, smooth_noise
from torch import Tensor
from torch.nn import functional

from napari_medsam.engine import masks
from napari_medsam.engine.region import Region


def recolour(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Uint8 to float32 through a random contrast curve, so that no modality is learnt by heart."""
    kind = rng.random()
    levels = np.linspace(0, 1, 256)
    if kind < 0.5:
        curve = levels ** np.exp(rng.uniform(-0.6, 0.6))
    else:
        knots = rng.random(rng.integers(4, 9))
        knots = np.sort(knots) if kind < 0.8 else knots
        curve = np.interp(levels, np.linspace(0, 1, len(knots)), knots)
    if rng.random() < 0.3:
        curve = -curve
    return curve.astype(np.float32)[image]


def degrade(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Noise, coarse voxels or a bias field on a batch ``(n, 1, z, y, x)`` float32, drawn per sample."""
    out = []
    for sample in image:
        spread = float(sample.std()) + 1e-6
        if rng.random() < 0.25:
            pool = [int(k) if n > 1 else 1 for k, n in zip(rng.integers(1, 4, 3), sample.shape[1:], strict=True)]
            coarse = functional.avg_pool3d(sample[None], pool, ceil_mode=True, count_include_pad=False)
            sample = functional.interpolate(coarse, size=sample.shape[1:], mode="trilinear", align_corners=False)[0]
        if rng.random() < 0.25:
            field = torch.from_numpy(rng.standard_normal((1, 1, 3, 3, 3), dtype=np.float32))
            field = functional.interpolate(field, size=sample.shape[1:], mode="trilinear", align_corners=False)[0]
            sample = sample + float(rng.uniform(0, 0.5)) * spread * field
        if rng.random() < 0.5:
            noise = torch.from_numpy(rng.standard_normal(sample.shape, dtype=np.float32))
            sample = sample + float(rng.uniform(0, 0.3)) * spread * noise
        out.append(sample)
    return torch.stack(out)


def repaint(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A uint8 patch in which the object is of several greys, or goes over into what lies beside it.

    A brain with its fluid, a tumour on the chest wall: where the grey levels do not tell, the box and the rest of the
    outline have to.
    """
    grey = image.astype(np.float32)
    if rng.random() < 0.5:
        pieces = regions(rng, image.shape)
        level = rng.uniform(0, 255, int(pieces.max()) + 1)[pieces]
        where = mask
    else:
        noise = smooth_noise(rng, image.shape, float(np.exp(rng.uniform(np.log(8), np.log(40)))))
        shell = np.argwhere(ndimage.binary_dilation(mask) & ~mask)
        spot = tuple(shell[rng.integers(len(shell))]) if len(shell) else (0, 0, 0)
        level = np.full(image.shape, grey[mask].mean())
        where = ~mask & ((noise > 0) == (noise[spot] > 0))
    return _painted(grey, where, level, 0.7)


def lesion(rng: np.random.Generator, image: np.ndarray, field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A uint8 patch with a lump put somewhere into the part that shows the image, and the lump.

    Labelled lesions are few, and what the pools hold of compact objects are organs. A lump ends where it meets another
    tissue or grows into it; it is often of the grey of something beside it, and may have a core of another grey.
    """
    grey = image.astype(np.float32)
    cells = np.array(image.shape)
    length = np.exp(rng.uniform(np.log(0.25), np.log(0.7)))
    half = np.maximum(1.5, cells * length * rng.uniform(0.7, 1.0, 3) / 2)
    shown = np.argwhere(field)
    centre = shown[rng.integers(len(shown))].clip(
        np.minimum(half, cells // 2), np.maximum(cells - 1 - half, cells // 2)
    )
    axes = [(np.arange(n) - c) / h if n > 1 else np.zeros(1) for n, c, h in zip(cells, centre, half, strict=True)]
    away = np.sqrt(sum(u**2 for u in np.meshgrid(*axes, indexing="ij")))
    depth = 1 - away + rng.uniform(0, 0.35) * smooth_noise(rng, image.shape, 2 * half.max() * rng.uniform(0.3, 1.0))
    middle = tuple(np.round(centre).astype(int))
    lump = _piece_at(depth > 0, middle)
    if rng.random() < 0.5:
        tissue = ndimage.gaussian_filter(grey, [1.0 if n > 1 else 0.0 for n in cells])
        bounded = _piece_at(lump & (np.abs(tissue - tissue[middle]) < rng.uniform(20, 70)), middle)
        lump = bounded if 3 * bounded.sum() > lump.sum() else lump
    level = _grey_beside(rng, grey, lump, like=0.6)
    levels = np.full(image.shape, level, np.float32)
    if rng.random() < 0.3:
        levels[depth > rng.uniform(0.3, 0.7)] = rng.uniform(0, 255)
    levels += rng.uniform(0, 15) * smooth_noise(rng, image.shape, 6.0)
    return _painted(grey, lump, levels, rng.uniform(0.5, 1.2)), lump


def wall_or_tree(rng: np.random.Generator, image: np.ndarray, field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A uint8 patch with a wall, a tube or a tree put into the part that shows the image, and its cells.

    What leaves the middle of its box to something else is labelled seldom, and a box alone speaks for the middle: the
    wall of a heart was answered with its blood, the vessels of a liver with the liver.
    """
    grey = image.astype(np.float32)
    grid = grid_of(image.shape) * rng.uniform(0.6, 1.0)
    for _ in range(8):
        if rng.random() < 0.5:
            depth = shape(rng, grid, {"ellipsoid": 1.0})
            depth += rng.uniform(0, 0.2) * smooth_noise(rng, image.shape, rng.uniform(5, 30))
            core = depth > rng.uniform(0.15, 0.5)
        else:
            depth = shape(rng, grid, {"shell": 0.25, "tree": 0.35, "tube": 0.2, "path": 0.2})
            core = np.zeros(image.shape, bool)
        wall = masks.keep_largest((depth > 0) & ~core & field)
        if max(Region.of(wall).voxels.shape) > 0.35 * max(image.shape):
            break
    else:
        return lesion(rng, image, field)
    if core.any() and rng.random() < 0.7:
        grey = _painted(grey, core, np.full(image.shape, rng.uniform(0, 255)), 0.7).astype(np.float32)
    level = _grey_beside(rng, grey, wall, like=0.3)
    levels = level + rng.uniform(0, 15) * smooth_noise(rng, image.shape, 6.0)
    return _painted(grey, wall, levels, rng.uniform(0.4, 0.9)), wall


def _grey_beside(rng: np.random.Generator, grey: np.ndarray, mask: np.ndarray, like: float) -> float:
    """A grey level for an object, with a chance of ``like`` one from beside it; some of its outline must show."""
    shell = grey[ndimage.binary_dilation(mask, iterations=2) & ~mask]
    level = float(rng.choice(shell)) if len(shell) and rng.random() < like else rng.uniform(0, 255)
    for _ in range(4):
        if not len(shell) or (np.abs(shell - level) > 25).mean() > 0.35:
            break
        level = rng.uniform(0, 255)
    return level


def _piece_at(mask: np.ndarray, cell: tuple[int, ...]) -> np.ndarray:
    """The piece of a mask round a cell; the cell alone where the mask leaves it out."""
    mask = mask.copy()
    mask[cell] = True
    return masks.keep_touching(mask, np.array([cell]), connectivity=6)


def _painted(grey: np.ndarray, where: np.ndarray, level: np.ndarray, blur: float) -> np.ndarray:
    """Grey levels put in, with the texture of what was there and a border ``blur`` cells soft; uint8."""
    sigma = np.array([1.0 if n > 1 else 0.0 for n in grey.shape])
    texture = grey - ndimage.gaussian_filter(grey, 1.4 * sigma)
    over = ndimage.gaussian_filter(where.astype(np.float32), blur * sigma)
    painted: np.ndarray = np.round((grey + over * (level + texture - grey)).clip(0, 255)).astype(np.uint8)
    return painted
