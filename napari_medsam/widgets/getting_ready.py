"""What the first stroke and the first answer need, made ready while the user still looks at the widget."""

import gc
from functools import cache
from importlib import import_module

import numpy as np


@cache
def get_ready() -> None:
    """Import torch and all that our kinds of layer import when they are first made; to be called on the engine thread.

    That takes some seconds, which the first click would otherwise wait for.

    Python's search for garbage is put off meanwhile and done once afterwards. A search through everything holds all
    threads up, for 0.3 to 0.4 s once torch and napari are there, and is due whenever there is a quarter more than at
    the last: without this the next one came while the first strokes were drawn.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        from napari.layers import Labels, Points, Shapes

        Labels(np.zeros((1, 1), dtype=np.uint8))
        Points(np.zeros((1, 2)))
        Shapes([np.array([[0, 0], [0, 1], [1, 1], [1, 0]])], shape_type="polygon")
        import_module("napari_medsam.engine.segmenters.compact")
    finally:
        if collecting:
            gc.enable()
            gc.collect()
