"""The bundled network: a small prompt-conditioned U-Net in 2D and in 3D, the second inflated from the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from napari_medsam.engine.segmenters.compact.channels import CHANNELS, NEGATIVE, POSITIVE

WIDTHS = (48, 96, 128, 192)
"""Feature channels at 1/2, 1/4, 1/8 and 1/16 of the patch's resolution."""

FINE = 8
"""Feature channels at full resolution; few, because on a CPU full-resolution layers cost the most time."""

OBEY = 6.0
"""Logit added where the user clicked (subtracted for a negative click): a click must win against the image."""


class Block(nn.Module):
    """Two in-plane convolutions with a residual; in 3D a through-plane convolution between them.

    The 3D block starts as the 2D one applied slice by slice (its through-plane convolution is zero), so that hours of
    3D training start from what minutes of 2D training learnt (inflation: Carreira, Zisserman 2017, arXiv 1705.07750).
    """

    def __init__(self, inputs: int, outputs: int, dims: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(inputs, outputs, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.first_norm = nn.GroupNorm(8, outputs)
        self.through = nn.Conv3d(outputs, outputs, (3, 1, 1), padding=(1, 0, 0)) if dims == 3 else None
        self.second = nn.Conv3d(outputs, outputs, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.second_norm = nn.GroupNorm(8, outputs)
        self.shortcut = nn.Conv3d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        if self.through is not None:
            nn.init.zeros_(self.through.weight)
            nn.init.zeros_(self.through.bias)  # type: ignore[arg-type]  # Conv3d types its bias as optional

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.silu(self.first_norm(self.first(x)), inplace=not self.training)
        if self.through is not None:
            hidden = hidden + self.through(hidden)
        hidden = self.second_norm(self.second(hidden))
        return functional.silu(hidden + self.shortcut(x), inplace=not self.training)


class Deeper(nn.Module):
    """Two more convolutions with a residual, which begin as nothing: a trained network can be given more of them.

    Normalised before each convolution (He et al. 2016, arXiv 1603.05027), so that the sum passes them unchanged.
    """

    def __init__(self, channels: int, dims: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.first = nn.Conv3d(channels, channels, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.second_norm = nn.GroupNorm(8, channels)
        self.through = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0)) if dims == 3 else None
        self.second = nn.Conv3d(channels, channels, (1, 3, 3), padding=(0, 1, 1))
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]  # Conv3d types its bias as optional

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.silu(self.norm(x))
        hidden = functional.silu(self.second_norm(self.first(hidden)))
        if self.through is not None:
            hidden = hidden + self.through(hidden)
        answer: Tensor = x + self.second(hidden)
        return answer


class PromptUNet(nn.Module):
    """U-Net from image and prompt channels to mask logits.

    The body works at half resolution; one thin branch at full resolution brings the outline back to the voxel.

    Parameters
    ----------
    dims : int
        2 for single slices (depth 1), 3 for patches.
    widths : sequence of int
        Feature channels by level; each level halves the resolution.
    deeper : sequence of int
        How many `Deeper` follow the block of each level on the way down.
    """

    def __init__(self, dims: int, widths: Sequence[int] = WIDTHS, deeper: Sequence[int] = (0, 0, 0, 0)) -> None:
        super().__init__()
        self.dims = dims
        self.widths = tuple(widths)
        self.scale = (2, 2, 2) if dims == 3 else (1, 2, 2)
        self.stem = nn.Conv3d(CHANNELS, widths[0], self.scale, stride=self.scale)
        self.down = nn.ModuleList(Block(i, o, dims) for i, o in zip((widths[0], *widths[:-1]), widths, strict=True))
        self.deeper = nn.ModuleList(
            nn.Sequential(*(Deeper(width, dims) for _ in range(count)))
            for width, count in zip(widths, deeper, strict=True)
        )
        deep_to_fine = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.lift = nn.ModuleList(nn.Conv3d(deep, fine, 1) for deep, fine in deep_to_fine)
        self.up = nn.ModuleList(Block(fine, fine, dims) for _, fine in deep_to_fine)
        self.detail = nn.Conv3d(CHANNELS, FINE, (1, 3, 3), padding=(0, 1, 1))
        self.lift_detail = nn.Conv3d(widths[0], FINE, 1)
        self.mix = Block(FINE, FINE, dims)
        self.head = nn.Conv3d(FINE, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Mask logits ``(n, 1, z, y, x)`` of input channels ``(n, CHANNELS, z, y, x)``; sides divisible by 16."""
        obey = OBEY * (x[:, POSITIVE : POSITIVE + 1] - x[:, NEGATIVE : NEGATIVE + 1])
        detail = self.detail(x)
        x = self.stem(x)
        skips: list[Tensor] = []
        for level, (block, deeper) in enumerate(zip(self.down, self.deeper, strict=True)):
            x = deeper(block(functional.max_pool3d(x, self.scale) if level else x))
            skips.append(x)
        for lift, block, skip in zip(self.lift, self.up, skips[-2::-1], strict=True):
            x = block(self._upsample(lift(x)) + skip)
        logits: Tensor = self.head(self.mix(self._upsample(self.lift_detail(x)) + detail))
        return logits + obey

    def _upsample(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=self.scale, mode="nearest")


def deeper_of(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """How many `Deeper` the weights of a `PromptUNet` hold by level."""
    found = {tuple(key.split(".")[1:3]) for key in state if key.startswith("deeper.")}
    return tuple(sum(level == str(k) for level, _ in found) for k in range(len(WIDTHS)))


def inflate(flat: PromptUNet) -> PromptUNet:
    """A 3D network that treats slices as ``flat`` does, ready to be trained through the planes."""
    deep = PromptUNet(3, flat.widths)
    state = flat.state_dict()
    # The stem halves z too in 3D: it begins as the mean of two slices.
    state["stem.weight"] = state["stem.weight"].repeat(1, 1, 2, 1, 1) / 2
    missing, unexpected = deep.load_state_dict(state, strict=False)
    if unexpected or any(".through." not in key for key in missing):
        raise ValueError("only a 2D network of the same widths can be inflated")
    return deep
