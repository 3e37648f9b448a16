"""The size that an answer is told with."""

import numpy as np

from napari_medsam.engine.objects import SegmentedObject, colour_for
from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import Volume
from napari_medsam.widgets.answer_text import answer_text


def test_a_sheared_gantry_counts_the_millilitres_that_are_there() -> None:
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    affine[1, 2] = 3.0  # slices shifted along a tilted gantry: longer edges, the same volume
    volume = Volume(np.zeros((20, 20, 20), np.float32), affine)
    item = SegmentedObject(1, "Liver", colour_for(1), mask=Region((0, 0, 0), np.ones((10, 10, 10), bool)))
    assert answer_text(item, volume, None).startswith("Liver: 20 ml.")
