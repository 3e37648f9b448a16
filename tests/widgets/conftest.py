"""A real napari window with the Segment widget."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from desk import Desk

from napari_medsam.engine.samples import Sample, ct_phantom
from napari_medsam.engine.volume import Volume, affine_from_spacing
from napari_medsam.engine.weights.card import Card, write_card
from napari_medsam.widgets.layer_data import image_layer
from napari_medsam.widgets.segment_widget import SegmentWidget

# Random weights that make masks are shared with the tests of the engine.
sys.path.append(str(Path(__file__).parents[1] / "engine" / "segmenters" / "sam2"))


@pytest.fixture(autouse=True)
def journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of journals, so that no test sees another's or the user's."""
    folder = tmp_path / "journals"
    monkeypatch.setenv("NAPARI_MEDSAM_JOURNALS", str(folder))
    return folder


@pytest.fixture(scope="session")
def phantom() -> Sample:
    return ct_phantom()


@pytest.fixture(scope="session")
def random_sam2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with one: a SAM 2.1 tiny for small images, whose random weights are sure of what they say."""
    import torch
    from lively import lively_sam2

    from napari_medsam.engine.segmenters.sam2.keys import to_meta_keys
    from napari_medsam.engine.weights.reading import file_sha256

    model = lively_sam2(image_size=128)
    decoder = model.mask_decoder
    decoder.iou_prediction_head.proj_out.bias.data.fill_(10.0)
    for head in decoder.output_hypernetworks_mlps:
        head.proj_out.weight.data.mul_(100)
    path = tmp_path_factory.mktemp("models") / "random.pt"
    torch.save({"model": to_meta_keys(model.state_dict())}, path)
    card = Card(title="Random", family="sam2", size="tiny", version="2.1", image_size=128, licence="Apache-2.0")
    write_card(path, replace(card, sha256=file_sha256(path)))
    return path.parent


@pytest.fixture
def models(random_sam2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models has the random one."""
    monkeypatch.setenv("NAPARI_MEDSAM_MODELS", str(random_sam2))
    monkeypatch.setenv("NAPARI_MEDSAM_CACHE", str(tmp_path / "cache"))
    return random_sam2


@pytest.fixture(scope="session")
def blobs() -> Volume:
    """Two bright blobs that move and change slowly through twelve slices."""
    from lively import moving_slices

    slices = moving_slices(12, 96)[:, 0].numpy()
    return Volume(slices * 500 + 300, affine_from_spacing((4.0, 1.0, 1.0)), modality="MR")


@pytest.fixture
def open_desk(make_napari_viewer_proxy: Any, qtbot: Any) -> Iterator[Callable[..., Desk]]:
    """Opens a window with image layers given as layer data; napari forbids private access through its proxy."""

    def open_(*layers: tuple[Any, dict[str, Any], str]) -> Desk:
        viewer = make_napari_viewer_proxy(show=True)
        for data, meta, _ in layers:
            viewer.add_image(data, **meta)
        widget = SegmentWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Segment", area="right")
        widget.window().resize(1200, 800)
        desk = Desk(viewer, widget, qtbot)
        desk.settle()
        viewer.reset_view()
        desk.settle()
        return desk

    return open_


@pytest.fixture
def desk(open_desk: Callable[..., Desk], phantom: Sample) -> Desk:
    """A window with the CT phantom."""
    return open_desk(image_layer([phantom.volume], "CT phantom"))
