"""The objects of a session as immutable values: name, colour, what was given to make them, mask."""

from __future__ import annotations

import colorsys
import enum
from dataclasses import dataclass, field, replace
from typing import Any

from napari_medsam.engine.cleaning import Cleaning
from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.propagation import Route
from napari_medsam.engine.region import Edit, Region

Colour = tuple[int, int, int]

# Okabe and Ito, "Color Universal Design" (2008): told apart with every common colour blindness. Black is left out
# (invisible on an image) and the two that stand out least against grey come last.
PALETTE: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)


class Overlap(enum.Enum):
    """What happens where a new mask meets another object."""

    KEEP = "keep"
    """The other object keeps its voxels."""
    REPLACE = "replace"
    """The other object loses them."""
    ALLOW = "allow"
    """Both have them."""


@dataclass(frozen=True)
class HandEdit:
    """A change that no model made: painting.

    Parameters
    ----------
    number : int
        Number of the command that made it.
    packed : dict
        The edit as `Edit.to_json` packs it.
    """

    number: int
    packed: dict[str, Any] = field(repr=False, compare=False)

    def apply(self, region: Region) -> Region:
        """The mask after the change."""
        return Edit.from_json(self.packed).apply(region)


@dataclass(frozen=True)
class Propagation:
    """A mask carried through the volume.

    Parameters
    ----------
    number : int
        Number of the command that did it.
    route : Route
        How.
    answered : int or None
        Slices that were answered before it was stopped; None if it went to its end.
    """

    number: int
    route: Route
    answered: int | None = None


@dataclass(frozen=True)
class CleanUp:
    """A mask cleaned.

    Parameters
    ----------
    number : int
        Number of the command that did it.
    cleaning : Cleaning
        How.
    """

    number: int
    cleaning: Cleaning


Step = tuple[Prompt, ...] | HandEdit | Propagation | CleanUp
"""One thing that made a mask what it is: prompts predicted together, a change by hand, a propagation, a cleaning."""


@dataclass(frozen=True)
class SegmentedObject:
    """One object at one moment.

    Parameters
    ----------
    id : int
        Its number in the session, from 1; also its value in label arrays. Never given to another object.
    name : str
        Name for people.
    colour : tuple of int
        Red, green, blue in [0, 255].
    steps : tuple
        What made the mask, in order.
    mask : Region
        The voxels.
    pending : tuple of Prompt
        Prompts given and not predicted yet.
    """

    id: int
    name: str
    colour: Colour
    steps: tuple[Step, ...] = ()
    mask: Region = field(default_factory=Region.empty, compare=False)
    pending: tuple[Prompt, ...] = ()

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts that made the mask, in the order given."""
        return prompts_of(self.steps)

    @property
    def is_answer(self) -> bool:
        """Whether nothing but prompts made the mask: another answer in its place loses no work of the user's."""
        return are_prompts(self.steps)

    def remade(self, mask: Region, steps: tuple[Step, ...] | None = None) -> SegmentedObject:
        """The same object with another mask, and other steps where given."""
        return replace(self, mask=mask, steps=self.steps if steps is None else steps)


def prompts_of(steps: tuple[Step, ...]) -> tuple[Prompt, ...]:
    """All prompts of the steps, in order."""
    return tuple(prompt for step in steps if isinstance(step, tuple) for prompt in step)


def are_prompts(steps: tuple[Step, ...]) -> bool:
    """Whether the steps are prompts, all of them."""
    return all(isinstance(step, tuple) for step in steps)


def colour_for(number: int) -> Colour:
    """Colour of the object with this id: the palette first, then the same hues in other lightnesses."""
    turn, place = divmod(number - 1, len(PALETTE))
    hue, lightness, saturation = colorsys.rgb_to_hls(*(c / 255 for c in PALETTE[place]))
    lightness = (lightness, 0.75 * lightness, 0.5 * (1 + lightness))[turn % 3]
    red, green, blue = (round(255 * c) for c in colorsys.hls_to_rgb(hue, lightness, saturation))
    return red, green, blue
