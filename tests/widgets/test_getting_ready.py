"""What is imported ahead, and when Python looks for garbage."""

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from napari_medsam.widgets.getting_ready import get_ready


class Knot:
    """An object that only a search for garbage frees."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    get_ready.cache_clear()
    yield
    gc.enable()


def test_garbage_is_looked_for_once() -> None:
    gone = weakref.ref(Knot())
    get_ready()
    assert gc.isenabled()
    assert gone() is None
    gc.disable()
    left = Knot()
    there = weakref.ref(left)
    del left
    get_ready()
    assert there() is not None  # not a second time


def test_who_switched_the_search_off_has_it_off() -> None:
    gc.disable()
    get_ready()
    assert not gc.isenabled()


def test_the_widget_imports_torch_only_then() -> None:
    code = """
import sys
import napari_medsam.widgets.segment_widget
assert "torch" not in sys.modules
from napari_medsam.widgets.getting_ready import get_ready
get_ready()
assert {"torch", "napari.layers"} <= set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
