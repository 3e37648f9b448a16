"""One training, as a JSON file says it."""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from users import UserMix

from napari_medsam.engine.segmenters.compact.network import WIDTHS


@dataclass
class Config:
    """One training; every key of the JSON file is one of these."""

    dims: int = 3
    widths: tuple[int, ...] = WIDTHS
    deeper: tuple[int, ...] = (0, 0, 0, 0)  # further pairs of convolutions by level
    steps: int = 1000
    batch: int = 4  # patches a step, over all processes together
    slices: int = 8  # 2D: slices drawn from each patch
    cells: int | None = None  # side the patches are shrunk to: early training on fewer cells costs much less
    rounds: int = 3  # prompts in a row, at most
    alone: float = 0.0  # share of steps without a correction: what the first prompt gets is learnt from these alone
    rate: float = 1e-3
    warm_up: int = 50
    decay_from: float = 0.6  # share of the steps after which the rate falls linearly to zero
    weight_decay: float = 1e-3
    ema: float = 0.995
    seed: int = 0
    hollow: float = 0.0  # share of patches that are the emptier of two: objects that fill little of their box are hard
    tight: float = 0.0  # share of boxes drawn anew, without room, round an object that the patch shows whole
    zoom: float = 0.0  # share of patches of which a window round some cell of the object is left, at full size
    repaint: float = 0.0  # share of compact objects of several greys, or like a part of their surroundings
    lesion: float = 0.0  # share of patches in which a lump put in is the object (augment.lesion)
    wall: float = 0.0  # share of patches in which a wall, tube or tree put in is the object (augment.wall_or_tree)
    clear: float = 0.0  # share of patches whose outline the image shows (batches.clarity_of)
    pool: tuple[str, ...] = ("runs/pool",)  # patches are drawn from all alike
    users: UserMix = field(default_factory=UserMix)

    @classmethod
    def read(cls, path: Path) -> "Config":
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise SystemExit(f"{path}: no such setting: {', '.join(sorted(unknown))}")
        if "users" in values:
            values["users"] = UserMix(**values["users"])
        if isinstance(values.get("pool"), str):
            values["pool"] = (values["pool"],)
        return cls(**values)

    def rate_at(self, done: int) -> float:
        """Learning rate after ``done`` steps: rising, flat, falling."""
        decay = max(1.0, self.steps * (1 - self.decay_from))
        return self.rate * min(1.0, (done + 1) / self.warm_up, max(0.01, (self.steps - done) / decay))
