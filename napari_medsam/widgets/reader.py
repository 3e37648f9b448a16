"""napari reader of medical images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from napari_medsam.engine.volume import Volume
from napari_medsam.widgets.layer_data import LayerData, image_layer, labels_layer

_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".ima", ".npz")
_FILES_LOOKED_AT = 50
"""Files of a folder that are looked at to tell whether it holds DICOM; napari asks on the GUI thread."""

Reader = Callable[[str | Sequence[str]], list[LayerData]]


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """The reader of a path, or None to leave it to others: files by their ending, folders that hold DICOM."""
    paths = [path] if isinstance(path, str) else list(path)
    return read if paths and all(_is_ours(Path(p)) for p in paths) else None


def read(path: str | Sequence[str]) -> list[LayerData]:
    """Image layers, or labels layers for label maps, of one or several paths.

    A 4D image becomes one layer ``(frame, z, y, x)``. The `Volume` with its true affine lies in the layer's metadata.

    Raises
    ------
    ImageError
        If one cannot be opened.
    """
    paths = [path] if isinstance(path, str) else path
    return [layer for p in paths for layer in _layers(Path(p))]


def _is_ours(path: Path) -> bool:
    if not path.is_dir():
        return path.name.lower().endswith(_ENDINGS)
    from napari_medsam.engine.io.dicom_files import is_dicom

    files = (p for p in path.rglob("*") if p.is_file())
    return any(is_dicom(p) for p in itertools.islice(files, _FILES_LOOKED_AT))


def _layers(path: Path) -> list[LayerData]:
    # Imported here: the libraries behind it take a second, and napari asks for the reader of every file it opens.
    from napari_medsam.engine.io import looks_like_labels, open_challenge, open_series

    name = path.name.split(".")[0] or path.name
    if path.name.lower().endswith(".seg.nrrd"):
        return [_segmentation(path, name)]
    if path.suffix.lower() == ".npz":
        case = open_challenge(path)
        truth = [] if case.labels is None else [labels_layer(case.labels, case.volume, f"{name} truth")]
        return [image_layer([case.volume], name), *truth]
    volumes = open_series(path)
    if len(volumes) == 1 and looks_like_labels(volumes[0]):
        return [labels_layer(volumes[0].data.astype(np.int32), volumes[0], name)]
    return [image_layer(volumes, name)]


def _segmentation(path: Path, name: str) -> LayerData:
    from napari_medsam.engine.io import open_segmentation, open_series

    grid = open_series(path)[0]
    labels = np.zeros(grid.shape, dtype=np.uint16)
    objects = open_segmentation(path)
    for item in objects:
        labels[item.region.slices][item.region.voxels] = item.value
    volume = Volume(labels, grid.affine, source=path)
    return labels_layer(labels, volume, name, {item.value: item.name for item in objects})
