"""Telling an object from its surroundings by grey values."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medsam.engine.appearance import Appearance, trimmed


@pytest.fixture
def mask() -> np.ndarray:
    inside = np.zeros((40, 40), dtype=bool)
    inside[12:28, 12:28] = True
    return inside


def test_where_it_looks_like_the_object(mask: np.ndarray) -> None:
    random = np.random.default_rng(0)
    grey = random.normal(100, 10, mask.shape) + 40 * mask
    looks = Appearance.of(grey, mask)
    alike = looks.like(random.normal(100, 10, mask.shape) + 40 * np.roll(mask, 5, axis=0))
    assert (alike == np.roll(mask, 5, axis=0)).mean() > 0.95


def test_without_contrast_everything_may_be_the_object(mask: np.ndarray) -> None:
    grey = np.full(mask.shape, 7.0)
    assert Appearance.of(grey, mask).like(grey)[mask].all()
    everywhere = np.ones_like(mask)
    assert Appearance.of(grey, everywhere).like(grey).all()


def test_specks_and_holes_go(mask: np.ndarray) -> None:
    alike = mask.copy()
    alike[18:20, 18:20] = False
    answer = mask.copy()
    answer[2:4, 2:4] = alike[2:4, 2:4] = True
    assert np.array_equal(trimmed(answer, alike), mask & ~_corners(mask))
    assert not trimmed(answer, ~alike).any()


def _corners(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    corners = np.zeros_like(mask)
    corners[np.ix_(rows[[0, -1]], columns[[0, -1]])] = True
    return corners
