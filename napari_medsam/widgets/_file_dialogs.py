"""Asks where to save and what to import, without stopping the event loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QWidget

# Long endings first: Qt appends the first one of the chosen filter.
_FORMATS = {
    ".nii.gz": "NIfTI label map (*.nii.gz *.nii)",
    ".seg.nrrd": "3D Slicer segmentation, with names and colours (*.seg.nrrd)",
    ".nrrd": "NRRD label map (*.nrrd)",
    ".mha": "MetaImage label map (*.mha)",
    ".dcm": "DICOM SEG, for images from DICOM (*.dcm)",
    ".png": "PNG mask, for 2D images (*.png)",
}


def ask_where_to_save(parent: QWidget, suggestion: str, from_dicom: bool, save: Callable[[Path], None]) -> QFileDialog:
    """Open a file dialog; ``save`` is called with the path if one is chosen.

    Parameters
    ----------
    parent : QWidget
        Widget it belongs to.
    suggestion : str
        File name without an ending.
    from_dicom : bool
        Whether DICOM SEG is offered first.
    save : callable
        Called with the chosen path, its ending completed.
    """
    endings = sorted(_FORMATS, key=lambda ending: ending != ".dcm") if from_dicom else list(_FORMATS)
    dialog = QFileDialog(parent, "Save the segmentation")
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setNameFilters([_FORMATS[ending] for ending in endings])
    dialog.selectFile(f"{suggestion}{endings[0]}")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.fileSelected.connect(lambda chosen: save(completed(Path(chosen), dialog.selectedNameFilter())))
    dialog.open()
    return dialog


def ask_for_weights(parent: QWidget, chosen: Callable[[Path], None]) -> QFileDialog:
    """Open a file dialog; ``chosen`` is called with the file of weights if one is chosen."""
    dialog = QFileDialog(parent, "Import SAM 2 weights")
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setNameFilter("Weights (*.pt *.pth *.safetensors)")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.fileSelected.connect(lambda path: chosen(Path(path)))
    dialog.open()
    return dialog


def completed(path: Path, name_filter: str) -> Path:
    """``path`` with the ending of the chosen format if it has none that is known."""
    if path.name.lower().endswith((*_FORMATS, ".nii")):
        return path
    ending = next(ending for ending, text in _FORMATS.items() if text == name_filter)
    return path.with_name(path.name + ending)
