"""The operations on masks, for NumPy arrays and torch tensors alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import MaskError
from napari_medsam.engine.masks import numpy_masks, orders
from napari_medsam.engine.masks.points import Points, as_indices

if TYPE_CHECKING:
    import torch

Masks = TypeVar("Masks", npt.NDArray[Any], "torch.Tensor")
Corners = tuple[Sequence[int], Sequence[int]]


def fill_holes(
    mask: Masks,
    *,
    dims: int | None = None,
    connectivity: int | None = None,
    background: int | None = None,
    spare: Points | None = None,
    threshold: float | None = None,
    score: float | None = None,
    region: Corners | None = None,
    out: Masks | None = None,
    threads: int | None = None,
) -> Masks:
    """Fill all background that the mask encloses.

    Parameters
    ----------
    mask : numpy.ndarray or torch.Tensor
        Bool or uint8 (foreground is what is not 0), or float32 scores with a ``threshold``. The last ``dims`` axes are
        one mask, all before them a batch. Strides may be any; nothing is copied to make them others.
    dims : int
        2 to take every slice by itself, 3 for volumes. By default 3 from three axes on.
    connectivity : int
        Of the foreground: 4 or 8 in 2D, 6, 18 or 26 in 3D; by default 8 and 26.
    background : int
        Connectivity of the background, and so of holes. By default the dual of the foreground's, without which a closed
        surface would not separate its inside from its outside: 4 for 8, 6 for 18 and 26, 8 for 4, 26 for 6.
    spare : sequence of tuple of int
        Voxels, as indices into ``mask``: a hole with one of them stays open.
    threshold : float
        Scores above it are foreground. NaN is neither foreground nor part of a hole.
    score : float
        Return scores instead of a mask: those given, with this value in the holes.
    region : tuple
        Lower and upper corner of a box of the last axes, upper exclusive: only there anything is looked at or changed,
        so that the time is that of the box. A hole that reaches the box's border stays open.
    out : numpy.ndarray or torch.Tensor
        Where to write the result: like ``mask``, or bool where scores are made a mask. ``mask`` itself for in place.
    threads : int
        At most so many. By default as many as are of use.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``out``, or a new array like ``mask``, bool for scores. Holes become 1; all else stays as it is. Holes are
        background that reaches no border of the mask, as in `scipy.ndimage.binary_fill_holes`.

    Raises
    ------
    MaskError
        If arrays or options cannot be used.
    """
    options: dict[str, Any] = {
        "connectivity": connectivity,
        "background": background,
        "max_size": None,
        "open_border": True,
    }
    options["region"] = _flat(region)
    return _clean("fill_holes", mask, out, dims, options, threshold, score, threads, {"spare": spare})


def fill_holes_up_to(
    mask: Masks,
    size: int,
    *,
    dims: int | None = None,
    connectivity: int | None = None,
    background: int | None = None,
    open_border: bool = True,
    spare: Points | None = None,
    threshold: float | None = None,
    score: float | None = None,
    region: Corners | None = None,
    out: Masks | None = None,
    threads: int | None = None,
) -> Masks:
    """Fill the holes of at most ``size`` voxels.

    Parameters
    ----------
    size : int
        Voxels; pixels in 2D.
    open_border : bool
        Background that reaches the border of the mask is no hole. If False, it is one when it is small enough, as in
        `skimage.morphology.remove_small_holes` and in SAM 2.
    mask, dims, connectivity, background, spare, threshold, score, region, out, threads
        As in `fill_holes`.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        As in `fill_holes`.

    Raises
    ------
    MaskError
        If arrays or options cannot be used.
    """
    options: dict[str, Any] = {
        "connectivity": connectivity,
        "background": background,
        "max_size": size,
        "open_border": open_border,
    }
    options["region"] = _flat(region)
    return _clean("fill_holes", mask, out, dims, options, threshold, score, threads, {"spare": spare})


def fill_holes_as_sam2(
    scores: Masks, size: int = 8, *, threshold: float = 0.0, score: float = 0.1, out: Masks | None = None
) -> Masks:
    """Fill small holes in mask scores exactly as SAM 2 does after its decoder.

    Holes are 8-connected pieces of scores at or below the threshold, of at most ``size`` pixels, at the border too;
    they get the same small positive score.

    Parameters
    ----------
    scores : numpy.ndarray or torch.Tensor
        float32 ``(..., y, x)``. Of any size, where SAM 2 needs even ones.
    size, threshold, score
        SAM 2's video predictor has 8, 0 and 0.1; its image predictor writes 10 above its threshold.
    out : numpy.ndarray or torch.Tensor
        Like ``scores``, or ``scores`` itself.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        Scores.

    Raises
    ------
    MaskError
        If arrays cannot be used.
    """
    return fill_holes_up_to(
        scores, size, dims=2, background=8, open_border=False, threshold=threshold, score=score, out=out
    )


def remove_islands(
    mask: Masks,
    min_size: int,
    *,
    dims: int | None = None,
    connectivity: int | None = None,
    threshold: float | None = None,
    score: float | None = None,
    region: Corners | None = None,
    out: Masks | None = None,
    threads: int | None = None,
) -> Masks:
    """Remove the pieces of fewer than ``min_size`` voxels.

    Parameters
    ----------
    min_size : int
        Voxels; pixels in 2D.
    region : tuple
        As in `fill_holes`. A piece that reaches a border of the box inside the image goes on beyond it as far as anyone
        knows, and stays.
    mask, dims, connectivity, threshold, score, out, threads
        As in `fill_holes`.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        ``out``, or a new array like ``mask``, bool for scores; scores where ``score`` is given. Removed voxels become 0
        or ``score``.

    Raises
    ------
    MaskError
        If arrays or options cannot be used.
    """
    options: dict[str, Any] = {"connectivity": connectivity, "min_size": min_size, "region": _flat(region)}
    return _clean("remove_islands", mask, out, dims, options, threshold, score, threads)


def keep_largest(
    mask: Masks,
    *,
    dims: int | None = None,
    connectivity: int | None = None,
    threshold: float | None = None,
    score: float | None = None,
    out: Masks | None = None,
    threads: int | None = None,
) -> Masks:
    """Keep the largest piece of each mask; of equals, the first in raster order.

    Parameters and result are those of `remove_islands`.

    Raises
    ------
    MaskError
        If arrays or options cannot be used.
    """
    options: dict[str, Any] = {"connectivity": connectivity}
    return _clean("keep_largest", mask, out, dims, options, threshold, score, threads)


def keep_touching(
    mask: Masks,
    points: Points,
    *,
    dims: int | None = None,
    connectivity: int | None = None,
    threshold: float | None = None,
    score: float | None = None,
    region: Corners | None = None,
    out: Masks | None = None,
    threads: int | None = None,
) -> Masks:
    """Keep the pieces that hold one of the points, and nothing else.

    Parameters
    ----------
    points : sequence of tuple of int
        Indices into ``mask``, the axes of a batch among them.
    mask, dims, connectivity, threshold, score, region, out, threads
        As in `remove_islands`.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        As in `remove_islands`.

    Raises
    ------
    MaskError
        If arrays, points or options cannot be used.
    """
    options: dict[str, Any] = {"connectivity": connectivity, "region": _flat(region)}
    return _clean("keep_touching", mask, out, dims, options, threshold, score, threads, {"points": points})


def label(
    mask: Masks,
    *,
    dims: int | None = None,
    connectivity: int | None = None,
    threshold: float | None = None,
    out: Masks | None = None,
    threads: int | None = None,
) -> tuple[Masks, Masks]:
    """Number the pieces of each mask.

    Parameters
    ----------
    out : numpy.ndarray or torch.Tensor
        int32, of the mask's shape.
    mask, dims, connectivity, threshold, threads
        As in `fill_holes`.

    Returns
    -------
    labels : numpy.ndarray or torch.Tensor
        int32: 1, 2, … in raster order of the pieces' first voxels, anew in each mask of a batch; 0 in the background.
    counts : numpy.ndarray or torch.Tensor
        int32, of the batch's shape: how many pieces each mask has.

    Raises
    ------
    MaskError
        If arrays or options cannot be used, or a mask has more pieces than int32 counts.
    """
    options: dict[str, Any] = {
        "dims": _dims(mask, dims),
        "connectivity": connectivity,
        "threshold": threshold,
        "threads": threads,
    }
    if isinstance(mask, np.ndarray):
        return numpy_masks.label(mask, orders.label(**options), out)
    from napari_medsam.engine.masks import tensors

    return tensors.label(mask, out, options)


def _clean(
    name: str,
    mask: Masks,
    out: Masks | None,
    dims: int | None,
    options: dict[str, Any],
    threshold: float | None,
    score: float | None,
    threads: int | None,
    points: dict[str, Points | None] | None = None,
) -> Masks:
    options |= {"dims": _dims(mask, dims), "threshold": threshold, "score": score, "threads": threads}
    points = points or {}
    if isinstance(mask, np.ndarray):
        for key, given in points.items():
            options[key] = None if given is None else as_indices(given, mask.shape)
        return numpy_masks.clean(mask, getattr(orders, name)(**options), out)
    from napari_medsam.engine.masks import tensors

    return tensors.clean(name, mask, out, options, points)


def _dims(mask: Any, dims: int | None) -> int:
    if dims is not None:
        return dims
    return 3 if getattr(mask, "ndim", 0) >= 3 else 2


def _flat(region: Corners | None) -> list[int] | None:
    if region is None:
        return None
    try:
        lower, upper = region
        numbers = [int(v) for v in (*lower, *upper)]
    except (TypeError, ValueError):
        numbers, lower, upper = [], (), (0,)
    if len(lower) != len(upper):
        raise MaskError("A region is (lower, upper), two corners with as many whole numbers.")
    return numbers
