"""What a batch is drawn from: clear objects, tight boxes, windows."""

from pathlib import Path

import numpy as np
import pytest
from augment import lesion, repaint, wall_or_tree
from batches import Pool, batch_of, clarity_of, field_of, fill_of
from config import Config
from scipy import ndimage

SIDE = 32
Z, Y, X = np.indices((SIDE,) * 3)
BALL = (Z - 14) ** 2 + (Y - 15) ** 2 + (X - 18) ** 2 < 8**2


def noise(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(100, 130, (SIDE,) * 3).astype(np.uint8)


def cut_off_ball(rng: np.random.Generator) -> np.ndarray:
    """A bright ball in a patch whose first eight planes lie beyond the border of the image."""
    return np.pad(np.where(BALL, 200, noise(rng)).astype(np.uint8)[8:], [(8, 0), (0, 0), (0, 0)], mode="edge")


def scattered(rng: np.random.Generator) -> np.ndarray:
    """An object that nothing in the image shows."""
    return rng.random((SIDE,) * 3) < 0.05


def assert_tight(box: np.ndarray, truth: np.ndarray) -> None:
    """The box touches the object on all sides."""
    where = np.argwhere(truth)
    assert box.tolist() == [where.min(axis=0).tolist(), (where.max(axis=0) + 1).tolist()]


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    """As many bright balls, in boxes with much room, as objects that cannot be seen."""
    rng = np.random.default_rng(0)
    images, masks, boxes = [], [], []
    for k in range(16):
        mask = BALL if k % 2 else scattered(rng)
        images.append(np.where(BALL, 200, noise(rng)).astype(np.uint8) if k % 2 else noise(rng))
        masks.append(np.packbits(mask))
        boxes.append([[2.0, 2, 2], [30, 30, 30]])
    np.savez(tmp_path / "000-00000.npz", images=images, masks=masks, boxes=np.array(boxes, np.float32))
    return Pool(tmp_path)


def test_an_object_is_clear_where_the_image_shows_it() -> None:
    rng = np.random.default_rng(1)
    assert clarity_of(np.where(BALL, 200, noise(rng)).astype(np.uint8), BALL) > 0.95
    assert clarity_of(noise(rng), scattered(rng)) < 0.3


def test_a_batch_of_clear_objects_leaves_out_what_cannot_be_seen(pool: Pool) -> None:
    def balls(clear: float) -> float:
        config = Config(dims=3, clear=clear)
        truth = batch_of(pool, config, 0, range(32)).truth
        return float((truth.sum(dim=(1, 2, 3, 4)) == BALL.sum()).float().mean())

    assert 0.25 < balls(0.0) < 0.75
    assert balls(1.0) > 0.8  # four draws at most: one in sixteen stays


def test_a_tight_box_touches_the_object_on_all_sides(pool: Pool) -> None:
    batch = batch_of(pool, Config(dims=3, tight=1.0, clear=1.0), 0, range(8))
    for truth, box in zip(batch.truth[:, 0].numpy() > 0, batch.boxes, strict=True):
        if truth.sum() == BALL.sum():
            assert_tight(box, truth)
    loose = batch_of(pool, Config(dims=3), 0, range(8))
    assert all((box[1] - box[0] == 28).all() for box in loose.boxes)


def test_a_box_round_what_the_patch_cuts_off_stays(tmp_path: Path) -> None:
    mask = np.zeros((SIDE,) * 3, bool)
    mask[:, 8:20, 8:20] = True
    image = np.where(mask, 200, 20).astype(np.uint8)
    box = np.array([[[-4.0, 6, 6], [40, 22, 22]]], np.float32)
    np.savez(tmp_path / "000-00000.npz", images=image[None], masks=np.packbits(mask)[None], boxes=box)
    drawn = batch_of(Pool(tmp_path), Config(dims=3, tight=1.0), 0, range(4)).boxes
    assert {tuple(sorted((high - low).tolist())) for low, high in drawn} == {(16.0, 16.0, 44.0)}


def test_a_window_shows_a_part_of_the_patch_in_as_many_cells(tmp_path: Path) -> None:
    z, y, x = np.indices((SIDE,) * 3)
    image = (6 * x).astype(np.uint8)  # the grey level says where a cell lies
    mask = (x >= 16) & (np.abs(y - 16) < 8) & (np.abs(z - 16) < 8)
    box = np.array([[[8.5, 8.5, 16], [23.5, 23.5, 32]]], np.float32)
    np.savez(tmp_path / "000-00000.npz", images=image[None], masks=np.packbits(mask)[None], boxes=box)
    batch = batch_of(Pool(tmp_path), Config(dims=3, zoom=1.0), 0, range(8))
    assert batch.truth.shape == (8, 1, SIDE, SIDE, SIDE)
    assert all(truth.any() for truth in batch.truth)
    sides = []
    for truth, (low, high) in zip(batch.truth[:, 0].numpy() > 0.5, batch.boxes, strict=True):
        where = np.argwhere(truth)
        seen = np.clip([low, high], 0, SIDE)
        np.testing.assert_allclose([where.min(axis=0), where.max(axis=0) + 1], seen, atol=2.5)
        sides.append(float((high - low).max()))
    assert max(sides) > 25  # 16 cells in the patch: some windows are much smaller than it


def test_planes_that_repeat_beyond_the_border_are_not_in_the_field_of_view() -> None:
    rng = np.random.default_rng(2)
    image = np.pad(noise(rng)[:20, :, 3:], [(5, 7), (0, 0), (0, 3)], mode="edge")
    field = field_of(image)
    assert field[5:25, :, :29].all()
    assert field.sum() == 20 * SIDE * 29
    assert field_of(np.full((4, 4, 4), 7, np.uint8)).all()


@pytest.mark.parametrize("seed", range(8))
def test_an_object_drawn_over_is_of_several_greys_or_like_what_lies_beside_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = np.where(BALL, 200, noise(rng)).astype(np.uint8)
    painted = repaint(rng, image, BALL).astype(float)
    inside, outside = painted[BALL], painted[~BALL]
    far = np.abs(outside - 200) < 25
    if far.mean() > 0.1:  # a part of the surroundings went over to the object, none of the object to them
        assert far.mean() < 0.95
        assert np.abs(inside - 200).mean() < 15
    else:
        assert np.abs(outside - image[~BALL]).mean() < 5
        assert np.abs(inside - 200).mean() > 15


def test_compact_objects_are_drawn_over_and_thin_ones_are_not(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    painted: list[float] = []

    def watched(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        painted.append(fill_of(mask))
        return repaint(rng, image, mask)

    monkeypatch.setattr("batches.repaint", watched)
    batch_of(pool, Config(dims=3, repaint=1.0), 0, range(32))
    assert 8 <= len(painted) <= 24  # the balls; the scattered objects fill a twentieth of their box
    assert min(painted) > 0.3


@pytest.mark.parametrize("seed", range(12))
def test_a_lump_lies_in_what_the_patch_shows_and_can_be_told_from_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = cut_off_ball(rng)
    field = field_of(image)
    painted, lump = lesion(rng, image, field)
    assert lump.sum() > 8
    assert field[lump].mean() > 0.25  # its middle was drawn from there
    changed = np.abs(painted.astype(float) - image)
    assert changed[lump].mean() > 10
    away = ~ndimage.binary_dilation(lump, iterations=8)
    assert not changed[away].any()
    assert ndimage.label(lump)[1] == 1


def test_of_a_patch_of_one_slice_a_lump_is_flat() -> None:
    rng = np.random.default_rng(3)
    image = noise(rng)[:1]
    _, lump = lesion(rng, image, np.ones_like(image, bool))
    assert lump.shape == (1, SIDE, SIDE)
    assert lump.sum() > 8


def test_the_box_of_a_lump_is_tight(pool: Pool) -> None:
    batch = batch_of(pool, Config(dims=3, lesion=1.0), 0, range(8))
    for truth, box in zip(batch.truth[:, 0].numpy() > 0.5, batch.boxes, strict=True):
        assert_tight(box, truth)


@pytest.mark.parametrize("seed", range(12))
def test_a_wall_or_tree_leaves_most_of_its_box_to_something_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = cut_off_ball(rng)
    field = field_of(image)
    painted, wall = wall_or_tree(rng, image, field)
    assert not wall[~field].any()
    assert fill_of(wall) < 0.6
    assert max(np.ptp(axis) for axis in np.nonzero(wall)) >= 0.3 * SIDE
    assert ndimage.label(wall, np.ones((3, 3, 3)))[1] == 1
    shell = ndimage.binary_dilation(wall, iterations=2) & ~wall
    assert abs(painted[wall].mean() - painted[shell].astype(float)).max() > 20  # some of its outline shows


def test_walls_and_lumps_are_drawn_side_by_side(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for name, put in (("lesion", lesion), ("wall_or_tree", wall_or_tree)):
        monkeypatch.setattr(f"batches.{name}", lambda *args, name=name, put=put: drawn.append(name) or put(*args))
    batch = batch_of(pool, Config(dims=3, lesion=0.5, wall=0.5), 0, range(16))
    assert len(drawn) == 16
    assert 4 <= drawn.count("lesion") <= 12
    for truth, box in zip(batch.truth[:, 0].numpy() > 0.5, batch.boxes, strict=True):
        assert_tight(box, truth)


def test_a_wall_or_tree_in_one_slice_is_flat() -> None:
    rng = np.random.default_rng(3)
    image = noise(rng)[:1]
    _, wall = wall_or_tree(rng, image, np.ones_like(image, bool))
    assert wall.shape == (1, SIDE, SIDE)
    assert wall.sum() > 8
