"""The slice that was answered last, beside the view that stays where the user is."""

from __future__ import annotations

from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtGui import QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QWidget

from napari_medsam.widgets.slice_pictures import HEIGHT, WIDTH, Picture


class SlicePreview(QWidget):
    """A picture under its caption; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image = QImage()
        self._caption = ""
        self._line = self.fontMetrics().lineSpacing() + 2
        self.setFixedSize(WIDTH, self._line + HEIGHT)
        self.setToolTip("What was answered last. The view stays where you are.")
        self.hide()

    @property
    def image(self) -> QImage:
        """The picture."""
        return self._image

    @property
    def caption(self) -> str:
        """The line over it."""
        return self._caption

    def show_picture(self, picture: Picture, caption: str) -> None:
        """Show another picture."""
        rows, columns, _ = picture.shape
        image = QImage(picture.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        # A QImage of memory that is not its own does not keep that memory alive.
        self._image, self._caption = image.copy(), caption
        self.update()
        self.show()

    def paintEvent(self, _: QPaintEvent) -> None:  # noqa: N802 - Qt calls it by this name
        painter = QPainter(self)
        # The caption is what is still in sight where the window is too low for all of the panel.
        painter.drawText(QRect(0, 0, WIDTH, self._line), Qt.AlignmentFlag.AlignCenter, self._caption)
        painter.drawImage(QPoint((WIDTH - self._image.width()) // 2, self._line), self._image)
