import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.volume import Volume, affine_from_spacing


def oblique() -> np.ndarray:
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([2.5, 0.7, 0.8])
    affine[:3, 3] = (-31.0, 12.5, 400.25)
    return affine


def test_spacing_is_the_length_of_a_step_along_each_array_axis():
    assert Volume(np.zeros((2, 3, 4)), oblique()).spacing == pytest.approx((2.5, 0.7, 0.8))
    assert Volume(np.zeros((2, 3, 4)), affine_from_spacing((3.0, 2.0, 1.0))).spacing == (3.0, 2.0, 1.0)


def test_one_step_along_z_goes_where_the_first_column_points():
    volume = Volume(np.zeros((2, 3, 4)), oblique())
    step = volume.to_world((1, 0, 0)) - volume.to_world((0, 0, 0))
    assert step == pytest.approx(oblique()[:3, 0])


@given(st.tuples(*[st.floats(-500, 500)] * 3))
def test_world_and_index_are_inverse(index):
    volume = Volume(np.zeros((2, 3, 4)), oblique())
    assert volume.to_index(volume.to_world(index)) == pytest.approx(index, abs=1e-9)


@pytest.mark.parametrize(
    ("index", "inside"),
    [((-0.5, 0, 0), True), ((-0.51, 0, 0), False), ((1.49, 2.49, 3.49), True), ((0, 0, 3.5), False)],
)
def test_a_voxel_reaches_half_a_step_around_its_centre(index, inside):
    assert Volume(np.zeros((2, 3, 4))).contains(index) is inside


def test_the_hash_tells_voxels_type_shape_and_geometry_apart():
    data = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    moved = np.array(affine_from_spacing((1.0, 1.0, 1.0)))
    moved[0, 3] = 1e-9
    other = data.copy()
    other[0, 0, 0] = 9
    volumes = [
        Volume(data),
        Volume(data.astype(np.int32)),
        Volume(data.reshape(2, 4, 3)),
        Volume(data, moved),
        Volume(other),
    ]
    assert len({volume.hash for volume in volumes}) == len(volumes)
    assert Volume(data.copy()).hash == Volume(data).hash
    assert Volume(data.transpose(2, 1, 0)).hash == Volume(np.ascontiguousarray(data.transpose(2, 1, 0))).hash


@pytest.mark.parametrize(
    ("data", "affine"),
    [
        (np.zeros((2, 3)), np.eye(4)),
        (np.zeros((2, 3, 4, 2)), np.eye(4)),
        (np.zeros((0, 3, 4)), np.eye(4)),
        (np.zeros((2, 3, 4), dtype=complex), np.eye(4)),
        (np.zeros((2, 3, 4)), np.zeros((4, 4))),
        (np.zeros((2, 3, 4)), np.full((4, 4), np.nan)),
        (np.zeros((2, 3, 4)), np.eye(3)),
    ],
)
def test_what_is_no_image_is_refused(data, affine):
    with pytest.raises(ImageError):
        Volume(data, affine)


def test_colour_pictures_have_three_axes_to_the_outside():
    volume = Volume(np.zeros((1, 3, 4, 3), dtype=np.uint8))
    assert volume.is_colour
    assert volume.shape == (1, 3, 4)
