"""Layers of ours in a viewer: held by identity, placed exactly like the image they belong to, gone when it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

PLACEMENT = ("affine", "scale", "translate", "rotate", "shear", "units", "axis_labels")


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
