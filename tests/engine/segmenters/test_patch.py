"""Zoomed crops keep the place and the values of what they cut out."""

import numpy as np
import pytest
import torch

from napari_medsam.engine.segmenters.compact.patch import PatchGrid


def test_a_patch_of_the_voxels_themselves_is_the_voxels() -> None:
    data = np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32)
    patch = PatchGrid.around((1, 2, 3), (5, 6, 7), (4, 4, 4)).sample(data)
    np.testing.assert_allclose(patch.numpy(), data[1:5, 2:6, 3:7], atol=1e-6)


@pytest.mark.parametrize("size", [(5.0, 9.0, 13.0), (30.0, 30.0, 30.0), (200.0, 150.0, 170.0)])
def test_a_linear_image_stays_linear_at_every_zoom(size: tuple[float, float, float]) -> None:
    z, y, x = np.indices((300, 220, 260), dtype=np.float32)
    data = 2 * z - 3 * y + x
    grid = PatchGrid.around(np.array([30.0, 31.5, 40.2]), np.array([30.0, 31.5, 40.2]) + size, (16, 16, 16))
    patch = grid.sample(data).numpy()
    centres = np.indices((16, 16, 16)).reshape(3, -1).T
    voxels = np.asarray(grid.start) + (centres + 0.5) * grid.step - 0.5
    expected = (voxels @ [2, -3, 1]).reshape(patch.shape)
    # The outermost cells of a strided read may see one sample less on one side.
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(patch[inner], expected[inner], atol=2.0 * max(grid.step))
    assert abs(float((patch - expected)[inner].mean())) < 0.6 * max(1.0, max(grid.step))


def test_beyond_the_border_the_outermost_voxel_repeats() -> None:
    data = np.arange(4, dtype=np.float32).reshape(4, 1, 1) + np.zeros((4, 4, 4), np.float32)
    patch = PatchGrid.around((-4, 0, 0), (8, 4, 4), (12, 4, 4)).sample(data)[:, 0, 0]
    np.testing.assert_allclose(patch.numpy(), [0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 3, 3], atol=1e-6)


def test_cells_come_back_to_the_voxels_they_were_cut_from() -> None:
    grid = PatchGrid.around((10, 10, 10), (42, 42, 42), (16, 16, 16))
    cells = torch.full((16, 16, 16), -1.0)
    cells[4:12, 4:12, 4:12] = 1.0
    lower, upper = grid.voxel_box((64, 64, 64))
    assert (lower, upper) == ((10, 10, 10), (42, 42, 42))
    mask = (grid.to_voxels(cells, lower, upper) > 0).numpy()
    expected = np.zeros((32, 32, 32), bool)
    expected[8:24, 8:24, 8:24] = True
    # On edges and corners interpolation rounds the cube off by a voxel.
    assert (mask != expected).sum() <= 12 * 16 * 2 + 8 * 4
    assert mask[16, 16].tolist() == expected[16, 16].tolist()


def test_voxel_coordinates_map_to_cells() -> None:
    grid = PatchGrid.around((10, 20, 30), (20, 40, 40), (10, 10, 20))
    np.testing.assert_allclose(grid.to_cell((10, 20, 30)), [0, -0.25, 0.5])
    np.testing.assert_allclose(grid.to_cell((15, 20.5, 30)), [5, 0, 0.5])
