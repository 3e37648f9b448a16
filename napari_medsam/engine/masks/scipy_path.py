"""The slow path: the same results from scipy, where there are no compiled kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medsam.engine.masks.plan import Copying, Face, Plan, Rule

# Connectivity as the number of axes along which two touching voxels may differ.
_ORDER = {4: 1, 8: 2, 6: 1, 18: 2, 26: 3}


class ScipyPath:
    """`clean` and `label` on arrays ``(n, z, y, x)`` that were checked."""

    def clean(self, mask: npt.NDArray[Any], out: npt.NDArray[Any], plan: Plan) -> None:
        """Turn components over in ``out``."""
        foreground = _foreground(mask, plan)
        if plan.copying is not Copying.NONE:
            out[...] = mask if mask.dtype.itemsize == 1 else foreground
        value = plan.score if out.dtype == np.float32 else plan.background
        for number, one in enumerate(foreground):
            labels, count = ndimage.label(one != plan.background, _structure(plan.connectivity))
            chosen = _chosen(labels, count, plan, plan.points[plan.points[:, 0] == number, 1:])
            out[number][chosen[labels]] = value

    def label(
        self,
        mask: npt.NDArray[Any],
        labels: npt.NDArray[np.int32],
        plan: Plan,
        is_zero: bool,  # noqa: ARG002 - of use to the other path only
    ) -> npt.NDArray[np.int32]:
        """Number components in ``labels`` and count them."""
        counts = np.zeros(len(mask), dtype=np.int32)
        for number, one in enumerate(_foreground(mask, plan)):
            labels[number], counts[number] = ndimage.label(one, _structure(plan.connectivity))
        return counts


def _foreground(mask: npt.NDArray[Any], plan: Plan) -> npt.NDArray[np.bool_]:
    if mask.dtype.itemsize == 1:
        return np.asarray(mask != 0)
    # As float32, like the scores: 0.1 in double precision is another number.
    threshold = np.float32(plan.threshold)
    return np.asarray(~(mask <= threshold) if plan.nan_is_foreground else mask > threshold)


def _structure(connectivity: int) -> npt.NDArray[np.bool_]:
    structure: npt.NDArray[np.bool_] = ndimage.generate_binary_structure(3, _ORDER[connectivity])
    if connectivity in (4, 8):
        structure[[0, 2]] = False
    return structure


def _chosen(
    labels: npt.NDArray[np.int32], count: int, plan: Plan, points: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    chosen = np.ones(count + 1, dtype=bool)
    open_labels = [
        np.take(labels, 0 if face in (Face.Z_LOW, Face.Y_LOW, Face.X_LOW) else -1, axis=axis).ravel()
        for face, axis in zip(Face, (0, 0, 1, 1, 2, 2), strict=True)
        if plan.open_faces & face
    ]
    is_open = np.zeros(count + 1, dtype=bool)
    for face in open_labels:
        is_open[face] = True
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    if plan.rule is Rule.AT_MOST:
        chosen = sizes <= plan.size
    elif plan.rule is Rule.FEWER_THAN:
        chosen = sizes < plan.size
    elif plan.rule is Rule.ALL_BUT_LARGEST:
        sizes[0] = 0
        sizes[is_open] = 0
        chosen[np.argmax(sizes)] = False
    chosen[labels[tuple(points.T)]] = False
    chosen[is_open] = False
    chosen[0] = False
    return chosen
