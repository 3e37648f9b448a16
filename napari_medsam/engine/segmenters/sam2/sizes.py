"""The four sizes of SAM 2 and the configuration each has at an image size.

Numbers are those of the published configurations (``sam2_hiera_{t,s,b+,l}.yaml``, Apache-2.0); SAM 2.0 and 2.1 share
them and differ in two learned parts only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_medsam.engine.errors import WeightsError

if TYPE_CHECKING:
    from transformers import Sam2VideoConfig

Size = Literal["tiny", "small", "base_plus", "large"]
Version = Literal["2.0", "2.1"]

IMAGE_SIZES = (128, 1024)
"""Smallest and largest side of the square image the encoder takes, in pixels."""

_STRIDE = 32


@dataclass(frozen=True)
class Trunk:
    """One Hiera image encoder.

    Parameters
    ----------
    width : int
        Channels of the first stage; each later stage has twice those of the one before.
    heads : int
        Attention heads of the first stage, doubled likewise.
    blocks : tuple of int
        Blocks of each of the four stages.
    global_blocks : tuple of int
        Blocks, counted over all stages, that attend to the whole image.
    windows : tuple of int
        Side of the attention window in each stage, in tokens.
    background : int
        Side of the learned grid of positions, in cells.
    """

    width: int
    heads: int
    blocks: tuple[int, int, int, int]
    global_blocks: tuple[int, int, int]
    windows: tuple[int, int, int, int]
    background: int

    @property
    def widths(self) -> list[int]:
        """Channels of the four stages, the finest first."""
        return [self.width * 2**stage for stage in range(4)]


TRUNKS: dict[Size, Trunk] = {
    "tiny": Trunk(96, 1, (1, 2, 7, 2), (5, 7, 9), (8, 4, 14, 7), 7),
    "small": Trunk(96, 1, (1, 2, 11, 2), (7, 10, 13), (8, 4, 14, 7), 7),
    "base_plus": Trunk(112, 2, (2, 3, 16, 3), (12, 16, 20), (8, 4, 14, 7), 14),
    "large": Trunk(144, 2, (2, 6, 36, 4), (23, 33, 43), (8, 4, 16, 8), 7),
}


def size_of_trunk(width: int, blocks: int) -> Size | None:
    """Name of the size with this first width and this number of blocks in all; None when there is none."""
    for size, trunk in TRUNKS.items():
        if (trunk.width, sum(trunk.blocks)) == (width, blocks):
            return size
    return None


def check_image_size(image_size: int) -> None:
    """Refuse an image size that the encoder cannot take.

    Raises
    ------
    WeightsError
        If it is no multiple of 32 (the windows and the feature pyramid would not meet) or lies outside `IMAGE_SIZES`.
    """
    smallest, largest = IMAGE_SIZES
    if image_size % _STRIDE or not smallest <= image_size <= largest:
        raise WeightsError(
            f"SAM 2 cannot work at an image size of {image_size}: give a multiple of {_STRIDE} from {smallest} to "
            f"{largest} (it was trained at 1024, its medical fine-tunes mostly at 512)."
        )


def sam2_config(size: Size, version: Version, image_size: int) -> Sam2VideoConfig:
    """Configuration of a whole SAM 2 for square images of ``image_size`` pixels.

    No weight depends on the image size; feature maps and positions do.

    Raises
    ------
    WeightsError
        If the encoder cannot take such images.
    """
    # Imported here because it takes seconds.
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VisionConfig
    from transformers.models.sam2_video.configuration_sam2_video import Sam2VideoPromptEncoderConfig

    check_image_size(image_size)
    trunk = TRUNKS[size]
    backbone = Sam2HieraDetConfig(
        hidden_size=trunk.width,
        num_attention_heads=trunk.heads,
        image_size=_square(image_size),
        blocks_per_stage=list(trunk.blocks),
        embed_dim_per_stage=trunk.widths,
        num_attention_heads_per_stage=[trunk.heads * 2**stage for stage in range(4)],
        window_size_per_stage=list(trunk.windows),
        global_attention_blocks=list(trunk.global_blocks),
        window_positional_embedding_background_size=_square(trunk.background),
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=trunk.widths[::-1],
        backbone_feature_sizes=[_square(image_size // stride) for stride in (4, 8, 16)],
    )
    is_newer = version == "2.1"
    return Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(image_size=image_size),
        image_size=image_size,
        memory_attention_rope_feat_sizes=_square(image_size // 16),
        enable_occlusion_spatial_embedding=is_newer,
        enable_temporal_pos_encoding_for_object_pointers=is_newer,
    )


def _square(side: int) -> list[int]:
    return [side, side]


def known_sizes() -> Sequence[Size]:
    """The sizes, the smallest first."""
    return tuple(TRUNKS)
