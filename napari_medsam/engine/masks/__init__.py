"""Masks cleaned and labelled at the speed of memory: holes, islands, the largest piece, what was clicked.

Compiled kernels do the work where they were built, scipy where they were not, with the same results.
"""

from napari_medsam.engine.masks.operations import (
    fill_holes,
    fill_holes_as_sam2,
    fill_holes_up_to,
    keep_largest,
    keep_touching,
    label,
    remove_islands,
)

__all__ = [
    "fill_holes",
    "fill_holes_as_sam2",
    "fill_holes_up_to",
    "keep_largest",
    "keep_touching",
    "label",
    "remove_islands",
]
