"""What the bundled network sees: one patch as input channels, the same in training and in use.

Beside the image and the drawn prompts, channels say what the prompts tell about intensities, so that a small network
need not learn statistics: the image in a window around the intensities inside the prompt, and the log ratio of the
intensity histograms inside and outside (the appearance term of GrabCut, Rother et al. 2004, with histograms). Both are
there twice. First the middle of the box, or the mask so far, stands for the object. That is wrong for a rib or a
crescent, so the second time it is what lies farthest from all outside the box along ways through the image, and what
lies close to the marks (`geodesic`); these two distances are channels too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from napari_medsam.engine.segmenters.compact.geodesic import closeness

IMAGE, FOCUS, LIKELIHOOD, BOX, ELLIPSOID, POSITIVE, NEGATIVE, PREVIOUS = range(8)
OUTSIDE, INSIDE, GEODESIC_FOCUS, GEODESIC_LIKELIHOOD = range(8, 12)
CHANNELS = 12

CLICK_SIGMA = 2.0
"""Standard deviation of a click's spot in patch cells; below 1.6 of 64 clicks were hardly obeyed, 2.2 were."""

_MARKED = 0.9  # of a spot's height: its middle cell
_DEPTH_POWER = 6
"""How much more a cell of the box speaks for the object the farther it lies from all outside the box.

At 2 a thin object in a large box is outvoted by the rest of it; beyond 8 the noise of the farthest cells decides.
"""

_BINS = 32
_WINDOW = 4.0  # the focus window reaches this many standard deviations of the prompted intensities to either side


@dataclass
class PatchPrompts:
    """Prompts drawn on a batch of patches, each ``(n, 1, z, y, x)`` float in [0, 1].

    Parameters
    ----------
    box : Tensor
        One inside the box, zero outside; all zero where there is none.
    positive, negative : Tensor
        Spots of clicks and scribbles (see `draw_spot`), insides of lassos.
    previous : Tensor
        The mask before the newest prompts; all zero at first.
    field : Tensor
        One in the field of view, zero where the patch reaches beyond the image.
    """

    box: Tensor
    positive: Tensor
    negative: Tensor
    previous: Tensor
    field: Tensor

    @classmethod
    def stacked(cls, several: Sequence[PatchPrompts], device: torch.device) -> PatchPrompts:
        """Those of several batches in one, on a device."""
        return cls(*(torch.cat([getattr(p, f.name) for p in several]).to(device) for f in fields(cls)))


def build_channels(image: Tensor, prompts: PatchPrompts) -> Tensor:
    """Input of the network.

    Parameters
    ----------
    image : Tensor
        Intensities ``(n, 1, z, y, x)`` float32, any scale.
    prompts : PatchPrompts
        Prompts on the same grid.

    Returns
    -------
    Tensor
        ``(n, CHANNELS, z, y, x)`` float32.
    """
    ellipsoid = ellipsoid_in(prompts.box)
    whole_std, whole_mean = torch.std_mean(image, dim=(2, 3, 4), keepdim=True)
    normalised = ((image - whole_mean) / (whole_std + 1e-6)).clamp(-4, 4)
    # A click on a flat spot has no spread of its own; a tenth of the patch's keeps noise from filling the window.
    least = 0.1 * whole_std + 1e-6
    field = prompts.field > 0.5
    boxed = prompts.box.amax(dim=(2, 3, 4), keepdim=True) > 0.5
    beyond = boxed & (prompts.box < 0.5)
    outside = closeness(normalised, beyond | (prompts.negative > _MARKED), field)
    inside = closeness(normalised, prompts.positive > _MARKED, field)
    return torch.cat(
        [
            normalised,
            *_appearance(image, *_evidence(prompts, ellipsoid, boxed), least),
            prompts.box,
            ellipsoid,
            prompts.positive,
            prompts.negative,
            prompts.previous,
            outside,
            inside,
            *_appearance(image, *_geodesic_evidence(prompts, outside, inside, boxed), least),
        ],
        dim=1,
    )


