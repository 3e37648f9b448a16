"""Opens napari with an image and the *Segment* widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_medsam.engine.prompts import Box
from napari_medsam.engine.volume import Volume

if TYPE_CHECKING:
    import napari.viewer

WIDGET_NAME = "Segment"


def open_window(volume: Volume, box: Box | None = None, name: str = "image") -> napari.viewer.Viewer:
    """Open a viewer with an image and the *Segment* widget; start the event loop afterwards with ``napari.run()``.

    Parameters
    ----------
    volume : Volume
        The image.
    box : Box, optional
        A first prompt, given and answered as if the user had drawn it; the viewer shows the slice through its middle.
    name : str
        Name of the image layer.

    Returns
    -------
    napari.viewer.Viewer
        The viewer, shown.
    """
    # Qt starts with these imports, and the command line has commands that need no window.
    import napari
    from napari.layers import Image

    from napari_medsam.widgets.layer_data import image_layer
    from napari_medsam.widgets.segment_widget import SegmentWidget

    viewer = napari.Viewer(title="napari-medsam")
    data, meta, _ = image_layer([volume], name)
    layer = Image(data, **meta)
    viewer.add_layer(layer)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name=WIDGET_NAME, area="right")
    if box is not None:
        middle = [(low + up - 1) / 2 for low, up in zip(box.lower, box.upper, strict=True)]
        viewer.dims.point = layer.data_to_world(middle[3 - layer.ndim :])
        widget.controller.give(box)
    return viewer
