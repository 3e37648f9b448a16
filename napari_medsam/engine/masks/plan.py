"""What is to be done to masks, in the form that every path understands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import MaskError

# Topologically dual pairs (Kong & Rosenfeld 1989, "Digital topology"): only with these does a closed curve or surface
# separate its inside from its outside.
_DUAL = {4: 8, 8: 4, 6: 26, 18: 6, 26: 6}
_CONNECTIVITIES = {2: (4, 8), 3: (6, 18, 26)}


class Rule(IntEnum):
    """Which components are turned over. The numbers are those of the compiled kernels."""

    ALL = 0
    AT_MOST = 1
    FEWER_THAN = 2
    ALL_BUT_LARGEST = 3
    UNTOUCHED = 4


class Copying(IntEnum):
    """How the rest of a mask gets into the result. The numbers are those of the compiled kernels."""

    NONE = 0
    ALL = 1
    STREAMED = 2
    SET_ONLY = 3


class Face(IntEnum):
    """Faces of the box looked at. The numbers are those of the compiled kernels."""

    Z_LOW = 1
    Z_HIGH = 2
    Y_LOW = 4
    Y_HIGH = 8
    X_LOW = 16
    X_HIGH = 32


def _no_points() -> npt.NDArray[np.int64]:
    return np.zeros((0, 4), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Plan:
    """One operation on masks seen as ``(n, z, y, x)``; in 2D ``z`` is 1.

    Parameters
    ----------
    background : bool
        Components are those of the background, holes; else those of the foreground, islands.
    connectivity : int
        4, 8, 6, 18 or 26, of the components.
    rule : Rule
        Which components are turned over.
    size : int
        Voxels, for `Rule.AT_MOST` and `Rule.FEWER_THAN`.
    open_faces : int
        Sum of `Face`: a component that reaches one is left as it is.
    points : numpy.ndarray
        int64 ``(k, 4)``: a component that holds one of these voxels is left as it is.
    threshold : float
        Scores above it are foreground.
    nan_is_foreground : bool
        Whether NaN among scores is foreground.
    score : float
        What is written where scores are turned over.
    copying : Copying
        How the rest gets into the result.
    threads : int
        At most so many.
    """

    background: bool
    connectivity: int
    rule: Rule = Rule.ALL
    size: int = 0
    open_faces: int = 0
    points: npt.NDArray[np.int64] = field(default_factory=_no_points)
    threshold: float = 0.0
    nan_is_foreground: bool = False
    score: float = 0.0
    copying: Copying = Copying.NONE
    threads: int = 1


def component_connectivity(connectivity: int | None, background: int | None, dims: int, of_background: bool) -> int:
    """The connectivity of the components asked for, given that of the foreground, of the background, or neither.

    Raises
    ------
    MaskError
        If there is no such connectivity in so many dimensions.
    """
    if dims not in _CONNECTIVITIES:
        raise MaskError(f"A mask has 2 or 3 dimensions (dims=2 or dims=3), not {dims!r}.")
    known = _CONNECTIVITIES[dims]
    for name, value in (("connectivity", connectivity), ("background", background)):
        if value is not None and value not in known:
            *first, last = known
            choice = f"{', '.join(map(str, first))} or {last}"
            raise MaskError(f"In {dims}D the {name} is {choice}, not {value!r}.")
    foreground = connectivity if connectivity is not None else _DUAL.get(background or 0, known[-1])
    if not of_background:
        return foreground
    return background if background is not None else _DUAL[foreground]
