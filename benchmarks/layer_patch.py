"""How long the GUI thread is held by showing a changed mask in napari, on a 512 x 512 x 300 image.

Ours composes the labels of the changed box and writes them into the layer's array; the peer way, found in most napari
plugins, gives the layer a new array of the whole volume. Needs a display.

    xvfb-run -a python benchmarks/layer_patch.py [--quick] [--json FILE]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import napari
import numpy as np
from _rows import Rows, arguments, hardware
from napari.layers import Image
from qtpy.QtWidgets import QApplication

from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Prediction, SegmenterInfo
from napari_medsam.engine.session import Session
from napari_medsam.engine.volume import Index3, Volume
from napari_medsam.widgets.layer_family import load_layer_types
from napari_medsam.widgets.layer_grid import LayerGrid
from napari_medsam.widgets.result_layer import ResultLayer, blank_labels

SHAPE = (300, 512, 512)
BOXES: dict[str, tuple[Index3, Index3]] = {
    "lesion 20 x 30 x 30": ((140, 240, 240), (160, 270, 270)),
    "kidney 60 x 80 x 80": ((100, 200, 100), (160, 280, 180)),
    "liver 128 x 200 x 234": ((86, 100, 100), (214, 300, 334)),
}


class _NoModel:
    """Masks are given by hand here; no prediction is timed."""

    info = SegmenterInfo("none", "None", "", "", frozenset())

    def prepare(self, *_: object) -> None:
        return None

    def predict(self, *_: object) -> Prediction:
        raise NotImplementedError


def _ellipsoid(lower: Index3, upper: Index3) -> Region:
    grids = np.ogrid[tuple(slice(-1, 1, complex(0, u - low)) for low, u in zip(lower, upper, strict=True))]
    return Region(lower, sum(g**2 for g in grids) <= 1)


def _milliseconds(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begun))
        QApplication.processEvents()
    return statistics.median(times), max(times)


def main() -> None:
    options = arguments(__doc__).parse_args()
    print(hardware())
    repeats = 3 if options.quick else 20

    viewer = napari.Viewer()
    voxels = np.zeros(SHAPE, dtype=np.int16)
    image = Image(voxels, contrast_limits=(0, 1))
    viewer.add_layer(image)
    session = Session(Volume(voxels), _NoModel())
    grid = LayerGrid(SHAPE)
    result = ResultLayer(viewer, image, grid, {})

    rows = Rows()
    load_layer_types()
    blank = blank_labels(SHAPE, 0, grid)
    begun = time.perf_counter()
    result.show(blank)
    rows.add("add the empty layer", "GUI thread", "ms", 1000 * (time.perf_counter() - begun))
    QApplication.processEvents()
    layer = result.layer
    assert layer is not None
    for case, (lower, upper) in BOXES.items():
        item = session.add_object()
        session.edit(item.id, _ellipsoid(lower, upper))
        result.set_colours({item.id: item.colour})
        begun = time.perf_counter()
        result.patch(0, lower, session.labels(lower, upper))
        rows.add(case, "first patch", "ms", 1000 * (time.perf_counter() - begun))
        ours, worst = _milliseconds(lambda lo=lower, up=upper: result.patch(0, lo, session.labels(lo, up)), repeats)
        theirs, _ = _milliseconds(lambda: setattr(layer, "data", session.labels()), max(2, repeats // 4))
        layer.data = layer.data.astype(np.uint8)
        rows.add(case, "patch, median", "ms", ours, "new array of the whole volume", theirs)
        rows.add(case, "patch, worst", "ms", worst)
    rows.save(options.json)
    viewer.close()


if __name__ == "__main__":
    main()
