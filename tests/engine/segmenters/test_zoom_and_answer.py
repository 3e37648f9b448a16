"""Where the network looks, and what becomes of its answer."""

from collections.abc import Sequence

import numpy as np
import torch

from napari_medsam.engine.prompts import Box, MaskPrompt, Point
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact.answer import (
    Look,
    bounded_in_slice,
    bounded_in_slices,
    joined,
    leant_to_ellipsoid,
    marked_pieces,
    obeyed,
    paste,
    replaced,
    steadiest,
)
from napari_medsam.engine.segmenters.compact.patch import PatchGrid
from napari_medsam.engine.segmenters.compact.zoom import (
    COARSE,
    MAX_TILES,
    closer_at,
    patch_for,
    search_sides,
    tiles_along,
)


def cube(lower: tuple[int, int, int], side: int) -> Region:
    return Region(lower, np.ones((side, side, side), bool))


def test_the_object_fills_two_thirds_of_its_patch() -> None:
    grid = patch_for((30, 40, 50), (60, 70, 80), (1.0, 1.0, 1.0), (64, 64, 64))
    np.testing.assert_allclose(grid.size, [45, 45, 45])
    np.testing.assert_allclose(np.add(grid.start, np.divide(grid.size, 2)), [45, 55, 65])


def test_no_side_is_stretched_beyond_measure() -> None:
    grid = patch_for((0, 0, 0), (2, 100, 100), (5.0, 1.0, 1.0), (64, 64, 64))
    sides = np.asarray(grid.size) * (5.0, 1.0, 1.0)
    assert sides.max() / sides.min() <= 4.0 + 1e-9


def test_a_slice_keeps_its_depth() -> None:
    assert patch_for((0, 10, 10), (1, 40, 50), (1.0, 1.0, 1.0), (1, 64, 64)).size[0] == 1


def test_the_search_for_a_size_reaches_from_the_mark_to_the_whole() -> None:
    marked = (np.array([10.0, 10, 10]), np.array([11.0, 11, 11]))
    sides = search_sides((100, 200, 200), (2.0, 1.0, 1.0), marked)
    assert sides[0] == 16
    assert sides[-1] == 200
    assert sides == sorted(sides)


def test_the_search_ends_near_an_outline_in_a_slice() -> None:
    outline = np.array((50.0, 60, 60)), np.array((51.0, 80, 90))
    whole = search_sides((100, 200, 200), (2.0, 1.0, 1.0), outline)
    near = search_sides((100, 200, 200), (2.0, 1.0, 1.0), outline, is_outlined=True)
    assert near == [side for side in whole if side <= 75]
    assert search_sides((4, 9, 9), (1.0, 1.0, 1.0), (np.zeros(3), np.ones(3)), is_outlined=True)


def test_fine_patches_follow_the_outline_only_where_cells_are_coarse() -> None:
    mask = np.zeros((64, 64, 64), bool)
    mask[12:52, 12:52, 12:52] = True
    fine = PatchGrid.around((0, 0, 0), (64, 64, 64), (64, 64, 64))
    coarse = PatchGrid.around((0, 0, 0), (256, 256, 256), (64, 64, 64))
    newest = cube((200, 200, 200), 1)
    assert tiles_along(fine, mask, [newest]) == []
    tiles = tiles_along(coarse, mask, [newest])
    assert 0 < len(tiles) <= MAX_TILES
    for tile in tiles:
        np.testing.assert_allclose(tile.step, 2.0)
    # The newest prompt lies at the outline, so its neighbourhood comes first.
    assert all(s <= 200 < s + n for s, n in zip(tiles[0].start, tiles[0].size, strict=True))


def test_fine_patches_lie_only_where_the_mask_may_change() -> None:
    mask = np.zeros((64, 64, 64), bool)
    mask[4:60, 4:60, 4:60] = True
    coarse = PatchGrid.around((0, 0, 0), (256, 256, 256), (64, 64, 64))
    newest = cube((239, 128, 128), 1)
    assert len(tiles_along(coarse, mask, [newest])) > 1
    (tile,) = tiles_along(coarse, mask, [newest], (np.array((230.0, 120, 120)), np.array((250.0, 140, 140))))
    assert all(s <= p < s + n for s, n, p in zip(tile.start, tile.size, newest.lower, strict=True))
    assert tiles_along(coarse, mask, [newest], (np.full(3, 100.0), np.full(3, 140.0))) == []


def test_confidence_is_the_dice_that_the_probabilities_promise() -> None:
    grid = PatchGrid.around((0, 0, 0), (4, 4, 4), (4, 4, 4))
    sure = torch.full((4, 4, 4), -50.0)
    sure[:2] = 50.0
    assert Look(grid, sure).confidence > 0.999
    # Probability 3/4 inside, 1/4 outside: 2 * 24 / (32 + 24 + 8)
    unsure = torch.where(sure > 0, np.log(3.0), -np.log(3.0))
    np.testing.assert_allclose(Look(grid, unsure).confidence, 2 * 24 / 64, rtol=1e-5)


