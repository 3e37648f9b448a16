"""Whether this computer may ask the network for weights."""

from __future__ import annotations

import os

from napari_medsam.engine.errors import WeightsError

_SWITCHES = ("NAPARI_MEDSAM_OFFLINE", "HF_HUB_OFFLINE")
_NO = frozenset({"", "0", "false", "no", "off"})


def offline_switch() -> str | None:
    """The environment variable that forbids downloads; None when none does."""
    return next((name for name in _SWITCHES if os.environ.get(name, "").strip().lower() not in _NO), None)


def refuse_when_offline() -> None:
    """Stop before anything is asked of the network, where it is forbidden.

    Raises
    ------
    WeightsError
        If an offline switch is set.
    """
    switch = offline_switch()
    if switch is not None:
        raise WeightsError(
            f"Downloads are switched off here ({switch} is set): bring the file by other means, and import it with "
            "'napari-medsam models import FILE'."
        )
