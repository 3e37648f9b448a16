"""napari sample data: the demo cases, with their truth in a hidden layer."""

from __future__ import annotations

from napari_medsam.engine.samples.sample import Sample
from napari_medsam.widgets.layer_data import LayerData, image_layer, labels_layer


def mni152() -> list[LayerData]:
    """The MNI152 head, T1-weighted, with its tissues."""
    from napari_medsam.engine.samples import mni152 as load

    return _layers(load(), "MNI152 T1")


def ct_phantom() -> list[LayerData]:
    """A generated CT of chest and belly, oblique, with its organs."""
    from napari_medsam.engine.samples import ct_phantom as generate

    return _layers(generate(), "CT phantom")


def _layers(sample: Sample, name: str) -> list[LayerData]:
    data, meta, kind = labels_layer(sample.labels, sample.volume, f"{name}: truth", dict(sample.names))
    return [(data, {**meta, "visible": False}, kind), image_layer([sample.volume], name)]