def looks_at(sizes: Sequence[int], sides: Sequence[int]) -> list[Look]:
    """Answers to a click in the middle: a cube of ``sizes`` voxels a side, in patches of ``sides`` voxels."""
    looks = []
    for size, side in zip(sizes, sides, strict=True):
        cells = np.abs(np.arange(16) - 7.5) * side / 16 < size / 2
        mask = cells[:, None, None] & cells[:, None] & cells
        logits = torch.from_numpy(np.where(mask, 4.0, -4.0)).float()
        looks.append(Look(PatchGrid.around((-side / 2,) * 3, (side / 2,) * 3, (16, 16, 16)), logits))
    return looks


def test_the_size_found_in_patches_of_several_sizes_is_the_objects() -> None:
    # A small core, the whole twice, and all that lies around it.
    assert steadiest(looks_at([4, 20, 24, 100], [16, 32, 64, 128]), [(0, 0, 0)]).grid.size[0] in (32, 64)
    # What grows with its patch is less than what stays.
    assert steadiest(looks_at([8, 16, 32, 36, 36], [16, 32, 64, 128, 256]), [(0, 0, 0)]).grid.size[0] == 128


def test_a_size_that_was_tried_alone_is_taken() -> None:
    look = looks_at([8], [16])
    assert steadiest(look, [(0, 0, 0)]) is look[0]


def test_an_empty_answer_is_no_size() -> None:
    looks = looks_at([0, 20, 24, 0], [16, 32, 64, 128])
    assert steadiest(looks, [(0, 0, 0)]).mask.any()


def test_a_correction_is_looked_at_ever_closer_until_its_cells_are_as_fine_as_the_image() -> None:
    mark = cube((100, 100, 100), 1)
    grids = closer_at(mark, np.array([1.2, 6.0, 3.0]), (64, 64, 64))
    np.testing.assert_allclose([grid.step for grid in grids], [[1, 3, 1.5], [1, 1.5, 1]])
    for grid in grids:
        np.testing.assert_allclose(np.add(grid.start, np.divide(grid.size, 2)), 100.5)
    assert closer_at(mark, np.array([COARSE, 0.5, 1.0]), (64, 64, 64)) == []
    flat = closer_at(cube((0, 100, 100), 1), np.array([1.0, 4.0, 4.0]), (1, 64, 64))
    assert [grid.size for grid in flat] == [(1.0, 128.0, 128.0), (1.0, 64.0, 64.0)]


def test_two_masks_joined() -> None:
    both = joined(cube((1, 1, 1), 2), cube((4, 4, 4), 2))
    assert both.count == 16
    assert joined(Region.empty(), both).count == joined(both, Region.empty()).count == 16


def test_what_is_pasted_within_a_box_is_what_the_whole_has_there() -> None:
    whole = Look(PatchGrid.around((0, 0, 0), (64, 64, 64), (16, 16, 16)), torch.full((16, 16, 16), -1.0))
    closer = Look(PatchGrid.around((16, 16, 16), (48, 48, 48), (16, 16, 16)), torch.full((16, 16, 16), 5.0))
    region, _ = paste([whole, closer], (64, 64, 64))
    lower, upper = (10, 10, 20), (30, 70, 41)
    part, box = paste([whole, closer], (64, 64, 64), (lower, upper))
    assert box == (lower, (30, 64, 41))
    np.testing.assert_array_equal(part.inside(*box), region.inside(*box))
    assert not paste([whole], (64, 64, 64), ((64, 0, 0), (70, 9, 9)))[0]


def test_finer_looks_overrule_the_coarse_one_inside_their_patch() -> None:
    whole = Look(PatchGrid.around((0, 0, 0), (64, 64, 64), (16, 16, 16)), torch.full((16, 16, 16), -1.0))
    closer = Look(PatchGrid.around((16, 16, 16), (48, 48, 48), (16, 16, 16)), torch.full((16, 16, 16), 5.0))
    region, box = paste([whole, closer], (64, 64, 64))
    assert box == ((0, 0, 0), (64, 64, 64))
    assert region.inside((20, 20, 20), (44, 44, 44)).all()
    assert not region.full((64, 64, 64))[:16].any()


def test_what_lies_outside_the_patch_stays() -> None:
    before = cube((0, 0, 0), 10)
    after = replaced(before, cube((5, 5, 5), 2), (5, 5, 5), (20, 20, 20))
    full = after.full((20, 20, 20))
    assert full[:5, :5, :5].all()
    assert full[5:7, 5:7, 5:7].all()
    assert not full[7:, 7:, 7:].any()


def test_the_threshold_counts_in_voxels_too() -> None:
    grid = PatchGrid.around((0, 0, 0), (32, 32, 32), (32, 32, 32))
    logits = torch.full((32, 32, 32), -1.0)
    assert not paste([Look(grid, logits)], (32, 32, 32))[0]
    assert paste([Look(grid, logits, threshold=-2.0)], (32, 32, 32))[0].count == 32**3
    assert Look(grid, logits, threshold=-2.0).pieces_at([]).count == 32**3


