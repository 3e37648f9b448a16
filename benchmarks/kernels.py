"""How fast masks are cleaned and labelled, beside every peer in its best layout and a plain copy of the same voxels.

    pip install fill-voids connected-components-3d opencv-python-headless
    python benchmarks/kernels.py [--quick] [--json FILE] [--threads N] [--only CASE]

Each figure is the median of interleaved runs, milliseconds of wall time. A peer runs with the threads it takes by
itself; ours with as many as it thinks are of use, or N. The floor is a copy: into memory already in use, or into new
memory where the result is new. Peers that are not installed are left out. All of it takes ten minutes; CASE is part of
a case's name, as "organ".
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import kernel_masks
import numpy as np
import SimpleITK
from _rows import Rows, arguments, hardware
from scipy import ndimage
from skimage.measure import label as skimage_label
from skimage.morphology import remove_small_objects

from napari_medsam.engine import masks

ISLAND = 100
Work = Callable[[], Any]
# Seconds: a peer that has used them up is asked no more, though three times at least.
_PATIENCE = 4.0


def installed(name: str) -> ModuleType | None:
    """The module, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"({name} is not installed)")
        return None


FILL_VOIDS, CC3D, CV2 = installed("fill_voids"), installed("cc3d"), installed("cv2")


def fill_peers(mask: np.ndarray) -> dict[str, Work]:
    """Peers that fill all holes of one 3D mask."""
    peers: dict[str, Work] = {
        "SimpleITK": lambda: SimpleITK.GetArrayFromImage(
            SimpleITK.BinaryFillhole(SimpleITK.GetImageFromArray(mask), fullyConnected=False, foregroundValue=1)
        ),
        "scipy": lambda: ndimage.binary_fill_holes(mask),
    }
    if FILL_VOIDS:
        # Three times as fast on Fortran order as on C order.
        peers["fill_voids"] = lambda: FILL_VOIDS.fill(mask.T)
    if CC3D:
        peers["cc3d + look-up"] = lambda: _fill_by_labels(mask)
    return peers


def _fill_by_labels(mask: np.ndarray) -> np.ndarray:
    labels, count = CC3D.connected_components(mask == 0, connectivity=6, return_N=True)
    fill = np.ones(count + 1, np.uint8)
    for axis in range(mask.ndim):
        for end in (0, -1):
            fill[np.unique(np.take(labels, end, axis=axis))] = 0
    fill[0] = 1
    return fill[labels]


def island_peers(mask: np.ndarray) -> dict[str, Work]:
    """Peers that remove small 6-connected islands of one 3D mask."""

    def by_sitk() -> np.ndarray:
        parts = SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(mask), False)
        large = SimpleITK.RelabelComponent(parts, minimumObjectSize=ISLAND, sortByObjectSize=False)
        return SimpleITK.GetArrayFromImage(large > 0)

    def by_scipy() -> np.ndarray:
        labels, count = ndimage.label(mask)
        keep = np.bincount(labels.ravel(), minlength=count + 1) >= ISLAND
        keep[0] = False
        return keep[labels]

    peers: dict[str, Work] = {
        "SimpleITK": by_sitk,
        "scipy": by_scipy,
        "skimage": lambda: remove_small_objects(mask.view(bool), max_size=ISLAND - 1),
    }
    if CC3D:
        peers["cc3d.dust"] = lambda: CC3D.dust(mask.view(bool), threshold=ISLAND, connectivity=6)
    return peers


def label_peers(mask: np.ndarray) -> dict[str, Work]:
    """Peers that number the 6-connected parts of one 3D mask."""
    peers: dict[str, Work] = {
        "SimpleITK": lambda: SimpleITK.GetArrayFromImage(
            SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(mask), False)
        ),
        "scipy": lambda: ndimage.label(mask),
        "skimage": lambda: skimage_label(mask.view(bool), connectivity=1),
    }
    if CC3D:
        peers["cc3d"] = lambda: CC3D.connected_components(mask.view(bool), connectivity=6, out_dtype=np.uint32)
    return peers


def slice_peers(batch: np.ndarray) -> dict[str, Work]:
    """Peers that fill all holes of each slice."""

    def each(fill: Callable[[np.ndarray], np.ndarray]) -> Work:
        return lambda: np.stack([fill(one) for one in batch])

    def flooded(one: np.ndarray) -> np.ndarray:
        padded = CV2.copyMakeBorder(one, 1, 1, 1, 1, CV2.BORDER_CONSTANT, value=0)
        CV2.floodFill(padded, None, (0, 0), 2)
        return (padded[1:-1, 1:-1] != 2).astype(np.uint8)

    peers: dict[str, Work] = {"scipy": each(ndimage.binary_fill_holes)}
    if CV2:
        peers["OpenCV floodFill"] = each(flooded)
    if FILL_VOIDS:
        peers["fill_voids"] = each(FILL_VOIDS.fill)
    return peers


