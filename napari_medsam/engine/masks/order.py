"""An operation as a user asks for it, before any array is looked at."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import MaskError
from napari_medsam.engine.masks.arrays import Box
from napari_medsam.engine.masks.plan import Face, Plan, Rule

_FACES_OF_SLICES = Face.Y_LOW | Face.Y_HIGH | Face.X_LOW | Face.X_HIGH
_ALL_FACES = _FACES_OF_SLICES | Face.Z_LOW | Face.Z_HIGH


@dataclass(frozen=True, eq=False)
class Order:
    """What to do to masks of ``dims`` dimensions; the rest is as in `Plan`.

    Parameters
    ----------
    open_border : bool
        What reaches the border of the image is left as it is.
    points : numpy.ndarray or None
        int64 ``(k, ndim)``.
    region : tuple of tuple of int or None
        Lower and upper corner: only there anything is looked at or changed.
    threads : int or None
        None for as many as are of use.
    """

    background: bool
    dims: int
    connectivity: int
    rule: Rule
    size: int = 0
    open_border: bool = False
    threshold: float | None = None
    score: float | None = None
    points: npt.NDArray[np.int64] | None = None
    region: Box | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.score is not None and self.threshold is None:
            raise MaskError("A score to write is for scores; give their threshold too.")
        if self.threads is not None and self.threads < 1:
            raise MaskError(f"There must be at least one thread, not {self.threads}.")

    def plan(self, shape: tuple[int, ...], points: npt.NDArray[np.int64], threads: int) -> Plan:
        """The plan for an array of this shape."""
        return Plan(
            background=self.background,
            connectivity=self.connectivity,
            rule=self.rule,
            size=self.size,
            open_faces=self._open_faces(shape),
            points=points,
            threshold=0.0 if self.threshold is None else self.threshold,
            # A hole is made of scores at or below the threshold, an island of those above: NaN is in neither. In a mask
            # made of scores it is background, for want of a third value.
            nan_is_foreground=self.background and self.score is not None,
            score=0.0 if self.score is None else self.score,
            threads=threads,
        )

    def _open_faces(self, shape: tuple[int, ...]) -> int:
        if self.open_border:
            return int(_ALL_FACES if self.dims == 3 else _FACES_OF_SLICES)
        if self.region is None:
            return 0
        faces = 0
        # What reaches a face of the region goes on beyond it as far as anyone knows, unless the image ends there.
        pairs = [(Face.Z_LOW, Face.Z_HIGH), (Face.Y_LOW, Face.Y_HIGH), (Face.X_LOW, Face.X_HIGH)][-self.dims :]
        corners = zip(self.region[0][-self.dims :], self.region[1][-self.dims :], strict=True)
        for (low, high), length, (at_low, at_high) in zip(corners, shape[-self.dims :], pairs, strict=True):
            faces |= at_low * (low > 0) | at_high * (high < length)
        return faces


def whole_number(value: int, name: str) -> int:
    """The value as an int. Raises `MaskError` if it is none, or negative."""
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise MaskError(f"The {name} is a whole number of voxels, not {value!r}.")
    # More voxels than any memory holds: beyond it nothing changes, and it fits the kernels' numbers.
    return min(number, 2**62)