def test_the_ellipsoid_in_a_box_decides_what_the_network_is_unsure_of() -> None:
    grid = PatchGrid.around((0, 0, 0), (32, 32, 32), (32, 32, 32))
    box = torch.zeros((1, 1, 32, 32, 32))
    box[..., 6:26, 6:26, 6:26] = 1
    cells = np.indices((32, 32, 32)) - 15.5
    ball = np.sqrt((cells**2).sum(0)) < 10
    unsure = leant_to_ellipsoid(Look(grid, torch.full((32, 32, 32), -0.25)), box)
    np.testing.assert_array_equal(unsure.mask.numpy(), ball)
    sure = torch.full((32, 32, 32), -3.0)
    sure[6:26, 6:26, 6:9] = 3.0
    kept = leant_to_ellipsoid(Look(grid, sure), box).mask
    torch.testing.assert_close(kept, sure > 0)


def test_only_marked_pieces_stay() -> None:
    mask = cube((0, 0, 0), 3).full((20, 20, 20)) | cube((10, 10, 10), 3).full((20, 20, 20))
    kept = marked_pieces(Region.of(mask), [cube((11, 11, 11), 1)])
    assert (kept.lower, kept.count) == ((10, 10, 10), 27)
    assert marked_pieces(Region.of(mask), [cube((7, 7, 7), 1)]).count == 54  # the mark touches nothing: keep all


def test_a_box_in_a_slice_bounds_the_answer_there_and_nearly_elsewhere() -> None:
    spread = cube((0, 0, 0), 40)
    box = Region((20, 10, 12), np.ones((1, 8, 12), bool))
    left = bounded_in_slices(spread, [box])
    assert (left.lower, left.upper) == ((0, 8, 9), (40, 20, 27))
    np.testing.assert_array_equal(left.full((40, 40, 40))[20], box.full((40, 40, 40))[20])
    second = Region((20, 30, 12), np.ones((1, 4, 4), bool))
    both = bounded_in_slices(spread, [box, second]).full((40, 40, 40))
    np.testing.assert_array_equal(both[20], (box.full((40, 40, 40)) | second.full((40, 40, 40)))[20])
    across = Region((10, 15, 12), np.ones((20, 1, 12), bool))
    crossed = bounded_in_slices(spread, [box, across]).full((40, 40, 40))
    assert crossed[20, 15].sum() == 12
    assert not bounded_in_slices(cube((0, 0, 0), 4), [box])
    assert bounded_in_slices(spread, []) is spread


def test_a_box_drawn_later_bounds_its_slice_alone() -> None:
    spread = cube((0, 0, 0), 40)
    box = Region((20, 10, 12), np.ones((1, 8, 12), bool))
    left = bounded_in_slice(spread, box, [box]).full((40, 40, 40))
    np.testing.assert_array_equal(left[20], box.full((40, 40, 40))[20])
    assert np.delete(left, 20, axis=0).all()
    click = Region((20, 30, 30), np.ones((1, 1, 1), bool))
    assert bounded_in_slice(spread, box, [box], [click]) is spread
    elsewhere = Region((21, 30, 30), np.ones((1, 1, 1), bool))
    assert bounded_in_slice(spread, box, [box], [elsewhere]).count == spread.count - 1600 + 96
    assert not bounded_in_slice(Region.empty(), box, [box])


def test_the_users_word_is_kept_and_the_last_word_counts() -> None:
    shape = (20, 20, 20)
    region = obeyed(cube((5, 5, 5), 5), [Point((6, 6, 6), positive=False), Point((15, 15, 15))], shape)
    full = region.full(shape)
    assert not full[6, 6, 6]
    assert full[15, 15, 15]
    both = [Point((6, 6, 6), positive=False), Point((6, 6, 6))]
    assert obeyed(region, both, shape).full(shape)[6, 6, 6]
    emptied = obeyed(region, [Box((5, 5, 5), (10, 10, 10), positive=False)], shape)
    assert emptied.count == 1
    assert obeyed(Region.empty(), [MaskPrompt(cube((1, 1, 1), 3))], shape).count == 27


def test_each_slice_has_a_confidence_of_its_own() -> None:
    grid = PatchGrid.around((2, 0, 0), (10, 4, 4), (4, 4, 4))  # two slices to a cell
    logits = torch.full((4, 4, 4), -50.0)
    logits[1] = 50.0
    logits[2, :2] = np.log(3.0)
    logits[2, 2:] = -np.log(3.0)
    sure = Look(grid, logits).slice_confidence((20, 4, 4))
    assert set(sure) == {4, 5, 6, 7}
    assert min(sure[4], sure[5]) > 0.999
    # Probability 3/4 in half of the slice, 1/4 in the other: 2 * 6 / (8 + 6 + 2)
    np.testing.assert_allclose([sure[6], sure[7]], 2 * 6 / 16, rtol=1e-5)
