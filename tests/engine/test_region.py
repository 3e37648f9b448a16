import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_medsam.engine.region import Edit, Region

SHAPE = (4, 5, 6)
masks = hnp.arrays(bool, SHAPE)


@given(masks)
def test_the_smallest_region_of_a_mask_is_that_mask(mask):
    region = Region.of(mask)
    assert np.array_equal(region.full(SHAPE), mask)
    assert region.count == mask.sum()
    assert bool(region) == mask.any()
    for axis in range(3):
        for face in (0, -1):
            assert not region.voxels.size or np.take(region.voxels, face, axis).any()


@given(masks, st.tuples(*[st.integers(-3, 8)] * 3), st.tuples(*[st.integers(-3, 8)] * 3))
def test_any_box_of_a_region_is_that_box_of_the_padded_mask(mask, one, other):
    lower = tuple(min(a, b) for a, b in zip(one, other, strict=True))
    upper = tuple(max(a, b) for a, b in zip(one, other, strict=True))
    padded = np.pad(mask, 10)
    box = tuple(slice(a + 10, b + 10) for a, b in zip(lower, upper, strict=True))
    assert np.array_equal(Region.of(mask).inside(lower, upper), padded[box])


@given(masks, masks)
def test_an_edit_leads_there_and_its_inverse_back(before, after):
    edit = Edit.between(Region.of(before), Region.of(after))
    assert np.array_equal(edit.apply(Region.of(before)).full(SHAPE), after)
    assert np.array_equal(edit.inverse().apply(Region.of(after)).full(SHAPE), before)
    assert bool(edit) == (before != after).any()
    assert not (edit.added & edit.removed).any()


@given(masks, masks)
def test_json_keeps_every_bit(before, after):
    region = Region.from_json(json.loads(json.dumps(Region.of(after).to_json())))
    assert np.array_equal(region.full(SHAPE), after)
    edit = Edit.from_json(json.loads(json.dumps(Edit.between(Region.of(before), Region.of(after)).to_json())))
    assert np.array_equal(edit.apply(Region.of(before)).full(SHAPE), after)


def test_bits_that_claim_to_be_more_than_their_box_are_cut_off():
    record = Region((0, 0, 0), np.ones((1, 1, 8), dtype=bool)).to_json()
    bomb = Region((0, 0, 0), np.ones((64, 64, 64), dtype=bool)).to_json()
    record["bits"] = bomb["bits"]
    assert Region.from_json(record).voxels.shape == (1, 1, 8)


@pytest.mark.parametrize("bits", ["!", "AAAA", ""])
def test_bits_that_are_none_are_refused(bits):
    record = {**Region((0, 0, 0), np.ones((1, 1, 8), dtype=bool)).to_json(), "bits": bits}
    with pytest.raises(ValueError, match=r"bits|base64"):
        Region.from_json(record)


def test_bits_shorter_than_their_box_are_refused():
    record = Region((0, 0, 0), np.ones((1, 1, 8), dtype=bool)).to_json()
    record["shape"] = [64, 64, 64]
    with pytest.raises(ValueError, match="fewer bits"):
        Region.from_json(record)
