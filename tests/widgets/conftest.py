"""A real napari window with the Segment widget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk

from napari_medsam.engine.samples import Sample, ct_phantom
from napari_medsam.widgets.layer_data import image_layer
from napari_medsam.widgets.segment_widget import SegmentWidget


@pytest.fixture(autouse=True)
def journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of journals, so that no test sees another's or the user's."""
    folder = tmp_path / "journals"
    monkeypatch.setenv("NAPARI_MEDSAM_JOURNALS", str(folder))
    return folder


@pytest.fixture(scope="session")
def phantom() -> Sample:
    return ct_phantom()


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
