"""Combo boxes for the image, the model and the overlap mode."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QSizePolicy, QWidget

from napari_medsam.engine.objects import Overlap

_OVERLAP_TEXT = {
    Overlap.KEEP: "Keep other objects",
    Overlap.REPLACE: "Replace other objects",
    Overlap.ALLOW: "Allow overlap",
}


class Choosers(QWidget):
    """What is segmented, by which model, and what happens where objects meet."""

    image_chosen = Signal(int)
    model_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._image = _combo("The image layer to segment.")
        self._image.activated.connect(self.image_chosen)
        self._model = _combo("The model; fixed once an image was begun.")
        self._model.textActivated.connect(self.model_chosen)
        layout.addRow("Image", self._image)
        layout.addRow("Model", self._model)

    @property
    def images(self) -> list[str]:
        """Names of the images on offer."""
        return [self._image.itemText(i) for i in range(self._image.count())]

    def set_images(self, names: Sequence[str], current: int) -> None:
        """Offer these images; ``current`` is -1 when none is chosen."""
        self._image.clear()
        self._image.addItems(list(names))
        self._image.setCurrentIndex(current)
        self._image.setEnabled(bool(names))

    def set_models(self, names: Sequence[str], current: str) -> None:
        """Offer these models."""
        self._model.clear()
        self._model.addItems(list(names))
        self._model.setCurrentText(current)

    def set_model_enabled(self, enabled: bool) -> None:
        """Let the model be chosen."""
        self._model.setEnabled(enabled)


class OverlapChooser(QWidget):
    """What happens where a new mask meets another object."""

    overlap_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._combo = _combo("What happens where a new mask meets another object.")
        for mode, text in _OVERLAP_TEXT.items():
            self._combo.addItem(text, mode)
        self._combo.activated.connect(lambda index: self.overlap_chosen.emit(self._combo.itemData(index)))
        layout.addRow("Overlap", self._combo)

    def set_overlap(self, overlap: Overlap) -> None:
        """Show the mode."""
        self._combo.setCurrentIndex(list(_OVERLAP_TEXT).index(overlap))


def _combo(tip: str) -> QComboBox:
    combo = QComboBox()
    combo.setToolTip(tip)
    # Long names of patients' files must not widen the dock.
    combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return combo
