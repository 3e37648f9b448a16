"""How far each cell of a patch lies from what the user marked, along ways on which the image hardly changes.

What a box holds but what goes on outside it is not the object; what hangs together with a click mostly is. A small
network that must find such ways by convolutions does not: it is told (geodesic distance as a prompt: Criminisi, Sharp,
Blake 2008, GeoS; Wang et al. 2018, DeepIGeoS, arXiv 1707.00652).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

STEP = 0.03
"""Cost of a cell's length beside the change of intensity along it, in standard deviations of the patch."""

_SWEEPS = 3  # there and back along each axis; more shorten only ways that wind through noise
_FAR = 1e4


def closeness(image: Tensor, seeds: Tensor, field: Tensor) -> Tensor:
    """How close cells lie to the seeds, geodesically.

    Parameters
    ----------
    image : Tensor
        Intensities ``(n, 1, z, y, x)`` float32, of a standard deviation near one.
    seeds : Tensor
        Bool, the cells to start from.
    field : Tensor
        Bool, cells in the field of view: no way leads through others.

    Returns
    -------
    Tensor
        Float32 in [0, 1]: ``exp(-d / mean d)`` for the distance ``d``; one on the seeds, zero in patches without any.
    """
    seeds = seeds & field
    found = torch.zeros_like(image)
    some = seeds.flatten(1).any(1)
    if some.any():
        distance = _distance(_smoothed(image[some]), seeds[some], field[some])
        asked = ((distance > 0) & (distance < _FAR)).float()
        mean = (distance * asked).sum((2, 3, 4), keepdim=True) / asked.sum((2, 3, 4), keepdim=True).clamp_min(1)
        found[some] = torch.exp(-distance / mean.clamp_min(1e-6))
    return found


def _distance(image: Tensor, seeds: Tensor, field: Tensor, sweeps: int = _SWEEPS) -> Tensor:
    """Least sum of costs from a seed; raster scan (Toivanen 1996), axis by axis."""
    distance = torch.where(seeds, 0.0, _FAR)
    axes = [axis for axis in (2, 3, 4) if image.shape[axis] > 1]
    costs = {}
    for axis in axes:
        cost = image.diff(dim=axis).abs_() + STEP
        size = image.shape[axis] - 1
        passable = field.narrow(axis, 0, size) & field.narrow(axis, 1, size)
        costs[axis] = cost.masked_fill_(~passable, _FAR).movedim(axis, 0).contiguous()
    for _ in range(sweeps):
        for axis in axes:
            planes = distance.movedim(axis, 0).contiguous()
            costs_here, by_way = costs[axis], torch.empty_like(planes[0])
            for k in range(1, len(planes)):
                torch.add(planes[k - 1], costs_here[k - 1], out=by_way)
                torch.minimum(planes[k], by_way, out=planes[k])
            for k in range(len(planes) - 2, -1, -1):
                torch.add(planes[k + 1], costs_here[k], out=by_way)
                torch.minimum(planes[k], by_way, out=planes[k])
            distance = planes.movedim(0, axis)
    return distance.contiguous()


def _smoothed(image: Tensor) -> Tensor:
    """A quarter, a half, a quarter along each axis: noise makes every way long."""
    for axis in (2, 3, 4):
        if image.shape[axis] > 1:
            room = [1 if a == axis else 0 for a in (4, 4, 3, 3, 2, 2)]
            wide, size = functional.pad(image, room, mode="replicate"), image.shape[axis]
            image = 0.5 * image + 0.25 * (wide.narrow(axis, 0, size) + wide.narrow(axis, 2, size))
    return image
