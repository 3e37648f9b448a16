"""Every operation against scipy and scikit-image, on masks of every kind."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from scipy import ndimage

from napari_medsam.engine import masks

# `many_masks.py` beside this file does the same for 20,000.
FEW = 60


def fill_all(case):
    return masks.fill_holes(case.mask, region=case.region, **case.options), oracle.fill_holes(case)


def fill_spared(case):
    ours = masks.fill_holes(case.mask, region=case.region, spare=case.points, **case.options)
    return ours, oracle.fill_holes(case, spare=True)


def fill_small(case):
    ours = masks.fill_holes_up_to(case.mask, case.size, region=case.region, spare=case.points, **case.options)
    return ours, oracle.fill_holes(case, case.size, spare=True)


def fill_small_at_border(case):
    ours = masks.fill_holes_up_to(case.mask, case.size, region=case.region, open_border=False, **case.options)
    return ours, oracle.fill_holes(case, case.size, open_border=False)


def remove_small(case):
    ours = masks.remove_islands(case.mask, case.size, region=case.region, **case.options)
    return ours, oracle.islands(case, "small")


def largest(case):
    whole = oracle.Case(**{**vars(case), "region": None})
    return masks.keep_largest(case.mask, **case.options), oracle.islands(whole, "largest")


def touching(case):
    ours = masks.keep_touching(case.mask, case.points, region=case.region, **case.options)
    return ours, oracle.islands(case, "touching")


OPERATIONS = [fill_all, fill_spared, fill_small, fill_small_at_border, remove_small, largest, touching]


def check(operation, count, seed):
    rng = np.random.default_rng(seed)
    for number in range(count):
        case = oracle.draw(rng)
        before = case.mask.copy()
        ours, theirs = operation(case)
        assert ours.dtype == case.mask.dtype
        assert np.array_equal(ours, theirs), (operation.__name__, seed, number, case.mask.shape, case.options)
        assert np.array_equal(case.mask, before)


def check_labels(count, seed):
    rng = np.random.default_rng(seed)
    for number in range(count):
        case = oracle.draw(rng)
        ours, counts = masks.label(case.mask, **case.options)
        theirs, their_counts = oracle.labels(case)
        assert ours.dtype == counts.dtype == np.int32
        assert np.array_equal(ours, theirs), (seed, number, case.mask.shape, case.options)
        assert np.array_equal(counts, their_counts)
        assert counts.shape == their_counts.shape


def check_scores(count, seed):
    rng = np.random.default_rng(seed)
    for number in range(count):
        case = oracle.draw(rng)
        threshold = float(rng.choice([0.0, 0.5, -3.25, 0.1]))
        scores = oracle.scores(rng, case.mask, threshold)
        as_mask = oracle.Case(**{**vars(case), "mask": case.mask != 0})
        options = {**case.options, "threshold": threshold, "region": case.region}
        told = (seed, number, case.mask.shape, options)
        filled = masks.fill_holes_up_to(scores, case.size, **options)
        expected = oracle.fill_holes(as_mask, case.size)
        assert filled.dtype == bool
        assert np.array_equal(filled, expected), told
        raised = masks.fill_holes_up_to(scores, case.size, score=7.5, **options)
        hole = expected & (case.mask == 0)
        assert raised.dtype == np.float32
        assert np.array_equal(raised, np.where(hole, np.float32(7.5), scores)), told
        kept = masks.remove_islands(scores, case.size, **options)
        assert np.array_equal(kept, oracle.islands(as_mask, "small")), told


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation(operation):
    check(operation, FEW, seed=1)


def test_labels():
    check_labels(FEW, seed=2)


def test_scores():
    check_scores(FEW, seed=3)


@pytest.mark.parametrize("threads", [1, 3])
def test_maze(threads):
    """One corridor up and down through all columns: a hole once its mouth is shut, and too long for a flood of rows."""
    maze = np.zeros((200, 203), np.uint8)
    maze[:, 1::2] = 1
    maze[[0, -1]] = maze[:, [0, -1]] = 1
    maze[1, 3:-1:4] = maze[-2, 5:-1:4] = 0
    shut = masks.fill_holes(maze, threads=threads)
    assert shut.all()
    assert ndimage.binary_fill_holes(maze).all()
    maze[0, 2] = 0
    assert np.array_equal(masks.fill_holes(maze, threads=threads), ndimage.binary_fill_holes(maze))
