"""Data coordinates of layers and voxels."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_medsam.engine.errors import ImageError, PromptError
from napari_medsam.widgets.layer_grid import LayerGrid


@pytest.mark.parametrize(
    ("shape", "rgb", "frames", "voxels"),
    [
        ((20, 30), False, 1, (1, 20, 30)),
        ((10, 20, 30), False, 1, (10, 20, 30)),
        ((5, 10, 20, 30), False, 5, (10, 20, 30)),
        ((20, 30, 3), True, 1, (1, 20, 30)),
        ((10, 20, 30, 3), True, 1, (10, 20, 30)),
    ],
)
def test_layers_of_two_to_four_axes(shape: tuple[int, ...], rgb: bool, frames: int, voxels: tuple[int, ...]) -> None:
    grid = LayerGrid.of(Image(np.zeros(shape, np.uint8), rgb=rgb, contrast_limits=(0, 1)))
    assert (grid.frames, grid.volume_shape) == (frames, voxels)


def test_multiscale_layers_count_their_finest_level() -> None:
    levels = [np.zeros((16, 32, 32)), np.zeros((8, 16, 16))]
    assert LayerGrid.of(Image(levels, multiscale=True, contrast_limits=(0, 1))).volume_shape == (16, 32, 32)


def test_five_axes_are_refused() -> None:
    with pytest.raises(ImageError, match="2 to 4 axes"):
        LayerGrid((2, 3, 4, 5, 6))


@pytest.mark.parametrize(
    ("shape", "coordinate", "displayed", "frame", "position", "axis"),
    [
        ((20, 30), (4.2, 5.6), (0, 1), 0, (0, 4.2, 5.6), 0),
        ((10, 20, 30), (3.2, 4.2, 5.6), (1, 2), 0, (3, 4.2, 5.6), 0),
        ((10, 20, 30), (3.2, 4.2, 5.6), (2, 0), 0, (3.2, 4, 5.6), 1),
        ((5, 10, 20, 30), (1.8, 3.2, 4.2, 5.6), (1, 2), 2, (3.2, 4.2, 6), 2),
    ],
)
def test_spot(
    shape: tuple[int, ...],
    coordinate: tuple[float, ...],
    displayed: tuple[int, ...],
    frame: int,
    position: tuple[float, ...],
    axis: int,
) -> None:
    spot = LayerGrid(shape).spot(coordinate, displayed)
    assert (spot.frame, spot.axis) == (frame, axis)
    assert spot.position == pytest.approx(position)
    assert spot.level == position[axis]


@pytest.mark.parametrize(
    ("shape", "coordinate", "displayed", "sentence"),
    [
        ((10, 20, 30), (3, 4, 5), (0, 1, 2), "2D"),
        ((5, 10, 20, 30), (1, 3, 4, 5), (0, 2), "2D"),
        ((10, 20, 30), (11, 4, 5), (1, 2), "outside"),
        ((5, 10, 20, 30), (-1, 3, 4, 5), (2, 3), "outside"),
    ],
)
def test_no_slice_of_the_image_is_refused(
    shape: tuple[int, ...], coordinate: tuple[float, ...], displayed: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(PromptError, match=sentence):
        LayerGrid(shape).spot(coordinate, displayed)


@pytest.mark.parametrize("shape", [(20, 30), (10, 20, 30), (5, 10, 20, 30)])
def test_coordinates_and_frames_of_arrays(shape: tuple[int, ...]) -> None:
    grid = LayerGrid(shape)
    frame = grid.frames - 1
    voxel = (0, 7, 8)
    array = np.arange(np.prod(shape)).reshape(shape)
    (coordinate,) = grid.coordinates(frame, [voxel]).astype(int)
    view = grid.frame_of(array, frame)
    assert view[voxel] == array[tuple(coordinate)]
    view[voxel] = -1
    assert array[tuple(coordinate)] == -1
