import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_medsam.engine.postprocess import SPECK, fill_holes, fill_specks, keep_touching, remove_islands, tidy
from napari_medsam.engine.prompts import Box, Point
from napari_medsam.engine.region import Region

masks = hnp.arrays(bool, (5, 6, 7))


@given(masks)
def test_all_holes_are_those_scipy_fills(mask):
    assert np.array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


def crowded(shape):
    """Masks with many holes: mostly foreground."""
    return hnp.arrays(np.uint8, shape, elements=st.integers(0, 4)).map(lambda a: a > 0)


@settings(deadline=None)
@given(st.one_of(masks, crowded((5, 6, 7)), crowded((1, 9, 9)), crowded((9, 3, 1))), st.integers(1, 9), st.data())
def test_specks_are_the_small_holes_scipy_fills_and_filled_whole(mask, largest, data):
    keep_open = data.draw(hnp.arrays(bool, mask.shape, elements=st.sampled_from([False] * 9 + [True])))
    filled = fill_specks(mask, largest, keep_open)
    added = filled & ~mask
    assert not (mask & ~filled).any()
    labels, count = ndimage.label(ndimage.binary_fill_holes(mask) & ~mask)
    assert not added[labels == 0].any()
    for k in range(1, count + 1):
        hole = labels == k
        expected = hole.sum() <= largest and not keep_open[hole].any()
        assert added[hole].all() == added[hole].any() == expected


def test_specks_of_a_large_noisy_mask_are_those_of_scipy():
    rng = np.random.default_rng(0)
    mask = rng.random((40, 50, 60)) < 0.8
    labels, count = ndimage.label(ndimage.binary_fill_holes(mask) & ~mask)
    small = np.bincount(labels.ravel()) <= SPECK
    small[0] = False
    assert count > 100
    assert np.array_equal(fill_specks(mask, SPECK, np.zeros_like(mask)), mask | small[labels])


@given(masks, st.integers(0, 10))
def test_islands_go_whole(mask, smallest):
    kept = remove_islands(mask, smallest)
    labels, count = ndimage.label(mask)
    for k in range(1, count + 1):
        piece = labels == k
        assert kept[piece].all() == kept[piece].any() == (piece.sum() >= smallest)
    assert not kept[~mask].any()


@given(masks, st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 6)), max_size=4))
def test_only_what_was_touched_is_kept(mask, points):
    kept = keep_touching(mask, points)
    labels, _ = ndimage.label(mask)
    touched = {labels[p] for p in points} - {0}
    assert np.array_equal(kept, np.isin(labels, list(touched)))


SHAPE = (12, 12, 12)


def solid() -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:11, 1:11, 1:11] = True
    return mask


def test_a_speck_in_a_prediction_is_filled_a_cavity_stays():
    mask = solid()
    mask[5:7, 5:7, 5:7] = False
    mask[2, 2, 2:6] = False
    mask[8, 3:6, 3:7] = False
    out = tidy(Region.of(mask), Region.empty(), [Box((0, 0, 0), SHAPE)], SHAPE).full(SHAPE)
    assert SPECK == 8
    assert out[5:7, 5:7, 5:7].all()
    assert out[2, 2, 2:6].all()
    assert not out[8, 3:6, 3:7].any()
    assert out.sum() == solid().sum() - 12


def test_a_hole_somebody_clicked_stays():
    mask = solid()
    mask[5, 5, 5:7] = False
    mask[8, 8, 8] = False
    out = tidy(Region.of(mask), Region.empty(), [Point((5.0, 5.0, 6.0), positive=False)], SHAPE).full(SHAPE)
    assert not out[5, 5, 5:7].any()
    assert out[8, 8, 8]


def test_islands_stay():
    mask = solid()
    mask[:, 0, 0] = [True, False] * 6
    mask[0, 11, 11] = True
    out = tidy(Region.of(mask), Region.empty(), [], SHAPE)
    assert np.array_equal(out.full(SHAPE), mask)


def test_nothing_happens_where_nothing_changed():
    before = solid()
    before[3, 3, 3] = False
    after = before.copy()
    after[8:10, 8:10, 8:10] = False
    out = tidy(Region.of(after), Region.of(before), [], SHAPE).full(SHAPE)
    assert not out[3, 3, 3]
    assert out[8:10, 8:10, 8:10].all()


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(bool, (6, 6, 6)), hnp.arrays(bool, (6, 6, 6)))
def test_a_hole_in_the_changed_box_is_one_in_the_whole_image(before, after):
    out = tidy(Region.of(after), Region.of(before), [], (6, 6, 6)).full((6, 6, 6))
    filled = out & ~after
    assert not (filled & ~fill_holes(after)).any()
    assert not (after & ~out).any()
