"""Cases of the CVPR-2025 challenge: spacing, pictures, boxes, and pickles that want to run something."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io import open_challenge, open_labels, open_volume
from napari_medsam.engine.prompts import Box

BOX = {
    "z_min": 2,
    "z_max": 5,
    "z_mid": 3,
    "z_mid_x_min": 10,
    "z_mid_y_min": 20,
    "z_mid_x_max": 14,
    "z_mid_y_max": 29,
}


def _case(path: Path, shape: tuple[int, ...] = (8, 40, 40), **arrays: object) -> Path:
    values = {"imgs": np.zeros(shape, np.uint8), "spacing": np.array([0.7, 0.8, 3.0]), **arrays}
    np.savez_compressed(path, **values)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("spacing", "shape", "expected"),
    [
        ((0.7, 0.8, 3.0), (8, 40, 40), (3.0, 0.8, 0.7)),
        ((0.7, 0.7, 3.0), (8, 40, 40), (3.0, 0.7, 0.7)),
        ((3.0, 0.7, 0.7), (8, 40, 40), (3.0, 0.7, 0.7)),  # square slices: the odd one is across them
        ((3.0, 0.7, 0.7), (40, 40, 8), (0.7, 0.7, 3.0)),  # a stack of sagittal slices, as ITK writes it
        ((1.0, 1.0, 1.0), (8, 40, 40), (1.0, 1.0, 1.0)),
    ],
)
def test_the_order_of_the_spacing(
    tmp_path: Path, spacing: tuple[float, ...], shape: tuple[int, ...], expected: tuple[float, ...]
) -> None:
    path = _case(tmp_path / "a.npz", shape, spacing=np.array(spacing))
    np.testing.assert_allclose(open_volume(path).spacing, expected)


def test_origin_and_direction_settle_the_place(tmp_path: Path) -> None:
    direction = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1.0]])
    path = _case(tmp_path / "a.npz", spacing=np.array([3, 0.7, 0.7]), origin=np.array([1, 2, 3.0]), direction=direction)
    volume = open_volume(path)
    np.testing.assert_allclose(volume.spacing, (0.7, 0.7, 3.0))
    np.testing.assert_allclose(volume.to_world((0, 0, 1)), (1, 5, 3))
    np.testing.assert_allclose(volume.to_world((1, 0, 0)), (1, 2, 2.3))


def test_boxes_become_prompts(tmp_path: Path) -> None:
    numpy_box = {name: np.int64(value) for name, value in BOX.items()}
    path = _case(
        tmp_path / "a.npz", gts=np.ones((8, 40, 40), np.uint16), boxes=np.array([BOX, numpy_box], dtype=object)
    )
    case = open_challenge(path)
    assert case.boxes is not None
    for box in case.boxes:
        assert isinstance(box, Box)
        assert (box.lower, box.upper) == ((2, 20, 10), (6, 30, 15))
    assert case.labels is not None
    assert case.labels.dtype == np.uint8
    np.testing.assert_array_equal(open_labels(path), case.labels)


def test_a_case_without_truth(tmp_path: Path) -> None:
    case = open_challenge(_case(tmp_path / "a.npz"))
    assert case.labels is None
    assert case.boxes is None
    with pytest.raises(ImageError, match="no array named gts"):
        open_labels(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("shape", "expected"), [((30, 40), (1, 30, 40)), ((30, 40, 3), (1, 30, 40)), ((5, 6, 7, 3), (5, 6, 7))]
)
def test_pictures_in_a_case(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    volume = open_volume(_case(tmp_path / "a.npz", shape))
    assert volume.shape == expected
    assert volume.is_colour == (shape[-1] == 3)


class _Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_something_is_refused_unrun(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    path = _case(tmp_path / "a.npz", boxes=np.array([_Touch(trap)], dtype=object))
    with pytest.raises(ImageError, match="nothing is ever run from a file"):
        open_challenge(path)
    assert not trap.exists()
    # The trap itself works: numpy would have run it.
    with np.load(path, allow_pickle=True) as loaded:
        _ = loaded["boxes"]
    assert trap.exists()


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"boxes": np.array([{"z_min": 1}], dtype=object)}, "lack one of the bounds"),
        ({"boxes": np.array([1, 2], dtype=object)}, "not a list of named numbers"),
        ({"boxes": np.zeros((2, 6))}, "a list of named bounds is needed"),
        ({"gts": np.zeros((8, 40, 41), np.uint8)}, "the labels have the shape"),
        ({"gts": np.full((8, 40, 40), 0.5)}, "not whole numbers"),
        ({"spacing": np.array([1.0, -1.0, 1.0])}, "not three positive numbers"),
        ({"imgs": np.array([BOX], dtype=object)}, "not an array of numbers"),
        ({"direction": np.eye(2)}, "does not have three axes"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, object], sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        open_challenge(_case(tmp_path / "a.npz", **arrays))
