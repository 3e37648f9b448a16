"""Pictures of a segmentation without a window: three orthogonal slices with the outline of the mask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from napari_medsam.engine.io import write_aside
from napari_medsam.engine.prompts import Box, Point, Prompt
from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import Index3, Volume

# Okabe and Ito's vermilion, green and sky blue, told apart by colour-blind readers too.
_OUTLINE, _POSITIVE, _NEGATIVE = (213, 94, 0), (0, 158, 115), (86, 180, 233)
_SIDE = 380
_CT_WINDOW = (-160.0, 240.0)


def write_picture(
    path: Path, volume: Volume, mask: Region, prompts: Sequence[Prompt], centre: Index3, caption: str
) -> None:
    """Draw the axial, coronal and sagittal slice through a voxel, seen as radiologists do, with outline and prompts.

    Parameters
    ----------
    path : pathlib.Path
        PNG file to write.
    volume : Volume
        The grey image.
    mask : Region
        Outlined where a slice cuts it.
    prompts : sequence of Prompt
        Boxes and points; drawn where a slice meets them.
    centre : tuple of int
        Voxel ``(z, y, x)`` the slices go through.
    caption : str
        A line under the slices.

    Raises
    ------
    SaveError
        If the file cannot be written.
    """
    # Axes of the patient instead of those of the file: left, back, head.
    turn = nib.orientations.io_orientation(volume.affine)

    def turned(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return np.asarray(nib.orientations.apply_orientation(array, turn))

    grey = turned(_windowed(volume))
    inside = turned(mask.full(volume.shape))
    marks = [(turned(_painted(prompt, volume.shape)), _colour(prompt)) for prompt in prompts]
    spacing = np.empty(3)
    spacing[turn[:, 0].astype(int)] = volume.spacing
    pick = np.zeros(volume.shape, dtype=bool)
    pick[centre] = True
    at = np.argwhere(turned(pick))[0]
    panels = [_panel(grey, inside, marks, spacing, at, axis) for axis in (2, 1, 0)]
    height = max(panel.height for panel in panels) + 26
    sheet = Image.new("RGB", (sum(panel.width for panel in panels) + 8, height), "black")
    left = 0
    for panel in panels:
        sheet.paste(panel, (left, 0))
        left += panel.width + 4
    ImageDraw.Draw(sheet).text((6, height - 21), caption, fill="white", font=ImageFont.load_default(14))
    with write_aside(path) as aside:
        sheet.save(aside, format="PNG")


def _panel(
    grey: npt.NDArray[np.generic],
    inside: npt.NDArray[np.generic],
    marks: Sequence[tuple[npt.NDArray[np.generic], tuple[int, int, int]]],
    spacing: npt.NDArray[np.float64],
    at: npt.NDArray[np.int_],
    axis: int,
) -> Image.Image:
    def cut(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        plane: npt.NDArray[np.generic] = np.take(array, at[axis], axis=axis).T
        # Head up in the upright slices; front up and the patient's right on the left in the axial one.
        return plane if axis == 2 else plane[::-1]

    millimetres = np.delete(spacing * grey.shape, axis)
    width, height = np.maximum(np.rint(millimetres * _SIDE / millimetres.max()), 1).astype(int).tolist()
    picture = Image.fromarray(cut(grey)).resize((width, height), Image.Resampling.BILINEAR).convert("RGB")
    pixels = np.array(picture)
    for array, colour, thickness in ((inside, _OUTLINE, 2), *((mark, colour, 2) for mark, colour in marks)):
        mask = Image.fromarray(cut(array).astype(np.uint8) * 255).resize((width, height), Image.Resampling.NEAREST)
        area = np.array(mask) > 0
        pixels[area & ~ndimage.binary_erosion(area, np.ones((3, 3)), iterations=thickness)] = colour
    return Image.fromarray(pixels)


def _windowed(volume: Volume) -> npt.NDArray[np.uint8]:
    data = volume.data.astype(np.float32)
    low, high = _CT_WINDOW if volume.modality == "CT" else np.nanpercentile(data[np.isfinite(data)], (0.5, 99.5))
    scaled = np.clip((data - low) / max(float(high - low), 1e-6), 0, 1)
    return np.asarray(np.nan_to_num(scaled) * 255).astype(np.uint8)


def _painted(prompt: Prompt, shape: Index3) -> npt.NDArray[np.bool_]:
    if isinstance(prompt, Box):
        return prompt.region(shape).full(shape)
    out = np.zeros(shape, dtype=bool)
    if isinstance(prompt, Point):
        # Five voxels wide, or one cannot see it.
        out[tuple(slice(max(v - 2, 0), v + 3) for v in prompt.voxel)] = True
    return out


def _colour(prompt: Prompt) -> tuple[int, int, int]:
    return _POSITIVE if prompt.positive else _NEGATIVE
