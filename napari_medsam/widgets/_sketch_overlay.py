"""A clear sheet over the canvas on which the stroke in progress is painted."""

from __future__ import annotations

from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget

from napari_medsam.widgets.prompt_layers import FILL_OPACITY
from napari_medsam.widgets.sketch import Sketch


class SketchOverlay:
    """Paints over the canvas of the window that a widget is docked in; the sheet is made for the first stroke.

    Parameters
    ----------
    docked : QWidget
        Any widget of the window.
    """

    def __init__(self, docked: QWidget) -> None:
        self._docked = docked
        self._sheet: _Sheet | None = None

    @property
    def sheet(self) -> QWidget | None:
        """What is painted on, where there has been a stroke."""
        return self._sheet

    def show(self, sketch: Sketch | None) -> None:
        """Paint a sketch in place of the last one; None paints nothing."""
        if self._sheet is None and sketch is not None:
            canvas = _canvas_beside(self._docked)
            self._sheet = None if canvas is None else _Sheet(canvas)
        if self._sheet is not None:
            self._sheet.show_sketch(sketch)


class _Sheet(QWidget):
    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._sketch: Sketch | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.hide()

    def show_sketch(self, sketch: Sketch | None) -> None:
        self._sketch = sketch
        self.setGeometry(self.parentWidget().rect())
        self.setVisible(sketch is not None)
        self.update()

    def paintEvent(self, _: QPaintEvent) -> None:  # noqa: N802 - Qt calls it by this name
        sketch = self._sketch
        if sketch is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = QColor.fromRgbF(*sketch.colour)
        tint = QColor.fromRgbF(*sketch.colour, FILL_OPACITY)
        for line in sketch.lines:
            join, cap = Qt.PenJoinStyle.MiterJoin, Qt.PenCapStyle.FlatCap
            painter.setPen(QPen(colour, line.width, Qt.PenStyle.SolidLine, cap, join))
            polygon = QPolygonF([QPointF(x, y) for x, y in line.pixels.tolist()])
            if line.is_closed:
                painter.setBrush(tint)
                painter.drawPolygon(polygon)
            else:
                painter.drawPolyline(polygon)


def _canvas_beside(docked: QWidget) -> QWidget | None:
    """The OpenGL canvas of the main window; a floating dock is a window of its own, but still the main one's child."""
    top = docked
    while (parent := top.parentWidget()) is not None:
        top = parent
    return next(iter(top.findChildren(QOpenGLWidget)), None)
