"""Line charts with nothing but pillow: curves of scores between 0 and 1 over named steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

# Okabe and Ito's colours, told apart by colour-blind readers too (https://jfly.uni-koeln.de/color/).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8F8F00", "#7F7F7F")
_BOLD = "#000000"
_GRID = "#D9D9D9"
_INK = "#333333"

_SCALE = 2  # drawn this much larger and reduced, for smooth lines
_WIDTH, _HEIGHT, _LEGEND = 430, 300, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 34, 34


@dataclass(frozen=True)
class Panel:
    """One chart.

    Parameters
    ----------
    title : str
        Above the chart.
    steps : sequence of str
        Names along the horizontal axis.
    curves : mapping of str to sequence of float or None
        Scores in [0, 1] at the steps; None leaves a gap. The last curve is drawn bold.
    reference : float, optional
        Height of a dashed line.
    reference_name : str
        Its name in the legend.
    """

    title: str
    steps: Sequence[str]
    curves: Mapping[str, Sequence[float | None]]
    reference: float | None = None
    reference_name: str = ""


def draw_chart(title: str, panels: Sequence[Panel], columns: int) -> Image.Image:
    """Charts side by side under a common title and beside a common legend, all with the same curves."""
    rows = -(-len(panels) // columns)
    size = (columns * _WIDTH + _LEGEND, rows * _HEIGHT + 36)
    picture = Image.new("RGB", (size[0] * _SCALE, size[1] * _SCALE), "white")
    pen = ImageDraw.Draw(picture)
    _text(pen, (_LEFT, 10), title, 16)
    for index, panel in enumerate(panels):
        _draw_panel(pen, panel, index % columns * _WIDTH, 36 + index // columns * _HEIGHT)
    _draw_legend(pen, panels, columns * _WIDTH + 8, 36 + _TOP)
    return picture.resize(size, Image.Resampling.LANCZOS)


def _draw_panel(pen: ImageDraw.ImageDraw, panel: Panel, left: float, top: float) -> None:
    x0, x1 = left + _LEFT, left + _WIDTH - _RIGHT
    y0, y1 = top + _HEIGHT - _BOTTOM, top + _TOP

    def place(step: int, score: float) -> tuple[float, float]:
        return x0 + 16 + (x1 - x0 - 32) * step / max(len(panel.steps) - 1, 1), y0 + (y1 - y0) * score

    _text(pen, (x0, top + 10), panel.title, 13)
    for tenth in range(0, 11, 2):
        y = place(0, tenth / 10)[1]
        _line(pen, [(x0, y), (x1, y)], _GRID, 1)
        _text(pen, (x0 - 6, y), f"{tenth / 10:.1f}", 11, anchor="rm")
    for number, step in enumerate(panel.steps):
        _text(pen, (place(number, 0)[0], y0 + 6), step, 11, anchor="ma")
    if panel.reference is not None:
        y = place(0, panel.reference)[1]
        for start in range(int(x0), int(x1), 10):
            _line(pen, [(start, y), (min(start + 6, x1), y)], _INK, 1.5)
    for name, (colour, width) in _styles(panel).items():
        points = [place(i, score) for i, score in enumerate(panel.curves[name]) if score is not None]
        if len(points) > 1:
            _line(pen, points, colour, width)
        for x, y in points:
            _dot(pen, x, y, width + 1, colour)


def _draw_legend(pen: ImageDraw.ImageDraw, panels: Sequence[Panel], left: float, top: float) -> None:
    for name, (colour, width) in _styles(panels[0]).items():
        _line(pen, [(left, top), (left + 22, top)], colour, width)
        _text(pen, (left + 30, top), name, 12, anchor="lm")
        top += 20
    for panel in panels:
        if panel.reference is not None:
            for x in (left, left + 9, left + 18):
                _line(pen, [(x, top), (x + 5, top)], _INK, 1.5)
            _text(pen, (left + 30, top), panel.reference_name, 12, anchor="lm")
            top += 20


def _styles(panel: Panel) -> dict[str, tuple[str, float]]:
    names = list(panel.curves)
    styles = {name: (_COLOURS[i % len(_COLOURS)], 1.5) for i, name in enumerate(names[:-1])}
    return {**styles, names[-1]: (_BOLD, 3.0)}


def _line(pen: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
    scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
    pen.line(scaled, fill=colour, width=round(width * _SCALE), joint="curve")


def _dot(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: str) -> None:
    pen.ellipse([(v + d * radius) * _SCALE for d in (-1, 1) for v in (x, y)], fill=colour)


def _text(pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, anchor: str = "la") -> None:
    font = ImageFont.load_default(size * _SCALE)
    pen.text((at[0] * _SCALE, at[1] * _SCALE), text, fill=_INK, font=font, anchor=anchor)
