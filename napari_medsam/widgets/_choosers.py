"""Combo boxes for the image, the model, its contrast and the overlap mode."""

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
_IMPORT = "Import SAM 2 weights…"
_CONTRASTS = ("What suits the modality", "As displayed")


class Choosers(QWidget):
    """What is segmented, by which model, and what contrast it sees."""

    image_chosen = Signal(int)
    model_chosen = Signal(str)
    import_requested = Signal()
    contrast_chosen = Signal(bool)
    """Whether the model sees the image as it is displayed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._image = _combo("The image layer to segment.")
        self._image.activated.connect(self.image_chosen)
        self._model = _combo("The model; fixed once an image was begun.")
        self._model.activated.connect(self._on_model)
        self._contrast = _combo(
            "The contrast in which the model sees the image. As displayed: the contrast limits of the image layer,\n"
            "from the next prompt on; for bone, lung, or whatever shows better in a window of your own."
        )
        self._contrast.addItems(_CONTRASTS)
        self._contrast.activated.connect(lambda index: self.contrast_chosen.emit(bool(index)))
        layout.addRow("Image", self._image)
        layout.addRow("Model", self._model)
        layout.addRow("Contrast", self._contrast)
        self._contrast_label = layout.labelForField(self._contrast)
        self._current = ""
        self.set_contrast_offered(False)

    @property
    def images(self) -> list[str]:
        """Names of the images on offer."""
        return [self._image.itemText(i) for i in range(self._image.count())]

    @property
    def models(self) -> list[str]:
        """Names of the models on offer."""
        return [self._model.itemText(i) for i in range(self._model.count() - 1)]

    @property
    def contrast_offered(self) -> bool:
        """Whether the contrast can be chosen."""
        return not self._contrast.isHidden()

    def set_images(self, names: Sequence[str], current: int) -> None:
        """Offer these images; ``current`` is -1 when none is chosen."""
        self._image.clear()
        self._image.addItems(list(names))
        self._image.setCurrentIndex(current)
        self._image.setEnabled(bool(names))

    def set_models(self, names: Sequence[str], current: str) -> None:
        """Offer these models, and to import another."""
        self._model.clear()
        self._model.addItems([*names, _IMPORT])
        self._model.setCurrentText(current)
        self._current = current

    def choose_model(self, index: int) -> None:
        """Choose the model at ``index`` as a click on it does; the last one imports weights."""
        self._model.setCurrentIndex(index)
        self._on_model(index)

    def set_model_enabled(self, enabled: bool) -> None:
        """Let the model be chosen."""
        self._model.setEnabled(enabled)

    def set_contrast_offered(self, offered: bool) -> None:
        """Let the contrast be chosen, where the model does not choose it alone."""
        for part in (self._contrast, self._contrast_label):
            part.setVisible(offered)

    def set_contrast(self, as_displayed: bool) -> None:
        """Show what the model sees."""
        self._contrast.setCurrentIndex(int(as_displayed))

    def _on_model(self, index: int) -> None:
        if index < self._model.count() - 1:
            self._current = self._model.itemText(index)
            self.model_chosen.emit(self._current)
        else:
            self._model.setCurrentText(self._current)
            self.import_requested.emit()


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
