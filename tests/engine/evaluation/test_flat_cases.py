"""2D images: slices of volumes and lists of pictures."""

import json

import numpy as np
import pytest

from napari_medsam.engine.evaluation import CasesError, evaluate_cases, load_cases
from napari_medsam.engine.evaluation.pictures import largest_picture
from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import Volume, affine_from_spacing


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_picture_lies_where_its_slice_lay(truth, axis):
    spacing = [0.8, 0.8, 0.8]
    spacing[axis] = 3.0
    affine = affine_from_spacing(tuple(spacing))
    affine[:3, 3] = 5, -7, 11
    volume = Volume(truth.astype(np.float32), affine)
    structure = Region.of(truth == 2)
    picture, inside = largest_picture(volume, structure)
    assert picture.shape[0] == 1
    assert picture.spacing[0] == pytest.approx(3.0)
    np.testing.assert_array_equal(inside.full(picture.shape), picture.data == 2)
    counts = np.count_nonzero(truth == 2, axis=tuple(a for a in range(3) if a != axis))
    assert inside.count == counts.max()
    y, x = np.argwhere(picture.data[0] == 2)[0]
    world = picture.to_world((0, y, x))
    index = volume.to_index(world)
    np.testing.assert_allclose(index, np.round(index), atol=1e-9)
    assert truth[tuple(np.round(index).astype(int))] == 2


def test_every_structure_of_a_volume_is_scored_in_its_own_slice(cases_file, ball_model, truth):
    results = list(evaluate_cases(load_cases(cases_file), ball_model(), flat=True))
    assert [r.failure for r in results] == [""] * 4
    assert results[0].voxels == np.count_nonzero(truth == 1, axis=(1, 2)).max()
    assert results[0].steps["box+5"].dice > results[0].steps["box"].dice


def test_lists_of_pictures_are_cases(shared_data):
    folder = shared_data / "slices2d" / "data_demo"
    cases = load_cases(folder)
    assert len(cases) == 30
    assert {case.dataset for case in cases} == {"data_demo"}
    assert len(load_cases(folder / "label2image_test.json")) == 11
    volume, labels = cases[0].read()
    assert volume.shape == labels.shape == (1, 512, 512)
    assert (labels == 255).any()


@pytest.mark.parametrize("listed", [{"a.png": 3}, {"a.png": [3]}, {"a.png": ["missing.png"]}])
def test_bad_lists_of_pictures_are_refused(tmp_path, listed):
    (tmp_path / "image2label.json").write_text(json.dumps(listed))
    with pytest.raises(CasesError, match=r"image2label|no file"):
        load_cases(tmp_path)