def ellipsoid_in(box: Tensor) -> Tensor:
    """Signed depth in the ellipsoid that touches the box: 1 at its centre, 0 on its surface, -1 far outside.

    All zero where there is no box.
    """
    radius = torch.zeros_like(box)
    for axis in (2, 3, 4):
        others = [a for a in (2, 3, 4) if a != axis]
        profile = (box.amax(dim=others, keepdim=True) > 0.5).float()
        if profile.shape[axis] == 1:
            continue
        shape = [1] * 5
        shape[axis] = -1
        cells = torch.arange(profile.shape[axis], device=box.device, dtype=box.dtype).reshape(shape)
        size = profile.sum(dim=axis, keepdim=True).clamp_min(1)
        centre = (profile * cells).sum(dim=axis, keepdim=True) / size
        radius = radius + ((cells - centre) / (size / 2)) ** 2
    present = (box.amax(dim=(1, 2, 3, 4), keepdim=True) > 0.5).float()
    return (1 - radius.sqrt()).clamp(-1, 1) * present


def draw_spot(canvas: Tensor, centre: tuple[float, float, float], sigma: float = CLICK_SIGMA) -> None:
    """Draw a click in place on ``canvas`` ``(z, y, x)``: a Gaussian of height 1; where two meet the brighter stays."""
    profiles = [
        torch.exp(-((torch.arange(n, dtype=canvas.dtype, device=canvas.device) - c) ** 2) / (2 * sigma**2))
        for n, c in zip(canvas.shape, centre, strict=True)
    ]
    spot = profiles[0][:, None, None] * profiles[1][None, :, None] * profiles[2][None, None, :]
    torch.maximum(canvas, spot, out=canvas)


def _appearance(image: Tensor, inside: Tensor, outside: Tensor, least: Tensor) -> tuple[Tensor, Tensor]:
    """The image in a window around the intensities inside, and their log ratio inside and outside, by weights."""
    mean = _weighted_mean(image, inside)
    spread = _weighted_mean((image - mean) ** 2, inside).sqrt().maximum(least)
    focus = ((image - mean) / (_WINDOW * spread)).clamp(-1, 1)
    return focus, _log_ratio(focus, inside, outside)


def _share(weight: Tensor) -> Tensor:
    return weight / weight.sum(dim=(2, 3, 4), keepdim=True).clamp_min(1e-6)


def _evidence(prompts: PatchPrompts, ellipsoid: Tensor, boxed: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of voxels that speak for the intensities inside and outside the object; ``boxed``: which have a box."""
    core = ellipsoid.clamp_min(0) ** 0.5
    has_previous = (prompts.previous.amax(dim=(2, 3, 4), keepdim=True) > 0.5).float()
    body = has_previous * prompts.previous + (1 - has_previous) * core
    rest = torch.where(boxed, 1 - prompts.box, 1 - prompts.previous)
    return _share(body) + _share(prompts.positive), _share(rest) + _share(prompts.negative)


def _geodesic_evidence(prompts: PatchPrompts, outside: Tensor, inside: Tensor, boxed: Tensor) -> tuple[Tensor, Tensor]:
    """The same by how close a cell lies to what is known to be outside, and to what is marked as inside."""
    body = prompts.box * (1 - outside) ** _DEPTH_POWER
    rest = torch.where(boxed, 1 - prompts.box, 1 - inside)
    return _share(body) + _share(inside**4), _share(rest) + _share(prompts.negative)


def _weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    total = weight.sum(dim=(2, 3, 4), keepdim=True)
    mean = (values * weight).sum(dim=(2, 3, 4), keepdim=True) / total.clamp_min(1e-6)
    return torch.where(total > 0, mean, values.mean(dim=(2, 3, 4), keepdim=True))


def _log_ratio(focus: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    """Squashed log ratio of the smoothed histograms of ``focus`` under the two weights, looked up at every voxel."""
    n = focus.shape[0]
    index = ((focus + 1) * (0.5 * (_BINS - 1))).round().long().reshape(n, -1)
    offset = index + torch.arange(n, device=focus.device)[:, None] * _BINS
    kernel = focus.new_tensor([[[0.06, 0.24, 0.4, 0.24, 0.06]]])

    def histogram(weight: Tensor) -> Tensor:
        counts = torch.zeros(n * _BINS, device=focus.device, dtype=focus.dtype)
        counts.scatter_add_(0, offset.reshape(-1), weight.reshape(-1))
        smooth = functional.conv1d(counts.reshape(n, 1, _BINS), kernel, padding=2)[:, 0]
        return smooth / smooth.sum(dim=1, keepdim=True).clamp_min(1e-6)

    ratio = torch.log((histogram(inside) + 0.003) / (histogram(outside) + 0.003))
    return torch.tanh(0.5 * torch.gather(ratio, 1, index)).reshape(focus.shape)
