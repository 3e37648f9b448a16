"""Images and masks from and to files, on exact geometry.

Readers convert to (z, y, x) and LPS at this border; every error a file can cause is an `ImageError` or a `SaveError`.
"""

from napari_medsam.engine.io.aside import write_aside
from napari_medsam.engine.io.challenge import ChallengeCase, open_challenge
from napari_medsam.engine.io.labels import open_labels, open_segmentation
from napari_medsam.engine.io.opening import open_series, open_volume
from napari_medsam.engine.io.saved_object import SavedObject
from napari_medsam.engine.io.saving import save_objects
from napari_medsam.engine.io.values import looks_like_labels

__all__ = [
    "ChallengeCase",
    "SavedObject",
    "looks_like_labels",
    "open_challenge",
    "open_labels",
    "open_segmentation",
    "open_series",
    "open_volume",
    "save_objects",
    "write_aside",
]