class Race:
    """Runs ours and the peers by turns, so that a busy moment of the machine hits all alike."""

    def __init__(self, rows: Rows, repeats: int) -> None:
        self.rows = rows
        self.repeats = repeats

    def run(self, case: str, metric: str, ours: Work, peers: dict[str, Work], prepare: Work | None = None) -> None:
        """Time all; a row for each peer. ``prepare`` comes before each of ours and is not timed."""
        times: dict[str, list[float]] = {name: [] for name in ("", *peers)}
        for turn in range(self.repeats):
            for name, work in {"": ours, **peers}.items():
                if turn >= 3 and name and sum(times[name]) > _PATIENCE:
                    continue
                if name == "" and prepare is not None:
                    prepare()
                begun = time.perf_counter()
                work()
                times[name].append(time.perf_counter() - begun)
        median = {name: 1000 * statistics.median(seconds) for name, seconds in times.items()}
        for name in sorted(peers, key=median.__getitem__):
            self.rows.add(case, metric, "ms", median[""], name, median[name])
        if not peers:
            self.rows.add(case, metric, "ms", median[""])


def volume(race: Race, case: str, mask: np.ndarray, threads: int | None, few: bool) -> None:
    """All operations on one 3D mask; only the fastest peers where few are wanted."""
    out, work, labels = np.ones_like(mask), mask.copy(), np.ones(mask.shape, np.int32)
    floor: dict[str, Work] = {"copyto (floor)": lambda: np.copyto(out, mask)}
    fresh: dict[str, Work] = {"copy (floor)": mask.copy}
    own: dict[str, Any] = {"threads": threads}

    def fastest(peers: dict[str, Work]) -> dict[str, Work]:
        return {name: peer for name, peer in peers.items() if not few or name in ("fill_voids", "cc3d", "cc3d.dust")}

    def restore() -> None:
        np.copyto(work, mask)

    race.run(case, "fill holes", lambda: masks.fill_holes(mask, **own), fastest(fill_peers(mask)) | fresh)
    race.run(case, "fill holes and read it", lambda: masks.fill_holes(mask, **own).sum(), {})
    race.run(case, "fill holes, out=", lambda: masks.fill_holes(mask, out=out, **own), floor)
    race.run(case, "fill holes, in place", lambda: masks.fill_holes(work, out=work, **own), floor, restore)
    islands = {"connectivity": 6, **own}
    race.run(
        case,
        f"islands < {ISLAND}",
        lambda: masks.remove_islands(mask, ISLAND, **islands),
        fastest(island_peers(mask)) | fresh,
    )
    race.run(case, "keep largest, in place", lambda: masks.keep_largest(work, out=work, **islands), floor, restore)
    race.run(case, "labels", lambda: masks.label(mask, **islands), fastest(label_peers(mask)))
    race.run(case, "labels, out=", lambda: masks.label(mask, out=labels, **islands), {})


def batch_of_slices(race: Race, case: str, batch: np.ndarray, threads: int | None) -> None:
    """Holes of each slice."""
    out = np.ones_like(batch)
    peers = slice_peers(batch) | {"copyto (floor)": lambda: np.copyto(out, batch)}
    race.run(case, "fill holes of slices", lambda: masks.fill_holes(batch, dims=2, threads=threads), peers)


def region(race: Race, case: str, mask: np.ndarray, threads: int | None) -> None:
    """Cleaning what a click changed."""
    centre = [n // 2 for n in mask.shape]
    box = tuple(c - 20 for c in centre), tuple(c + 20 for c in centre)
    work = mask.copy()
    options = {"region": box, "out": work, "threads": threads}
    race.run(case, "fill holes in 40³, in place", lambda: masks.fill_holes(work, **options), {})


def extra_memory(rows: Rows, case: str, mask: np.ndarray) -> None:
    """Peak memory of the process beyond the mask's own, in place; Linux alone lets the peak be set back."""
    work = mask.copy()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return
    before = _peak()
    masks.fill_holes(work, out=work)
    rows.add(case, "extra memory, in place", "B/voxel", (_peak() - before) / mask.size)


def _peak() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def main() -> None:
    """Run all and print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--threads", type=int, help="threads of ours (default: as many as are of use)")
    parser.add_argument("--only", metavar="CASE", default="", help="part of the name of the cases to run")
    options = parser.parse_args()
    print(hardware())
    rows = Rows()
    race = Race(rows, 3 if options.quick else 15)
    large = (60, 128, 128) if options.quick else (300, 512, 512)
    size = "x".join(map(str, reversed(large)))

    def is_wanted(case: str) -> bool:
        return options.only in case

    for kind in filter(lambda kind: is_wanted(f"{size} {kind}"), ("organ", "field", "noise")):
        mask = kernel_masks.volume(kind, large)
        case = f"{size} {kind}"
        extra_memory(rows, case, mask)
        if kind == "organ":
            region(race, case, mask, options.threads)
        volume(race, case, mask, options.threads, few=kind == "noise")
    for kind in ("organ", "field"):
        if is_wanted(case := f"128³ {kind}"):
            volume(race, case, kernel_masks.volume(kind, (128, 128, 128)), options.threads, few=options.quick)
        for count, side in ((1, 1024), (64, 256)):
            if is_wanted(case := f"{side}² {kind}" if count == 1 else f"{count} x {side}² {kind}"):
                batch_of_slices(race, case, kernel_masks.slices(kind, count, side), options.threads)
    rows.save(options.json)


if __name__ == "__main__":
    main()
