"""A program that ends with its window open, as a script does, for `test_segment_window`."""

from __future__ import annotations

from qtpy.QtTest import QTest

from napari_medsam.engine.samples import ct_phantom
from napari_medsam.widgets.launch import open_window

volume = ct_phantom((20, 40, 40)).volume
viewer = open_window(volume, name="phantom")
QTest.qWait(300)
image = viewer.layers[0]


def show(level: int) -> None:
    """Scroll to a slice."""
    viewer.dims.point = image.data_to_world((level, 5, 5))


for z in range(5, 15):
    show(z)
    QTest.qWait(30)
