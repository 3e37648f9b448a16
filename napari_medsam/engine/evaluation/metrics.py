"""How near a mask is to the truth: Dice and the normalised surface distance of the CVPR-2025 challenge."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import Index3, Vec3

NSD_TOLERANCE = 2.0
"""Millimetres by which a surface may be off and still count (CVPR-2025 interactive challenge)."""

NSD_MIN_DICE = 0.2
"""Up to this Dice the challenge counts the surface as missed altogether."""


def dice(truth: Region, mask: Region) -> float:
    """Dice coefficient of two masks, in [0, 1]; nan when both are empty."""
    total = truth.count + mask.count
    if total == 0:
        return float("nan")
    shared = np.count_nonzero(truth.inside(mask.lower, mask.upper) & mask.voxels)
    return 2.0 * int(shared) / total


def nsd(truth: Region, mask: Region, spacing: Vec3) -> float:
    """Normalised surface distance by the CVPR-2025 protocol.

    The share of the two surfaces, by area, that lies within `NSD_TOLERANCE` of the other; 0 when the Dice is not above
    `NSD_MIN_DICE`. Computed by MONAI, whose surface elements are those of DeepMind's surface-distance.

    Parameters
    ----------
    truth, mask : Region
        The two masks.
    spacing : tuple of float
        Millimetres between voxel centres along ``(z, y, x)``.

    Returns
    -------
    float
        In [0, 1].
    """
    if not dice(truth, mask) > NSD_MIN_DICE:
        return 0.0
    # Imported here because MONAI takes seconds to import and a session that shows Dice alone must not wait for it.
    from monai.metrics.surface_dice import compute_surface_dice

    lower, upper = union_box(truth, mask, margin=1)
    pair = [torch.from_numpy(region.inside(lower, upper))[None, None] for region in (mask, truth)]
    with warnings.catch_warnings():
        # MONAI warns about a deprecated argument that only MONAI passes here.
        warnings.filterwarnings("ignore", message="monai.metrics.utils get_mask_edges", category=FutureWarning)
        score = compute_surface_dice(
            pair[0], pair[1], [NSD_TOLERANCE], include_background=True, spacing=list(spacing), use_subvoxels=True
        )
    return float(score)


def union_box(first: Region, second: Region, margin: int = 0) -> tuple[Index3, Index3]:
    """Smallest box ``[lower, upper)`` that holds both masks, at least one of them not empty, grown by ``margin``."""
    used = [region for region in (first, second) if region.voxels.size]
    z, y, x = (np.min([region.lower for region in used], axis=0) - margin).tolist()
    lower: Index3 = (z, y, x)
    z, y, x = (np.max([region.upper for region in used], axis=0) + margin).tolist()
    return lower, (z, y, x)
