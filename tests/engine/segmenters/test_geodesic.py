"""Geodesic distances are those of the shortest ways."""

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from napari_medsam.engine.segmenters.compact.geodesic import STEP, _distance, closeness


def shortest_ways(image: Tensor, seeds: Tensor) -> np.ndarray:
    """What Dijkstra's algorithm finds on the grid of cells."""
    values, number = image[0, 0].numpy().astype(float), np.arange(image.numel()).reshape(image.shape[2:])
    rows, columns, costs = [], [], []
    for axis in range(3):
        here, there = (np.take(number, range(a, number.shape[axis] + a - 1), axis) for a in (0, 1))
        rows.append(here.ravel())
        columns.append(there.ravel())
        costs.append(np.abs(np.diff(values, axis=axis)).ravel() + STEP)
    graph = coo_array((np.concatenate(costs), (np.concatenate(rows), np.concatenate(columns))), (number.size,) * 2)
    found: np.ndarray = dijkstra(graph.tocsr(), False, number[seeds[0, 0].numpy()], min_only=True)
    return found.reshape(number.shape)


@pytest.mark.parametrize("shape", [(12, 14, 10), (1, 24, 20)])
def test_distances_are_those_of_dijkstra(shape: tuple[int, int, int]) -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.nn.functional.avg_pool3d(
        torch.randn((1, 1, *shape), generator=rng), (1, 3, 3), stride=1, padding=(0, 1, 1)
    )
    seeds = torch.zeros_like(image, dtype=torch.bool)
    seeds[0, 0, 0, 3:5, 2] = seeds[0, 0, -1, -1, -1] = True
    wanted = shortest_ways(image, seeds)
    field = torch.ones_like(seeds)
    np.testing.assert_allclose(_distance(image, seeds, field, sweeps=30)[0, 0].numpy(), wanted, atol=1e-4)
    few = _distance(image, seeds, field)[0, 0].numpy()
    assert (few >= wanted - 1e-4).all()
    assert (few - wanted).mean() < 0.1 * wanted.mean()


def test_no_way_leads_through_what_is_not_in_the_field_of_view() -> None:
    image = torch.zeros(1, 1, 1, 9, 9)
    field = torch.ones_like(image, dtype=torch.bool)
    field[..., 4] = False
    seeds = torch.zeros_like(field)
    seeds[..., 0] = True
    close = closeness(image, seeds, field)[0, 0, 0]
    assert (close[:, 0] == 1).all()
    assert (close[:, 1:4] > 0.2).all()
    assert (close[:, 5:] < 1e-6).all()


def test_a_patch_without_seeds_is_close_to_nothing() -> None:
    image = torch.randn(2, 1, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    seeds = torch.zeros_like(image, dtype=torch.bool)
    seeds[1, 0, 4, 4, 4] = True
    close = closeness(image, seeds, torch.ones_like(seeds))
    assert close[0].max() == 0
    assert close[1].argmax() == 4 * 64 + 4 * 8 + 4
