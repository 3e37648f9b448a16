"""The two images that are there without a network."""

import numpy as np
import pytest
from scipy import ndimage

from napari_medsam.engine.samples import ct_phantom, mni152


@pytest.fixture(scope="module")
def brain():
    return mni152()


@pytest.fixture(scope="module")
def body():
    return ct_phantom()


def test_the_brain_is_the_template_in_lps(brain):
    volume = brain.volume
    assert volume.shape == (189, 233, 197)
    assert volume.spacing == (1.0, 1.0, 1.0)
    assert volume.modality == "MR"
    # The origin of MNI space, the anterior commissure, is voxel (98, 134, 72) of the template.
    assert volume.to_world((72, 134, 98)) == pytest.approx((0, 0, 0))
    # LPS: one voxel further along the file's first axis is 1 mm to the right, along the second 1 mm to the front.
    assert volume.to_world((72, 134, 99)) == pytest.approx((-1, 0, 0))
    assert volume.to_world((72, 135, 98)) == pytest.approx((0, -1, 0))


def test_ventricles_are_two_mirrored_dark_pieces(brain):
    left, right = brain.truth("left lateral ventricle"), brain.truth("right lateral ventricle")
    assert left.count == right.count
    assert 7000 < left.count < 12000  # 7 to 12 ml a side is normal
    for region, side in ((left, 1), (right, -1)):
        assert ndimage.label(region.voxels, np.ones((3, 3, 3)))[1] == 1
        centre = np.argwhere(region.voxels).mean(axis=0) + region.lower
        x, _, z = brain.volume.to_world(centre)
        assert np.sign(x) == side
        assert 5 < z < 35  # above the commissure
    image = brain.volume.data
    ventricle = np.isin(brain.labels, (1, 2))
    rim = ndimage.binary_dilation(ventricle, iterations=3) & ~ventricle
    assert image[ventricle].mean() < 0.5 * image[rim].mean()


def test_tissues_have_their_brightness_and_share(brain):
    grey, white = brain.truth("grey matter"), brain.truth("white matter")
    image = brain.volume.data
    assert image[brain.labels == 4].mean() > image[brain.labels == 3].mean() + 20
    assert 1.0 < grey.count / white.count < 2.5


def test_an_unknown_structure_is_a_key_error(brain):
    with pytest.raises(KeyError):
        brain.truth("spleen")


def test_every_organ_is_there_at_its_brightness(body):
    volume = body.volume
    assert volume.data.dtype == np.int16
    assert volume.modality == "CT"
    expected = {"left lung": -840, "liver": 112, "spleen": 122, "gallbladder": 8, "liver metastasis": 62, "aorta": 152}
    for name, hu in expected.items():
        inside = ndimage.binary_erosion(body.truth(name).full(volume.shape))
        assert volume.data[inside].mean() == pytest.approx(hu, abs=12), name
    for value, name in body.names.items():
        assert np.count_nonzero(body.labels == value) > 100, name
    assert volume.data[0, 0, 0] < -900


def test_organs_lie_on_their_side_of_the_patient(body):
    def centre(name):
        region = body.truth(name)
        return body.volume.to_world(np.argwhere(region.voxels).mean(axis=0) + region.lower)

    assert centre("liver")[0] < 0 < centre("spleen")[0]  # x grows to the left
    assert centre("right kidney")[0] < 0 < centre("left kidney")[0]
    assert centre("heart")[2] > centre("left kidney")[2]  # z to the head
    assert centre("vertebrae")[1] > centre("aorta")[1]  # y to the back


def test_the_same_seed_is_the_same_patient():
    one, same, other = (ct_phantom((12, 48, 48), (16.0, 8.0, 8.0), seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.volume.data, same.volume.data)
    np.testing.assert_array_equal(one.labels, same.labels)
    assert np.any(one.labels != other.labels)


def test_the_truth_does_not_depend_on_the_grid():
    # Odd counts, so that every voxel centre of the coarse grid is one of the fine grid.
    fine = ct_phantom((41, 81, 81), (5.0, 4.0, 4.0), oblique=0)
    coarse = ct_phantom((21, 41, 41), (10.0, 8.0, 8.0), oblique=0)
    np.testing.assert_allclose(fine.volume.to_world((20, 40, 40)), coarse.volume.to_world((10, 20, 20)), atol=1e-9)
    agree = fine.labels[::2, ::2, ::2] == coarse.labels
    assert agree.mean() > 0.9999


def test_an_oblique_grid_shows_the_same_patient():
    straight = ct_phantom((80, 140, 140), (3.0, 3.0, 3.0), oblique=0)
    turned = ct_phantom((80, 140, 140), (3.0, 3.0, 3.0), oblique=15)
    assert np.abs(turned.volume.affine[:3, :3] - straight.volume.affine[:3, :3]).max() > 0.5
    assert turned.volume.spacing == pytest.approx((3.0, 3.0, 3.0))
    inner = np.argwhere(ndimage.binary_erosion(straight.truth("spleen").full(straight.volume.shape)))
    there = np.rint(turned.volume.to_index(straight.volume.to_world(inner))).astype(int)
    found = np.array([turned.names.get(int(turned.labels[tuple(voxel)])) for voxel in there])
    assert (found == "spleen").mean() > 0.98


def test_cut_voxels_mix_both_sides():
    thick = ct_phantom((20, 120, 120), (12.0, 3.0, 3.0), oblique=0)
    volume = thick.volume
    lung = thick.truth("right lung").full(volume.shape)
    rim = lung & ~ndimage.binary_erosion(lung, np.ones((3, 3, 3)))
    mixed = (volume.data[rim] > -700) & (volume.data[rim] < -200)
    assert mixed.mean() > 0.1


def test_one_slice_is_a_volume_too():
    flat = ct_phantom((1, 64, 64), (5.0, 6.0, 6.0))
    assert flat.volume.shape == (1, 64, 64)
    assert len(np.unique(flat.labels)) > 3
