"""What the network's confidence has meant on cases it had not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Knots = tuple[tuple[float, ...], tuple[float, ...]]
_AS_IT_IS: Knots = ((0.0, 1.0), (0.0, 1.0))


@dataclass(frozen=True)
class Calibration:
    """Piecewise linear curves from the confidence of a look to the Dice it goes with.

    Parameters
    ----------
    prediction, slice : tuple of (tuple of float, tuple of float)
        Knots for whole answers and for single slices: confidences, rising, and the Dice at each, never falling.
        Without them a confidence stays as it is.
    """

    prediction: Knots = _AS_IT_IS
    slice: Knots = _AS_IT_IS

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> Calibration:
        """The curves in a model card; raises `ValueError` where they are none."""
        curves = {name: _knots(knots) for name, knots in card.get("calibration", {}).items()}
        return cls(**curves)

    def of_prediction(self, confidence: float) -> float:
        """Dice to expect of a whole answer."""
        return float(np.interp(confidence, *self.prediction))

    def of_slices(self, confidences: Mapping[int, float]) -> dict[int, float]:
        """Dice to expect in each slice."""
        return {level: float(np.interp(value, *self.slice)) for level, value in confidences.items()}


def _knots(values: Any) -> Knots:
    given, expected = (tuple(float(v) for v in part) for part in values)
    if len(given) != len(expected) or len(given) < 2 or np.any(np.diff(given) <= 0) or np.any(np.diff(expected) < 0):
        raise ValueError("a calibration needs rising confidences and a Dice for each that never falls")
    return given, expected
