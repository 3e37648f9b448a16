"""The operations as orders, from plain values: what the NumPy face and the torch operators share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import MaskError
from napari_medsam.engine.masks.arrays import Box
from napari_medsam.engine.masks.order import Order, whole_number
from napari_medsam.engine.masks.plan import Rule, component_connectivity


def fill_holes(
    *,
    dims: int,
    connectivity: int | None,
    background: int | None,
    max_size: int | None,
    open_border: bool,
    threshold: float | None,
    score: float | None,
    spare: npt.NDArray[np.int64] | None,
    region: Sequence[int] | None,
    threads: int | None,
) -> Order:
    """Fill background components: all of them, or those of at most ``max_size`` voxels."""
    return Order(
        background=True,
        dims=dims,
        connectivity=component_connectivity(connectivity, background, dims, of_background=True),
        rule=Rule.ALL if max_size is None else Rule.AT_MOST,
        size=0 if max_size is None else whole_number(max_size, "area or volume of a hole"),
        open_border=open_border,
        threshold=threshold,
        score=score,
        points=spare,
        region=_box(region),
        threads=threads,
    )


def remove_islands(
    *,
    dims: int,
    connectivity: int | None,
    min_size: int,
    threshold: float | None,
    score: float | None,
    region: Sequence[int] | None,
    threads: int | None,
) -> Order:
    """Remove foreground components of fewer than ``min_size`` voxels."""
    return Order(
        background=False,
        dims=dims,
        connectivity=component_connectivity(connectivity, None, dims, of_background=False),
        rule=Rule.FEWER_THAN,
        size=whole_number(min_size, "size of an island"),
        threshold=threshold,
        score=score,
        region=_box(region),
        threads=threads,
    )


def keep_largest(
    *, dims: int, connectivity: int | None, threshold: float | None, score: float | None, threads: int | None
) -> Order:
    """Remove all foreground components but the largest of each mask."""
    return Order(
        background=False,
        dims=dims,
        connectivity=component_connectivity(connectivity, None, dims, of_background=False),
        rule=Rule.ALL_BUT_LARGEST,
        threshold=threshold,
        score=score,
        threads=threads,
    )


def keep_touching(
    *,
    dims: int,
    connectivity: int | None,
    points: npt.NDArray[np.int64],
    threshold: float | None,
    score: float | None,
    region: Sequence[int] | None,
    threads: int | None,
) -> Order:
    """Remove all foreground components without one of the points."""
    return Order(
        background=False,
        dims=dims,
        connectivity=component_connectivity(connectivity, None, dims, of_background=False),
        rule=Rule.UNTOUCHED,
        threshold=threshold,
        score=score,
        points=points,
        region=_box(region),
        threads=threads,
    )


def label(*, dims: int, connectivity: int | None, threshold: float | None, threads: int | None) -> Order:
    """Number foreground components."""
    return Order(
        background=False,
        dims=dims,
        connectivity=component_connectivity(connectivity, None, dims, of_background=False),
        rule=Rule.ALL,
        threshold=threshold,
        threads=threads,
    )


def _box(region: Sequence[int] | None) -> Box | None:
    if region is None:
        return None
    if len(region) % 2:
        raise MaskError("A region is (lower, upper), two corners with as many indices.")
    half = len(region) // 2
    return tuple(region[:half]), tuple(region[half:])
