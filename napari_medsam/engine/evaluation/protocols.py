"""What simulated users do: each protocol is a list of named steps, and each step is one gesture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from napari_medsam.engine.evaluation.gestures import (
    centre_stroke,
    outline_lasso,
    spoilt_mask,
    stroke_beside,
    stroke_in_error,
)
from napari_medsam.engine.evaluation.users import next_click, tight_box
from napari_medsam.engine.prompts import Box, Lasso, MaskPrompt, Point, Prompt, Scribble
from napari_medsam.engine.region import Region
from napari_medsam.engine.volume import Index3


@dataclass(frozen=True)
class Scene:
    """What a simulated user sees: the structure, the answer so far, and the size of the image."""

    truth: Region
    answer: Region
    shape: Index3


@dataclass(frozen=True)
class Gesture:
    """One gesture of a simulated user: the kind of prompt (`Prompt.kind`), and how it is drawn.

    ``draw`` returns None when there is nothing to say, such as when nothing is wrong.
    """

    kind: str
    draw: Callable[[Scene], Prompt | None]


@dataclass(frozen=True)
class Protocol:
    """Gestures given one after the other to one structure, by the names their scores get."""

    name: str
    title: str
    steps: Mapping[str, Gesture]


_BOX = Gesture(Box.kind, lambda scene: tight_box(scene.truth))
_CLICK = Gesture(Point.kind, lambda scene: next_click(scene.truth, scene.answer))
_STROKE = Gesture(Scribble.kind, lambda scene: centre_stroke(scene.truth))
_STROKE_BESIDE = Gesture(Scribble.kind, lambda scene: stroke_beside(scene.truth, scene.shape))
_STROKE_IN_ERROR = Gesture(Scribble.kind, lambda scene: stroke_in_error(scene.truth, scene.answer))
_LASSO = Gesture(Lasso.kind, lambda scene: outline_lasso(scene.truth))
_MASK = Gesture(MaskPrompt.kind, lambda scene: spoilt_mask(scene.truth, scene.shape))

BOX_STEPS = ("box", "box+1", "box+2", "box+3", "box+4", "box+5")
"""A tight 3D box, then five clicks at the centre of the largest error."""

CLICK_STEPS = ("click1", "click2", "click3", "click4", "click5")
"""No box: a click in the centre, then four at the centre of the largest error."""

CHALLENGE = (
    Protocol("box", "after a 3D box, then clicks", {name: _CLICK if "+" in name else _BOX for name in BOX_STEPS}),
    Protocol("click", "clicks only", dict.fromkeys(CLICK_STEPS, _CLICK)),
)
"""The protocol of the CVPR-2025 challenge, and clicks alone."""

PROMPTS = (
    Protocol("box alone", "a 3D box", {"box": _BOX}),
    Protocol("click alone", "a click", {"click": _CLICK}),
    Protocol(
        "scribble",
        "strokes only",
        {
            "scribble+": _STROKE,
            "scribble+-": _STROKE_BESIDE,
            **{f"scribble+-+{k}": _STROKE_IN_ERROR for k in (1, 2, 3)},
        },
    ),
    Protocol("lasso", "a lasso, then clicks", {"lasso": _LASSO, **{f"lasso+{k}": _CLICK for k in (1, 2, 3)}}),
    Protocol("mask", "a spoilt mask, then clicks", {"mask": _MASK, **{f"mask+{k}": _CLICK for k in (1, 2, 3)}}),
)
"""Every kind of prompt by itself, then corrected."""

PROTOCOLS: Mapping[str, tuple[Protocol, ...]] = {"challenge": CHALLENGE, "prompts": PROMPTS}
