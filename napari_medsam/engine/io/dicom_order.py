"""DICOM slices put in order: frames told apart, gaps and mixtures refused, and the affine of what is left."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io.dicom_slices import FRAME_KEYS, Slice
from napari_medsam.engine.volume import FloatArray, affine_from_spacing

# Cosines of one series differ by rounding only; a thousandth is 0.06 degrees.
_COSINE = 1e-3
# Positions written with one decimal are up to 0.05 mm off, at either end of a step.
_OFF_GRID_MM = 0.1
_SAME_PLACE_MM = 0.01


@dataclass(frozen=True, eq=False)
class Stack:
    """A series in order.

    Parameters
    ----------
    frames : list of list of Slice
        Slices of each volume along ``z``.
    affine : numpy.ndarray
        ``(4, 4)`` of every volume.
    """

    frames: list[list[Slice]]
    affine: FloatArray


def stacked(slices: Sequence[Slice], name: str) -> Stack:
    """Order the images of one series by their place along the normal, and in time.

    The step from slice to slice is kept as a vector, so a tilted gantry gives a sheared affine and not a wrong one.

    Parameters
    ----------
    slices : sequence of Slice
        The images.
    name : str
        How the series is named to the user.

    Raises
    ------
    ImageError
        If the series is not a grid: sizes, orientations or pixel spacings are mixed, slices are missing or unevenly
        spaced, or several images lie at one place and nothing tells them apart.
    """
    _require_one(slices, name, "sizes", lambda s: f"{s.size[1]} x {s.size[0]} pixels")
    _require_one(slices, name, "pixel spacings", lambda s: "{:.4g} x {:.4g} mm".format(*s.pixel_spacing[::-1]))
    placed = [s for s in slices if s.position is not None and s.orientation is not None]
    if not placed:
        # Radiographs, ultrasound and other pictures without a place: each is a volume of one slice.
        return Stack([[s] for s in sorted(slices, key=lambda s: s.number)], _flat_affine(slices[0]))
    if len(placed) < len(slices):
        lost = next(s for s in slices if s not in placed)
        raise ImageError(
            f"The series {name} has images without a position, for example {lost.path.name}: export it again."
        )
    _require_one_orientation(slices, name)
    places = _by_place(slices)
    frames = _frames(places, name)
    return Stack(frames, _affine(frames[0], name))


def _require_one(slices: Sequence[Slice], name: str, what: str, key: Callable[[Slice], str]) -> None:
    counts = Counter(key(s) for s in slices)
    if len(counts) > 1:
        listed = ", ".join(f"{text} ({count} images)" for text, count in counts.most_common())
        raise ImageError(
            f"The series {name} mixes {what}: {listed}; put the images of one kind into a folder of their own."
        )


def _require_one_orientation(slices: Sequence[Slice], name: str) -> None:
    kinds: list[list[Slice]] = []
    for s in slices:
        assert s.orientation is not None
        if np.abs(s.orientation @ s.orientation.T - np.eye(2)).max() > 0.01:
            raise ImageError(
                f"The orientation in {s.path.name} is not two perpendicular directions: the header is damaged."
            )
        for kind in kinds:
            other = kind[0].orientation
            assert other is not None
            if np.abs(s.orientation - other).max() < _COSINE:
                kind.append(s)
                break
        else:
            kinds.append([s])
    if len(kinds) > 1:
        listed = ", ".join(f"{_plane(kind[0])} ({len(kind)} images, {kind[0].path.name})" for kind in kinds[:5])
        raise ImageError(
            f"The series {name} mixes {len(kinds)} orientations: {listed}; put the images of one orientation into a "
            "folder of their own."
        )


def _plane(s: Slice) -> str:
    names = ("sagittal", "coronal", "axial")
    largest = int(np.argmax(np.abs(s.normal)))
    return names[largest] if abs(s.normal[largest]) > 0.999 else f"oblique {names[largest]}"


def _by_place(slices: Sequence[Slice]) -> list[list[Slice]]:
    normal = slices[0].normal
    ordered = sorted(slices, key=lambda s: (float(_position(s) @ normal), s.number))
    places: list[list[Slice]] = []
    for s in ordered:
        if places and np.linalg.norm(_position(places[-1][0]) - _position(s)) < _SAME_PLACE_MM:
            places[-1].append(s)
        else:
            places.append([s])
    return places


def _frames(places: list[list[Slice]], name: str) -> list[list[Slice]]:
    count = max(len(place) for place in places)
    if count == 1:
        return [[place[0] for place in places]]
    short = [place for place in places if len(place) < count]
    if short:
        raise ImageError(
            f"The series {name} has {count} images at most places but {len(short[0])} at {short[0][0].path.name}: "
            "images are missing, or two acquisitions are mixed."
        )
    for key in FRAME_KEYS:
        frames = _split(places, key)
        if frames is not None:
            return frames
    numbers = [s.number for place in places for s in place]
    if len(set(numbers)) == len(numbers):
        # Numbered through: the n-th image at each place belongs to the n-th volume.
        return [[sorted(place, key=lambda s: s.number)[i] for place in places] for i in range(count)]
    raise ImageError(
        f"The series {name} has {count} images at each place, such as {places[0][0].path.name} and "
        f"{places[0][1].path.name}, and nothing in them tells the volumes apart; put one volume into a folder of its "
        "own."
    )


def _split(places: list[list[Slice]], key: str) -> list[list[Slice]] | None:
    """The volumes that one attribute tells apart, or None where it does not."""
    groups: dict[object, list[Slice]] = defaultdict(list)
    for place in places:
        values = [s.keys.get(key) for s in place]
        if None in values or len(set(values)) != len(values):
            return None
        for value, s in zip(values, place, strict=True):
            groups[value].append(s)
    if any(len(group) != len(places) for group in groups.values()):
        return None
    return [groups[value] for value in sorted(groups)]  # type: ignore[type-var]  # each value is a sortable tuple


def _affine(slices: list[Slice], name: str) -> FloatArray:
    first = slices[0]
    assert first.orientation is not None
    step = first.normal * first.thickness
    if len(slices) > 1:
        positions = np.array([_position(s) for s in slices])
        _require_even(slices, positions @ first.normal, name)
        step = (positions[-1] - positions[0]) / (len(slices) - 1)
        off = np.linalg.norm(positions - (positions[0] + np.arange(len(slices))[:, None] * step), axis=1)
        worst = int(np.argmax(off))
        if off[worst] > min(_OFF_GRID_MM, np.linalg.norm(step) / 4):
            raise ImageError(
                f"The slices of the series {name} do not lie on one line: {slices[worst].path.name} is "
                f"{off[worst]:.2f} mm off; put the slices of one stack into a folder of their own."
            )
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = first.orientation[1] * first.pixel_spacing[0]
    affine[:3, 2] = first.orientation[0] * first.pixel_spacing[1]
    affine[:3, 3] = _position(first)
    return affine


def _require_even(slices: list[Slice], along: FloatArray, name: str) -> None:
    steps = np.diff(along)
    usual = float(np.median(steps))
    gaps = np.flatnonzero(steps > 1.5 * usual)
    times = steps / usual
    if gaps.size and np.abs(times - np.rint(times)).max() < 0.1:
        lost = int(np.rint(times[gaps]).sum()) - len(gaps)
        listed = ", ".join(
            f"between {slices[i].path.name} and {slices[i + 1].path.name} ({steps[i]:.1f} mm instead of {usual:.1f} mm)"
            for i in gaps[:3]
        )
        more = f" and at {len(gaps) - 3} more places" if len(gaps) > 3 else ""
        missing = f"{lost} slice is" if lost == 1 else f"{lost} slices are"
        raise ImageError(f"In the series {name} {missing} missing {listed}{more}: export or copy it again.")
    if np.abs(steps - usual).max() > min(2 * _OFF_GRID_MM, usual / 4):
        raise ImageError(
            f"The slices of the series {name} are not evenly spaced: from {steps.min():.2f} to {steps.max():.2f} mm, "
            f"for example after {slices[int(np.argmax(np.abs(steps - usual)))].path.name}; resample it to one spacing "
            "first."
        )


def _flat_affine(s: Slice) -> FloatArray:
    rows, columns = s.pixel_spacing
    return affine_from_spacing((s.thickness, rows, columns))


def _position(s: Slice) -> FloatArray:
    assert s.position is not None
    return s.position
