"""The organs of the generated body: where they lie, how they are shaped, and how bright CT shows them.

Hounsfield units are textbook values of the portal venous phase: water 0, air -1000, fat -100, muscle 60, liver 110,
spleen 120, kidney 170, vessels 150, spongy bone 200, compact bone several hundred.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_medsam.engine.samples.shapes import (
    Field,
    Implicit,
    Shape,
    box,
    column,
    common,
    ellipsoid,
    grown,
    half_space,
    ripple,
    tube,
)
from napari_medsam.engine.volume import Vec3

_LOW, _HIGH = -400.0, 400.0
_SPINE_Y = 64.0
_VERTEBRA = 34.0
"""Height in mm of a lumbar vertebra with its disc."""


@dataclass(frozen=True)
class Organ:
    """One thing to paint over what was painted before.

    Parameters
    ----------
    name : str
        Its name in the truth; empty for what is not named (fat, muscle, content), which takes the name away.
    hu : float
        Hounsfield units.
    parts : tuple of Shape
        Their union is the organ.
    texture : float
        Inner unevenness: standard deviation in HU.
    uneven : Implicit, optional
        Added to the distance to its surface.
    within : Shape, optional
        It ends there.
    """

    name: str
    hu: float
    parts: tuple[Shape, ...]
    texture: float = 0.0
    uneven: Implicit | None = None
    within: Shape | None = None


class _Variation:
    """What differs from one patient to the next."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def at(self, x: float, y: float, z: float) -> Vec3:
        """A place, moved by up to 4 mm along each axis."""
        u, v, w = np.add(self._rng.uniform(-4, 4, size=3), (x, y, z)).tolist()
        return u, v, w

    def size(self, x: float, y: float, z: float) -> Vec3:
        """Radii, changed by up to 7 %."""
        u, v, w = np.multiply(self._rng.uniform(0.93, 1.07, size=3), (x, y, z)).tolist()
        return u, v, w

    def ripple(self, size: float) -> Implicit:
        """Unevenness of a surface."""
        return ripple(self._rng, size, (30, 45, 70, 110))

    def coil(self, centre: Vec3, extent: Vec3, turns: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """A winding path ``(n, 3)`` inside an ellipsoid, as the small bowel takes."""
        t = np.linspace(0, 1, 24 * turns)[:, None]
        waves = np.array([turns, turns * 0.73, turns * 0.41]) * 2 * np.pi
        return np.asarray(np.sin(t * waves + self._rng.uniform(0, 2 * np.pi, size=3)) * extent + centre)


def organs(rng: np.random.Generator) -> list[Organ]:
    """The body from the skin to a metastasis in the liver, in the order of painting; ``rng`` makes each one another."""
    vary = _Variation(rng)
    body = column((0, 0), (172, 116), _LOW, _HIGH, power=2.4)
    cavity = grown(body, -30)
    wall = [
        Organ("", 30, (body,)),
        Organ("", -102, (grown(body, -2.5),), texture=6),
        Organ("", 58, (grown(body, -18),), texture=12),
        Organ("", -98, (cavity,), texture=8),
        Organ("", 60, tuple(column((side * 34, 80), (27, 20), _LOW, _HIGH, 2.4) for side in (-1, 1)), texture=12),
        Organ("", 58, tuple(column((side * 40, 52), (17, 19), _LOW, 0) for side in (-1, 1)), texture=10),
    ]
    return [
        *wall,
        *_chest(vary, cavity),
        *_bones(body),
        *_upper_belly(vary, cavity),
        *_bowel(vary, cavity),
        *_vessels(),
    ]


def _chest(vary: _Variation, cavity: Shape) -> list[Organ]:
    above = common(cavity, half_space(2, 20, below=False))
    lungs = [
        Organ(
            f"{side} lung",
            -840,
            (ellipsoid(vary.at(sign * 76, 0, 150), vary.size(63, 86, 128)),),
            texture=55,
            uneven=vary.ripple(4),
            within=above,
        )
        for side, sign in (("left", 1), ("right", -1))
    ]
    # The right half of the diaphragm is lifted by the liver, which is painted later.
    dome = common(ellipsoid(vary.at(74, -4, 14), vary.size(72, 84, 68)), cavity, half_space(2, 24, below=False))
    heart = ellipsoid(vary.at(22, -28, 128), vary.size(58, 52, 52))
    return [
        Organ("", -60, (common(box((-38, -90, 40), (40, 60, 400)), cavity),), texture=10),
        *lungs,
        Organ("", 50, (dome,), texture=8),
        Organ("", -98, (grown(dome, -2.5),), texture=8),
        Organ("heart", 135, (heart,), texture=8, uneven=vary.ripple(4)),
    ]


def _bones(body: Shape) -> list[Organ]:
    def ribs(x: Field, y: Field, z: Field) -> Field:
        # Rings on the inside of the wall, lower in front; the lowest ones end before they reach the front.
        depth = body.value(x, y, np.zeros_like(z)) + 24
        height = (z + 0.45 * (90 - y)) / 26
        along = (height - np.round(height)) * 26
        return np.asarray(np.hypot(depth / 1.0, along / 1.5) - 3.6)

    cage = Shape(ribs, (-172, -116, -70), (172, 116, 400))
    rib = common(cage, half_space(1, -62, below=False), half_space(2, -60, below=False))

    def levels(gap: float) -> Shape:
        """Slabs, one for each vertebra, lower than it by the disc and a further gap."""

        def value(x: Field, y: Field, z: Field) -> Field:
            level = z / _VERTEBRA
            height = np.abs(level - np.round(level)) * _VERTEBRA - (26 - gap) / 2
            return np.asarray(height + np.zeros_like(x * y))

        return Shape(value, (-90, 0, _LOW), (90, 140, _HIGH))

    bodies = common(column((0, _SPINE_Y), (23, 17), _LOW, _HIGH, 2.4), levels(0.0))
    arch = common(column((0, 88), (18, 14), _LOW, _HIGH), levels(0.0))
    spines = common(box((-4, 98, _LOW), (4, 112, _HIGH)), levels(4.0))
    wings = common(ellipsoid((0, 88, 0), (44, 8, 1e6)), levels(8.0))
    compact = 520.0
    return [
        Organ("ribs", compact, (rib,)),
        Organ("ribs", 230, (grown(rib, -2),), texture=40),
        Organ("", 85, (column((0, _SPINE_Y), (22, 16), _LOW, _HIGH, 2.4),), texture=8),
        Organ("vertebrae", compact, (bodies, arch, spines, wings)),
        Organ("vertebrae", 210, (grown(bodies, -2),), texture=45),
        Organ("", 25, (column((0, 90), (12, 9), _LOW, _HIGH),), texture=4),
    ]


def _upper_belly(vary: _Variation, cavity: Shape) -> list[Organ]:
    inside = grown(cavity, -2)
    liver = (
        ellipsoid(vary.at(-72, -4, 20), vary.size(74, 82, 78)),
        ellipsoid(vary.at(0, -46, 44), vary.size(72, 36, 36)),
    )
    stomach = ellipsoid(vary.at(58, -38, 26), vary.size(46, 38, 46))
    uneven = vary.ripple(5)
    organs = [
        Organ("stomach", 75, (stomach,), texture=8, uneven=uneven, within=inside),
        Organ("stomach", 18, (grown(stomach, -4),), texture=12, uneven=uneven, within=grown(inside, -4)),
        # The patient lies on the back: gas floats up to the front, under a level surface.
        Organ(
            "stomach",
            -960,
            (grown(stomach, -4),),
            uneven=uneven,
            within=common(grown(inside, -4), half_space(1, _fluid_level(stomach), below=True)),
        ),
        Organ("spleen", 122, (ellipsoid(vary.at(112, 44, 34), vary.size(30, 46, 52)),), 7, vary.ripple(4), inside),
        Organ("liver", 112, liver, 8, vary.ripple(6), inside),
        Organ("gallbladder", 8, (ellipsoid(vary.at(-46, -52, -32), vary.size(15, 17, 27)),), texture=4),
        Organ("liver metastasis", 62, (ellipsoid(vary.at(-92, 14, 18), vary.size(17, 15, 16)),), 9, vary.ripple(3)),
    ]
    for side, sign, height in (("left", 1, -28), ("right", -1, -44)):
        centre, radii = vary.at(sign * 68, 46, height), vary.size(27, 25, 54)
        whole, uneven = ellipsoid(centre, radii), vary.ripple(2.5)
        hilum = (centre[0] - sign * 20, centre[1] - 8, centre[2])
        organs += [
            Organ("", -95, (grown(whole, 7),), 8, uneven, inside),
            Organ(f"{side} kidney", 178, (whole,), 8, uneven),
            Organ(f"{side} kidney", 145, (grown(whole, -9),), 12, uneven),
            Organ("", -70, (ellipsoid(hilum, (17, 11, 26)),), 10, uneven),
        ]
    return organs


def _fluid_level(stomach: Shape) -> float:
    front, back = stomach.lower[1], stomach.upper[1]
    return front + 0.35 * (back - front)


def _bowel(vary: _Variation, cavity: Shape) -> list[Organ]:
    inside = grown(cavity, -3)
    frame = [(-112, 30, -400), (-112, 24, -60), (-108, -20, -44), (-60, -66, -62), (20, -72, -66), (92, -52, -36)]
    frame += [(116, 14, -16), (114, 34, -70), (112, 36, -400)]
    organs = []
    for path, radius, wall in ((np.array(frame), 19.0, 3.0), (vary.coil((0, -22, -120), (82, 44, 58), 5), 12.0, 2.5)):
        uneven = vary.ripple(2.5)
        organs += [
            Organ("bowel", 80, tube(path, radius), 10, uneven, inside),
            Organ("bowel", 20, tube(path, radius - wall), 25, uneven, grown(inside, -wall)),
        ]
    gas = tube(np.array(frame)[2:6], 12)
    return [*organs, Organ("bowel", -900, gas, 40, vary.ripple(4), common(inside, half_space(1, -58, below=True)))]


def _vessels() -> list[Organ]:
    height = np.linspace(-95, 400, 40)
    sway = 4 * np.sin(height / 45)
    aorta = np.stack([13 + sway, np.full_like(height, 34), height], axis=1)
    cava = np.stack([-19 + sway * 0.5, np.full_like(height, 36), height], axis=1)[:22]
    fork = aorta[0]
    legs = [np.array([fork, (side * 38 + 4, 44, -170), (side * 62, 10, -400)]) for side in (-1, 1)]
    return [
        Organ("inferior vena cava", 140, tube(cava, 11.5), 5),
        Organ("aorta", 152, (*tube(aorta, 11), *tube(legs[0], 6.5), *tube(legs[1], 6.5)), 4),
    ]
