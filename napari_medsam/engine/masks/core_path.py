"""The fast path: masks in memory through the C++ kernels."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.errors import MaskError
from napari_medsam.engine.masks.plan import Plan


class CorePath:
    """`clean` and `label` of the C++ kernels, on arrays ``(n, z, y, x)`` that were checked."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def clean(self, mask: npt.NDArray[Any], out: npt.NDArray[Any], plan: Plan) -> None:
        """Turn components over in ``out``. Raises `MaskError` if there are more than can be counted."""
        try:
            self._module.clean(
                mask,
                out,
                plan.background,
                plan.connectivity,
                plan.open_faces,
                int(plan.rule),
                plan.size,
                plan.points,
                plan.threshold,
                plan.nan_is_foreground,
                plan.score,
                int(plan.copying),
                plan.threads,
            )
        except ValueError as error:
            raise MaskError(f"The mask cannot be cleaned: {error}.") from error

    def label(
        self, mask: npt.NDArray[Any], labels: npt.NDArray[np.int32], plan: Plan, is_zero: bool
    ) -> npt.NDArray[np.int32]:
        """Number components in ``labels`` and count them. Raises `MaskError` if there are more than int32 counts."""
        counts = np.empty(len(mask), dtype=np.int32)
        try:
            self._module.label(mask, labels, counts, plan.connectivity, plan.threshold, is_zero, plan.threads)
        except ValueError as error:
            raise MaskError(f"The mask cannot be labelled: {error}.") from error
        return counts
