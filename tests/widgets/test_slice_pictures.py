"""Pictures of slices beside the view: the voxels, the proportions, the colours and the way up of what is displayed."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medsam.engine.segmenters.registry import load_segmenter
from napari_medsam.engine.session import Session
from napari_medsam.engine.volume import Index3, Vec3, Volume, affine_from_spacing
from napari_medsam.engine.window import Window
from napari_medsam.widgets.screen_axes import ScreenAxes
from napari_medsam.widgets.slice_pictures import HEIGHT, WIDTH, SlicePictures

RED, BLUE = (200, 0, 0), (0, 0, 200)


def session_of(data: np.ndarray) -> Session:
    session = Session(Volume(data, affine_from_spacing((1.0, 1.0, 1.0))), load_segmenter("compact"))
    session.add_object("red", RED)
    session.add_object("blue", BLUE)
    return session


def pictures(screen: ScreenAxes, low: float = 0.0, high: float = 100.0) -> SlicePictures:
    return SlicePictures(screen, lambda: Window(low, high))


@pytest.fixture(scope="module")
def ramp() -> Session:
    """Voxels that are all different: 100 z + 10 y + x."""
    z, y, x = np.indices((3, 4, 5))
    return session_of((100 * z + 10 * y + x).astype(np.int16))


@pytest.mark.parametrize(
    ("order", "axis", "shown"),
    [
        ((0, 1, 2), 0, [[100, 104], [130, 134]]),
        ((0, 1, 2), 1, [[10, 14], [210, 214]]),
        ((0, 1, 2), 2, [[1, 31], [201, 231]]),
        ((0, 2, 1), 0, [[100, 130], [104, 134]]),
        ((2, 1, 0), 2, [[1, 201], [31, 231]]),
    ],
)
def test_the_corners_lie_where_the_viewer_has_them(
    ramp: Session, order: Index3, axis: int, shown: list[list[int]]
) -> None:
    shape = list(ramp.volume.shape)
    shape[axis] = 1
    labels = np.zeros(shape, np.uint16)

    def corners(screen: ScreenAxes) -> np.ndarray:
        picture = pictures(screen, 0, 255).paint(ramp, axis, 1, labels)
        assert (picture == picture[..., :1]).all(), "grey"
        return picture[:: len(picture) - 1, :: picture.shape[1] - 1, 0]

    expected = np.array(shown)
    np.testing.assert_array_equal(corners(ScreenAxes(order, (1, 1, 1))), expected)
    np.testing.assert_array_equal(corners(ScreenAxes(order, (-1, -1, -1))), expected[::-1, ::-1])
    np.testing.assert_array_equal(corners(ScreenAxes(order, (1, 1, 1), upwards=True)), expected[::-1])
    np.testing.assert_array_equal(corners(ScreenAxes(order, (1, 1, 1), leftwards=True)), expected[:, ::-1])


@pytest.mark.parametrize(
    ("shape", "steps", "size"),
    [
        ((9, 512, 512), (3.0, 0.5, -0.5), (HEIGHT, HEIGHT)),
        ((9, 100, 400), (3.0, 1.0, 1.0), (round(WIDTH / 4), WIDTH)),
        ((9, 40, 40), (3.0, 1.0, 0.5), (HEIGHT, HEIGHT // 2)),
        ((9, 2048, 1), (3.0, 1.0, 1.0), (HEIGHT, 1)),
    ],
)
def test_it_is_small_and_in_proportion(shape: Index3, steps: Vec3, size: tuple[int, int]) -> None:
    session = session_of(np.zeros(shape, np.uint8))
    picture = pictures(ScreenAxes((0, 1, 2), steps)).paint(session, 0, 4, np.zeros((1, *shape[1:]), np.uint16))
    assert picture.shape == (*size, 3)
    assert picture.dtype == np.uint8


def test_masks_are_blended_over_the_contrast_of_the_layer() -> None:
    data = np.full((2, HEIGHT, WIDTH), 60.0, np.float32)
    data[:, 1] = np.nan
    data[:, 2] = 1e6
    labels = np.zeros((1, HEIGHT, WIDTH), np.uint16)
    labels[0, :, 1], labels[0, :, 2] = 1, 2
    painter = pictures(ScreenAxes((0, 1, 2), (1, 1, 1)), 20, 120)
    picture = painter.paint(session_of(data), 0, 1, labels)
    np.testing.assert_array_equal(picture[0, :3], [(102, 102, 102), (151, 51, 51), (51, 51, 151)])
    np.testing.assert_array_equal(picture[1, :3], [(0, 0, 0), (100, 0, 0), (0, 0, 100)])
    np.testing.assert_array_equal(picture[2, 0], (255, 255, 255))


def test_colour_images_keep_their_colours() -> None:
    data = np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)
    data[0, :, :] = (10, 100, 250)
    labels = np.zeros((1, HEIGHT, WIDTH), np.uint16)
    labels[0, 0, 0] = 1
    picture = pictures(ScreenAxes((0, 1, 2), (0, 1, 1))).paint(session_of(data), 0, 0, labels)
    np.testing.assert_array_equal(picture[0, 0], (105, 50, 125))
    assert (picture[1:] == (10, 100, 250)).all()


def test_no_more_than_an_eye_follows(ramp: Session) -> None:
    painter = pictures(ScreenAxes((0, 1, 2), (1, 1, 1)))
    labels = np.zeros((1, 4, 5), np.uint16)
    assert painter.next(ramp, 0, 0, labels) is not None
    assert painter.next(ramp, 0, 1, labels) is None
