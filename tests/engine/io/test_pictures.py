"""Pictures: grey, deep, coloured, transparent, with palettes and pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io import open_labels, open_series, open_volume

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (12, 17), dtype=np.uint8)
DEEP = RNG.integers(0, 65535, (12, 17), dtype=np.uint16)
RGB = RNG.integers(0, 255, (12, 17, 3), dtype=np.uint8)
RGBA = np.dstack([RGB, np.full((12, 17), 7, np.uint8)])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF"])
@pytest.mark.parametrize("pixels", [GREY, DEEP, RGB, RGBA, GREY > 99], ids=["grey", "deep", "rgb", "rgba", "bits"])
def test_pixels_are_kept(tmp_path: Path, suffix: str, pixels: np.ndarray) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(pixels).save(path)
    volume = open_volume(path)
    expected = (
        pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels[..., :3] if pixels.ndim == 3 else pixels
    )
    np.testing.assert_array_equal(volume.data, expected[None])
    assert volume.data.dtype == expected.dtype
    assert volume.shape == (1, 12, 17)
    assert volume.spacing == (1, 1, 1)


def test_floating_point_pixels_are_kept(tmp_path: Path) -> None:
    pixels = RNG.random((12, 17)).astype(np.float32)
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(open_volume(tmp_path / "a.tif").data[0], pixels)


def test_a_jpeg_opens(tmp_path: Path) -> None:
    smooth = np.tile(np.linspace(0, 255, 64), (64, 1)).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(open_volume(tmp_path / "a.jpg").data[0].astype(int) - smooth).max() < 8


def test_a_palette_is_colours_to_an_image_and_numbers_to_labels(tmp_path: Path) -> None:
    picture = Image.fromarray(GREY % 3)
    picture.putpalette([0, 0, 0, 200, 0, 0, 0, 100, 0])
    picture.save(tmp_path / "a.png")
    assert picture.mode == "P"
    np.testing.assert_array_equal(open_labels(tmp_path / "a.png")[0], GREY % 3)
    colours = np.array([[0, 0, 0], [200, 0, 0], [0, 100, 0]])
    np.testing.assert_array_equal(open_volume(tmp_path / "a.png").data[0], colours[GREY % 3])


def test_pages_are_frames(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY + i) for i in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    series = open_series(tmp_path / "a.tif")
    assert len(series) == 3
    np.testing.assert_array_equal(series[2].data[0], GREY + 2)
    np.testing.assert_array_equal(open_volume(tmp_path / "a.tif", frame=1).data[0], GREY + 1)
    with pytest.raises(ImageError, match="series of 3 volumes"):
        open_volume(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="has no volume 3"):
        open_volume(tmp_path / "a.tif", frame=3)


def test_grey_written_as_colour_is_a_label_map_and_colour_is_not(tmp_path: Path) -> None:
    Image.fromarray(np.repeat(GREY[..., None], 3, axis=2)).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(open_labels(tmp_path / "grey.png")[0], GREY)
    Image.fromarray(RGB).save(tmp_path / "colour.png")
    with pytest.raises(ImageError, match="is a colour picture, not a label map"):
        open_labels(tmp_path / "colour.png")
