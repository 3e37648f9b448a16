"""Labels of slices while a propagation runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from napari_medsam.engine.objects import Overlap
from napari_medsam.engine.propagation import PropagatedSlice
from napari_medsam.engine.region import Region
from napari_medsam.engine.session import Session
from napari_medsam.engine.volume import Index3


class SliceDisplay:
    """What slices show while their masks are not the session's yet.

    Parameters
    ----------
    session : Session
        Of the frame.
    axis : int
        The slice axis.
    object_ids : list of int
        The objects being propagated.
    """

    def __init__(self, session: Session, axis: int, object_ids: list[int]) -> None:
        self._session = session
        self._axis = axis
        self._shown: dict[int, dict[int, Region]] = {}
        self._touched = [item.mask for item in session.objects if item.id in object_ids and item.mask]

    @property
    def box(self) -> tuple[Index3, Index3]:
        """First voxel of what was drawn over and one past its last."""
        if not self._touched:
            return (0, 0, 0), (0, 0, 0)
        lower = np.min([region.lower for region in self._touched], axis=0).tolist()
        upper = np.max([region.upper for region in self._touched], axis=0).tolist()
        return (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2])

    def slice_with(self, step: PropagatedSlice) -> tuple[Index3, npt.NDArray[np.uint16]]:
        """First voxel and labels of a slice, with the answers to all objects so far."""
        # A slice may come twice, with different objects.
        masks: Mapping[int, Region] = self._shown.setdefault(step.index, {}) | dict(step.masks)
        self._shown[step.index] = dict(masks)
        self._touched += [region for region in step.masks.values() if region]
        low, high = [0, 0, 0], list(self._session.volume.shape)
        low[self._axis], high[self._axis] = step.index, step.index + 1
        lower, upper = (low[0], low[1], low[2]), (high[0], high[1], high[2])
        labels = self._session.labels(lower, upper)
        gives_way = self._session.overlap is Overlap.KEEP
        labels[np.isin(labels, list(masks))] = 0
        for id_, region in sorted(masks.items()):
            inside = region.inside(lower, upper)
            labels[inside & (labels == 0) if gives_way else inside] = id_
        return lower, labels
