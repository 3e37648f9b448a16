"""What to propagate."""

from __future__ import annotations

from dataclasses import dataclass

from napari_medsam.engine.propagation import Route


@dataclass(frozen=True)
class Wish:
    """What the user wants propagated, and how.

    Parameters
    ----------
    all_objects : bool
        All objects together instead of the chosen one.
    all_frames : bool
        Through the frames of a series instead of through the slices of the displayed one.
    first, last : int or None
        Slices not to go beyond; None where there is no limit.
    close_up, quick : bool
        As in `napari_medsam.engine.propagation.Route`.
    scroll_along : bool
        Display each slice as it is answered.
    """

    all_objects: bool = False
    all_frames: bool = False
    first: int | None = None
    last: int | None = None
    close_up: bool = False
    quick: bool = False
    scroll_along: bool = False

    def route(self, axis: int) -> Route:
        """The way along an axis."""
        last = -1 if self.last is None else self.last
        return Route(axis, self.first or 0, last, close_up=self.close_up, quick=self.quick)
