"""Windows, places in the model's pixels, crops, and masks there and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.sam2.everything import distinct
from napari_medsam.engine.segmenters.sam2.slices import SliceView, crop_around
from napari_medsam.engine.segmenters.sam2.windowing import EIGHT_BIT, SOFT_TISSUE, window_for
from napari_medsam.engine.volume import Volume
from napari_medsam.engine.window import Window

SHAPE = (5, 24, 36)
GREY = Window(0.0, 1.0)


def blank(**options: object) -> Volume:
    return Volume(np.zeros(SHAPE, np.float32), **options)  # type: ignore[arg-type]


def test_the_window_follows_the_modality() -> None:
    random = np.random.default_rng(0)
    hounsfield = random.uniform(-1000, 2000, SHAPE).astype(np.float32)
    assert window_for(Volume(hounsfield, modality="CT")) == SOFT_TISSUE
    assert window_for(Volume(hounsfield)) == SOFT_TISSUE
    assert window_for(Volume(hounsfield, modality="MR")) != SOFT_TISSUE
    assert window_for(Volume((hounsfield > 0).astype(np.uint8))) == EIGHT_BIT
    assert window_for(Volume(random.integers(0, 255, (1, 9, 9, 3)).astype(np.uint8))) == EIGHT_BIT


def test_the_window_of_mr_leaves_out_the_background_and_the_brightest() -> None:
    data = np.zeros((10, 50, 50), np.float32)
    data[2:8] = np.linspace(100, 200, data[2:8].size).reshape(data[2:8].shape)
    data[3, 0, 0] = 1e6
    window = window_for(Volume(data))
    assert 100 < window.low < 101
    assert 199 < window.high < 200.1


def test_a_window_cuts_off_and_blackens_what_is_no_number() -> None:
    shown = Window(10.0, 20.0).apply(np.array([0.0, 10.0, 15.0, 20.0, 99.0, np.nan]))
    assert shown.tolist() == [0.0, 0.0, 0.5, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_bright_voxel_is_seen_where_its_place_says(axis: int) -> None:
    volume = blank()
    voxel = (2, 9, 30)
    volume.data[voxel] = 1.0
    view = SliceView(volume, GREY, 256, axis)
    seen = view.pixels(voxel[axis])[0, 0]
    x, y = view.places([voxel])[0].tolist()
    rows, columns = torch.nonzero(seen > seen.max() * 0.9, as_tuple=True)
    assert abs(float(rows.float().mean()) - y) < 1
    assert abs(float(columns.float().mean()) - x) < 1


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("is_cropped", [False, True])
def test_masks_go_to_the_model_and_back(axis: int, is_cropped: bool) -> None:
    region = Region((1, 8, 10), np.ones((3, 9, 12), dtype=bool))
    crop = crop_around([region], blank(), axis) if is_cropped else None
    view = SliceView(blank(), GREY, 256, axis, crop)
    index = region.lower[axis] + 1
    mask = view.mask_of(region, index)
    assert mask.shape == view.shape
    low, high = view.box_of(index)
    assert np.array_equal(view.region_of(mask, index).full(SHAPE), Region(low, region.inside(low, high)).full(SHAPE))
    logits = view.to_model(mask)[None, None] * 20 - 10
    assert np.array_equal(view.from_model(logits), mask)


def test_what_the_model_sees_names_the_cache() -> None:
    keys = {
        SliceView(blank(), GREY, 256, 0).key,
        SliceView(blank(), GREY, 512, 0).key,
        SliceView(blank(), GREY, 256, 1).key,
        SliceView(blank(), Window(0.0, 2.0), 256, 0).key,
        SliceView(blank(), GREY, 256, 0, ((0, 10), (0, 10))).key,
        SliceView(Volume(np.ones(SHAPE, np.float32)), GREY, 256, 0).key,
    }
    assert len(keys) == 6
    assert SliceView(blank(), GREY, 256, 0).key in keys


def test_a_crop_gives_room_and_stays_in_the_image() -> None:
    region = Region((1, 0, 4), np.ones((1, 20, 4), dtype=bool))
    assert crop_around([region, Region.empty()], blank(), 0) == ((0, 24), (0, 16))


def test_masks_that_are_the_same_count_once() -> None:
    masks = torch.zeros(4, 100, dtype=torch.bool)
    masks[0, :50] = True
    masks[1, :45] = True  # IoU 0.9 with the first
    masks[2, 25:60] = True  # IoU 0.42
    masks[3, 90:] = True
    assert distinct(masks, 0.7).tolist() == [0, 2, 3]
