"""The same on what people and models have really drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label

from napari_medsam.engine import masks
from napari_medsam.engine.io import open_labels

FILES = [
    "totalseg/*seg.nii.gz",
    "totalseg/*seg_mr.nii.gz",
    "spinal_cord/*label*.nii.gz",
    "pyradiomics/*label*.nrrd",
    "brats/*label*.nii*",
]


@pytest.mark.parametrize("pattern", FILES)
def test_every_structure(pattern, shared_data):
    paths = sorted(shared_data.glob(pattern))
    if not paths:
        pytest.skip(f"there is no {pattern}")
    for path in paths[:1]:
        values = open_labels(path)
        for value in np.unique(values[values != 0]):
            mask = values == value
            assert np.array_equal(masks.fill_holes(mask), ndimage.binary_fill_holes(mask))
            expected = label(mask, connectivity=1)
            labels, count = masks.label(mask, connectivity=6)
            assert np.array_equal(labels, expected)
            assert count == expected.max()
            sizes = np.bincount(expected.ravel())
            sizes[0] = 0
            assert np.array_equal(masks.remove_islands(mask, 30, connectivity=6), (sizes >= 30)[expected])
            assert np.array_equal(masks.keep_largest(mask, connectivity=6), expected == np.argmax(sizes))
            slices = np.stack([ndimage.binary_fill_holes(one) for one in mask])
            assert np.array_equal(masks.fill_holes(mask, dims=2), slices)
