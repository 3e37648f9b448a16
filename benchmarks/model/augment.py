"""What changes from one reading of a patch to the next: contrast, noise, voxels, bias field, what is drawn over."""

import numpy as np
import torch
from scipy import ndimage
from synthetic import regions, smooth_noise
from torch import Tensor
from torch.nn import functional


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
    sigma = [0.7 if n > 1 else 0.0 for n in image.shape]
    grey = image.astype(np.float32)
    texture = grey - ndimage.gaussian_filter(grey, [2 * s for s in sigma])
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
    over = ndimage.gaussian_filter(where.astype(np.float32), sigma)
    painted = grey + over * (level + texture - grey)
    return np.round(painted.clip(0, 255)).astype(np.uint8)
