"""Batches of training samples from a pool of patches.

Every draw of a sample depends on the seed, the step and the sample's number in the batch alone: a batch is the same
whether one process makes it or several make their shares, and whether the training was interrupted or not.
"""

import re
import struct
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from augment import degrade, lesion, recolour, repaint, wall_or_tree
from config import Config
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from napari_medsam.engine.region import Region

ENOUGH = 13
"""Voxels a slice should hold of the object to be worth a look in 2D."""

CLEAR = 0.6
"""Clarity of a patch that `Config.clear` asks for; a quarter of labelled patches have less, of hollow ones a half."""

_COMPACT = 0.3
"""Share of its box from which on an object is compact: thinner ones are not told by their box."""

_DRAWS = 4  # at most, for a clear patch

_WINDOW = 0.3
"""Side of the smallest window in a patch: what a search from a click sees of an object three times its patch."""


class Pool:
    """Patches on disk, read where they are needed; what is read often, the system keeps in memory."""

    def __init__(self, *folders: Path) -> None:
        self.shards = []
        for folder in folders:
            found = sorted(path for path in folder.glob("*.npz") if re.fullmatch(r"\d+-\d+\.npz", path.name))
            if not found:
                raise SystemExit(f"{folder} holds no patches; make some with pool.py")
            self.shards += found
        self.ends = np.cumsum([len(_mapped(path)["images"]) for path in self.shards])
        self.is_flat = _mapped(self.shards[0])["images"].shape[1] == 1

    def __len__(self) -> int:
        return int(self.ends[-1])

    def patch(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One patch as it lies on the disk: image uint8, mask bool, box ``(2, 3)``."""
        place = int(np.searchsorted(self.ends, number, side="right"))
        shard = _mapped(self.shards[place])
        i = number - self.ends[place]  # negative: counted from the shard's end
        image = shard["images"][i]
        mask = np.unpackbits(shard["masks"][i], count=image.size).reshape(image.shape).astype(bool)
        return image, mask, shard["boxes"][i]

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One patch in a random orientation."""
        image, mask, box = self.patch(int(rng.integers(len(self))))
        order = np.arange(3)
        deep = np.flatnonzero(np.array(image.shape) > 1)
        order[deep] = rng.permutation(deep)
        flips = rng.random(3) < 0.5
        box = box[:, order]
        sides = np.array(image.shape)[order]
        box = np.where(flips, sides - box[::-1], box)
        image, mask = (np.flip(a.transpose(order), np.flatnonzero(flips)) for a in (image, mask))
        return image, mask, box


@lru_cache(maxsize=256)  # each keeps a file open
def _mapped(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an uncompressed ``.npz`` without reading them: numpy maps ``.npy`` files only."""
    arrays = {}
    memory = np.memmap(path, dtype=np.uint8, mode="r")
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for entry in archive.infolist():
            # The local header's name and extra field come before the bytes of the entry (PKWARE APPNOTE, 4.3.7).
            file.seek(entry.header_offset + 26)
            file.seek(sum(struct.unpack("<HH", file.read(4))), 1)
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            arrays[Path(entry.filename).stem] = np.ndarray(shape, dtype, memory, file.tell())
    return arrays


@dataclass
class Batch:
    """Images, masks and fields of view ``(n, 1, z, y, x)`` float32, box edges ``(n, 2, 3)`` and random generators."""

    image: Tensor
    truth: Tensor
    field: Tensor
    boxes: np.ndarray
    rngs: list[np.random.Generator]


def batch_of(pool: Pool, config: Config, done: int, members: Iterable[int]) -> Batch:
    """Those samples of the batch after ``done`` steps whose numbers are in ``members``."""
    # Seeds (s, t) and (s, t, 0) draw the same, and the first is the whole batch's: samples count from one.
    parts = [_sample(pool, config, np.random.default_rng([config.seed, done, 1 + member])) for member in members]
    return Batch(
        torch.cat([part.image for part in parts]),
        torch.cat([part.truth for part in parts]),
        torch.cat([part.field for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        [rng for part in parts for rng in part.rngs],
    )


def _sample(pool: Pool, config: Config, rng: np.random.Generator) -> Batch:
    """One patch, or in 2D some slices of it."""
    image, mask, box = pool.draw(rng)
    if rng.random() < config.hollow:
        image, mask, box = min((image, mask, box), pool.draw(rng), key=lambda patch: fill_of(patch[1]))
    if config.clear and rng.random() < config.clear:
        for _ in range(_DRAWS - 1):
            if clarity_of(image, mask) >= CLEAR:
                break
            image, mask, box = pool.draw(rng)
    field = field_of(image)
    put = rng.random() if config.lesion or config.wall else 1.0
    if put < config.lesion + config.wall:
        image, mask = (lesion if put < config.lesion else wall_or_tree)(rng, image, field)
        box = _edges(mask)
    else:
        if config.tight and rng.random() < config.tight:
            box = _tightened(mask, box)
        if config.repaint and rng.random() < config.repaint and fill_of(mask) >= _COMPACT:
            image = repaint(rng, image, mask)
    if config.zoom and rng.random() < config.zoom:
        image, mask, field, box = _zoomed(rng, image, mask, field, box)
    pictures, masks, boxes = recolour(rng, image)[None], mask[None], box[None]
    fields = field[None]
    if config.dims == 2:
        areas = mask.sum(axis=(1, 2))
        levels = np.flatnonzero(areas >= min(ENOUGH, areas.max()))
        levels = rng.choice(levels, min(config.slices, len(levels)), replace=False)
        pictures, masks, fields = pictures[0, levels, None], mask[levels, None], fields[0, levels, None]
        boxes = np.stack([_slice_box(rng, mask[z], box, 0.5 * (1 - config.tight)) for z in levels])
    picture = torch.from_numpy(np.ascontiguousarray(pictures))[:, None]
    truth, field = (torch.from_numpy(np.ascontiguousarray(a)).float()[:, None] for a in (masks, fields))
    if config.cells:
        size = [min(n, config.cells) for n in picture.shape[2:]]
        boxes = boxes * (np.array(size) / picture.shape[2:])
        picture = functional.interpolate(picture, size=size, mode="area")
        truth, field = ((functional.interpolate(a, size=size, mode="area") > 0.5).float() for a in (truth, field))
    return Batch(degrade(rng, picture), truth, field, boxes, rng.spawn(len(truth)))


def field_of(image: np.ndarray) -> np.ndarray:
    """The part of a patch that shows the image: beyond its border the outermost plane repeats."""
    field = np.ones(image.shape, dtype=bool)
    for axis, cells in enumerate(image.shape):
        planes = np.moveaxis(image, axis, 0).reshape(cells, -1)
        changes = np.flatnonzero((planes[1:] != planes[:-1]).any(axis=1))
        if len(changes):
            outer = np.moveaxis(field, axis, 0)
            outer[: changes[0]] = False
            outer[changes[-1] + 2 :] = False
    return field


def fill_of(mask: np.ndarray) -> float:
    """Share of its own box that an object fills."""
    region = Region.of(mask)
    return region.count / max(1, region.voxels.size)


def clarity_of(image: np.ndarray, mask: np.ndarray) -> float:
    """Dice of the best that grey levels and the box say about an object.

    Of the box's pieces whose grey levels are the object's more often than not, those that are mostly the object; a
    compact object is clear by its box alone. Where this is low, only who knows the structure can outline it, and a
    network without such knowledge learns to answer the middle of the box.
    """
    region = Region.of(mask)
    inside = region.voxels
    sigma = [0.7 if n > 1 else 0.0 for n in image.shape]
    levels = ndimage.gaussian_filter(image[region.slices], sigma) >> 3
    counts = [np.bincount(levels[part], minlength=32) for part in (inside, ~inside)]
    pieces, count = ndimage.label((counts[0] > counts[1])[levels])
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    held = np.bincount(pieces[inside], minlength=count + 1)
    ours = held > 0.5 * sizes
    ours[0] = False
    return float(2 * held[ours].sum() / (sizes[ours].sum() + region.count))


def _tightened(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The box round the object itself; as it was where there is none or where the patch cuts the object off."""
    if is_cut_off(mask) or not np.isfinite(box).all():
        return box
    return _edges(mask)


def _edges(mask: np.ndarray) -> np.ndarray:
    """The box round an object, float32 ``(2, 3)``."""
    region = Region.of(mask)
    return np.array([region.lower, region.upper], np.float32)


def _zoomed(
    rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, field: np.ndarray, box: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A window round a cell of the object, in as many cells as the whole; the box in cells of the window."""
    shape = np.array(image.shape)
    side = np.where(shape > 1, np.maximum(2, np.round(shape * rng.uniform(_WINDOW, 1))), 1).astype(int)
    centre = np.argwhere(mask)[rng.integers(np.count_nonzero(mask))]
    start = np.clip(centre - side // 2, 0, shape - side)
    window = tuple(slice(a, a + n) for a, n in zip(start, side, strict=True))
    image, mask, field = (a[window] for a in (image, mask, field))
    layers = torch.from_numpy(np.stack([image, mask, field]).astype(np.float32))[None]
    grey, inside, seen = functional.interpolate(layers, size=tuple(shape), mode="trilinear")[0].numpy()
    return np.round(grey).astype(np.uint8), inside > 0.5, seen > 0.5, (box - start) * (shape / side)


def is_cut_off(mask: np.ndarray) -> bool:
    """Whether an object reaches the border of its patch: it may go on there."""
    region = Region.of(mask)
    at_border = (np.array(region.lower) == 0) | (np.array(region.upper) == mask.shape)
    return bool((at_border & (np.array(mask.shape) > 1)).any())


def _slice_box(rng: np.random.Generator, mask: np.ndarray, box: np.ndarray, loose: float) -> np.ndarray:
    """The box in one slice: at times (``loose``) the 3D box, else one drawn round the slice's own outline."""
    if np.isfinite(box).all() and rng.random() < loose:
        return np.array([[0, *box[0, 1:]], [1, *box[1, 1:]]])
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    low = np.array([rows[0], columns[0]], dtype=float)
    high = np.array([rows[-1] + 1, columns[-1] + 1], dtype=float)
    room = rng.choice([0.0, 0.1, 0.4], p=[0.4, 0.4, 0.2]) * (high - low)
    low, high = low - rng.random(2) * room, high + rng.random(2) * room
    return np.array([[0, *low], [1, *high]])
