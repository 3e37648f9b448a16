"""Keys bound to single layers, so that they work only while one of those layers is selected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Layer


class LayerKeys:
    """Binds keys to layers and gives each layer back what it had before.

    Parameters
    ----------
    actions : mapping
        What each key does.
    """

    def __init__(self, actions: Mapping[str, Callable[[], None]]) -> None:
        self._actions = actions
        self._before: list[tuple[Layer, dict[str, Any]]] = []

    def set_layers(self, layers: Iterable[Layer]) -> None:
        """Bind the keys to exactly these layers."""
        wanted = list(layers)
        for layer, before in self._before:
            if not any(layer is other for other in wanted):
                for key in self._actions:
                    layer.bind_key(key, before[key], overwrite=True)
        kept = [(layer, before) for layer, before in self._before if any(layer is other for other in wanted)]
        new = [layer for layer in wanted if not any(layer is other for other, _ in kept)]
        self._before = kept + [(layer, self._bind(layer)) for layer in new]

    def _bind(self, layer: Layer) -> dict[str, Any]:
        return {key: layer.bind_key(key, _callback(act), overwrite=True) for key, act in self._actions.items()}


def _callback(action: Callable[[], None]) -> Callable[[object], None]:
    def run(_layer: object) -> None:
        action()

    return run
