"""Layers of ours in a viewer: held by identity, placed exactly like the image they belong to, gone when it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

PLACEMENT = ("affine", "scale", "translate", "rotate", "shear", "units", "axis_labels")


def load_layer_types() -> None:
    """Import everything that our kinds of layer import when they are first made; to be called on the engine thread.

    That is pandas among others, a second and more, which the first click would otherwise wait for.
    """
    import numpy as np
    from napari.layers import Labels, Points, Shapes

    Labels(np.zeros((1, 1), dtype=np.uint8))
    Points(np.zeros((1, 2)))
    Shapes([np.array([[0, 0], [0, 1], [1, 1], [1, 0]])], shape_type="polygon")


def placement_of(layer: Layer) -> dict[str, Any]:
    """Everything that says where a layer's data lie, as arguments of another layer; only together are they right."""
    return {name: getattr(layer, name) for name in PLACEMENT}


def holds(viewer: ViewerModel, layer: Layer | None) -> bool:
    """Whether this very layer is in the viewer."""
    # Iterating gives the layers themselves, where napari hands plugins a proxy of the viewer.
    return layer is not None and any(other is layer for other in viewer.layers)


def drop(viewer: ViewerModel, layer: Layer | None) -> None:
    """Take a layer of ours out of the viewer, unless the user was quicker."""
    if holds(viewer, layer):
        viewer.layers.remove(layer)


def add_on_top(viewer: ViewerModel, layer: Layer, image: Image) -> None:
    """Add a layer of ours over all others; ``image`` stays the selected layer, which is what prompts are drawn on."""
    viewer.add_layer(layer)
    viewer.layers.selection.active = image


def add_over(viewer: ViewerModel, layer: Layer, image: Image) -> None:
    """Add a layer of ours right over ``image``, which stays the selected layer."""
    viewer.layers.insert(viewer.layers.index(image) + 1, layer)
    viewer.layers.selection.active = image
