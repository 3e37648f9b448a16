"""Which intensities of an image are shown: what a radiologist's window does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Window:
    """Intensities from ``low`` (black) to ``high`` (white)."""

    low: float
    high: float

    def apply(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Values scaled to [0, 1], cut off at both ends; what is no number becomes black."""
        scaled = (values.astype(np.float32) - np.float32(self.low)) / np.float32(self.high - self.low)
        shown: npt.NDArray[np.float32] = np.nan_to_num(np.clip(scaled, 0.0, 1.0), nan=0.0)
        return shown


@runtime_checkable
class Windowed(Protocol):
    """A `Prepared` whose model sees the image in a window that can be chosen."""

    @property
    def window(self) -> Window:
        """The window it is shown in now."""
        ...

    def show(self, window: Window | None) -> None:
        """Show it in another window from now on; None is the one that suits its modality."""
        ...
