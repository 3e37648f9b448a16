"""Masks carried from one volume of a series to the others: through the frames of a beating heart, or of a film.

Every slice is followed through time on its own, as a film of which the frames are the slices of a volume; so any model
that propagates does it, in its own way. What moves through the slice appears and goes as the model sees it there;
slices on which no settled frame shows the object stay without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_medsam.engine.errors import Cancelled, MedSamError, PromptError
from napari_medsam.engine.objects import SegmentedObject
from napari_medsam.engine.propagation import Route, Seed, propagate
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import ProgressCallback, Task
from napari_medsam.engine.volume import Volume, affine_from_spacing
from napari_medsam.engine.window import Window, Windowed


@dataclass(frozen=True, eq=False)
class CarriedSlice:
    """The answer on one slice of one frame.

    Parameters
    ----------
    frame : int
        The frame.
    index : int
        The slice, along the first axis of its voxels.
    masks : mapping of int to Region
        By object, in the frame's voxels, one voxel thick; empty where the object is not on this slice.
    """

    frame: int
    index: int
    masks: Mapping[int, Region]


def carry(
    segmenter: Segmenter,
    frames: Sequence[Volume],
    settled: Mapping[int, Mapping[int, Region]],
    task: Task,
    *,
    start: int = 0,
    quick: bool = False,
    window: Window | None = None,
) -> Iterator[CarriedSlice]:
    """Carry masks from settled frames through a series, slice by slice outwards from ``start``.

    Parameters
    ----------
    segmenter : Segmenter
        Any that answers on a single slice.
    frames : sequence of Volume
        The series, all of one shape.
    settled : mapping of int to mapping of int to Region
        For each object its masks by frame, taken as the truth and kept.
    task : Task
        Progress and cancellation.
    start : int
        The slice to begin with.
    quick : bool
        As in `Route`.
    window : Window, optional
        What the model is to see, where it can be chosen; by default that of the first frame for all slices.

    Yields
    ------
    CarriedSlice
        Never of a settled frame of the object.

    Raises
    ------
    PromptError
        If an object has no mask to begin with.
    ImageError
        If the model cannot go on.
    Cancelled
        If ``task`` was cancelled.
    """
    if not all(any(masks.values()) for masks in settled.values()):
        raise PromptError("Segment the object in one frame first: there is nothing yet to propagate.")
    if window is None:
        first = segmenter.prepare(frames[0], task)
        window = first.window if isinstance(first, Windowed) else None
    depth = frames[0].shape[0]
    levels = sorted(range(depth), key=lambda z: (abs(z - start), z))
    for done, z in enumerate(levels):
        seeds = {}
        for id_, masks in settled.items():
            seed = _through_time(masks, z, frames)
            if any(seed.mask.inside((t, 0, 0), (t + 1, *frames[0].shape[1:])).any() for t in seed.keys):
                seeds[id_] = seed
        for id_ in settled.keys() - seeds.keys():
            for t in range(len(frames)):
                if t not in settled[id_]:
                    yield CarriedSlice(t, z, {id_: Region.empty()})
        if not seeds:
            continue
        film = _film(frames, z)
        inner = Task(_part_of(task, done, depth, f"Propagating: frames of slice {z}"))
        prepared = segmenter.prepare(film, inner)
        if isinstance(prepared, Windowed):
            prepared.show(window)
        # An object that has left a slice may come back to it with the next beat: it is looked for to the end.
        for step in propagate(segmenter, prepared, seeds, Route(patience=None, quick=quick), inner):
            task.check()
            yield CarriedSlice(step.index, z, {id_: _at(mask, z) for id_, mask in step.masks.items()})


def propagate_series(
    sessions: Sequence[Session],
    base: int,
    object_ids: Iterable[int],
    task: Task | None = None,
    on_slice: Callable[[CarriedSlice], None] = lambda _: None,
    *,
    start: int = 0,
    quick: bool = False,
) -> None:
    """Carry objects of one frame's session to those of the other frames, where they get the same number and name.

    Kept as they are, and taken as the truth, are the frame it begins with and every frame in which the object was given
    prompts. Each other session gets one change by hand for each object. Cancelling keeps what was answered until then.

    Parameters
    ----------
    sessions : sequence of Session
        One for each frame, in order, all with the same model.
    base : int
        The frame to begin with.
    object_ids : iterable of int
        Objects of its session.
    task : Task, optional
        Progress and cancellation.
    on_slice : callable, optional
        Called with each slice as it is answered, from this thread, for display.
    start : int
        The slice to begin with.
    quick : bool
        As in `Route`.

    Raises
    ------
    PromptError
        If an object has no mask yet.
    MedSamError
        If there is no such object, or another frame has another object of this number.
    ImageError
        If the model cannot go on; what was answered until then is kept.
    Cancelled
        If ``task`` was cancelled.
    """
    task = task or Task()
    home = sessions[base]
    items = [home.object(id_) for id_ in sorted(set(object_ids))]
    for frame, session in enumerate(sessions):
        for item in items:
            _check_number(session, item, frame)
    settled = {item.id: _settled(sessions, base, item) for item in items}
    growing: dict[tuple[int, int], np.ndarray] = {}
    stopped: MedSamError | Cancelled | None = None
    prepared = home.prepared
    window = prepared.window if isinstance(prepared, Windowed) else None
    volumes = [session.volume for session in sessions]
    try:
        for step in carry(home.segmenter, volumes, settled, task, start=start, quick=quick, window=window):
            for id_, mask in step.masks.items():
                place = (step.frame, id_)
                if place not in growing:
                    growing[place] = _mask(sessions[step.frame], id_).full(home.volume.shape)
                growing[place][step.index] = mask.inside((step.index, 0, 0), (step.index + 1, *home.volume.shape[1:]))
            on_slice(step)
    except (MedSamError, Cancelled) as error:
        if not growing:
            raise
        stopped = error
    for (frame, id_), voxels in growing.items():
        session, mask = sessions[frame], Region.of(voxels)
        known = {item.id for item in session.objects}
        if id_ not in known and mask:
            item = home.object(id_)
            session.add_object(item.name, item.colour, id_)
        if id_ in known or mask:
            session.edit(id_, mask)
    if stopped is not None:
        raise stopped


def _settled(sessions: Sequence[Session], base: int, item: SegmentedObject) -> dict[int, Region]:
    masks = {}
    for frame, session in enumerate(sessions):
        other = next((o for o in session.objects if o.id == item.id), None)
        if frame == base or (other is not None and other.prompts):
            masks[frame] = _mask(session, item.id)
    return masks


def _mask(session: Session, object_id: int) -> Region:
    return next((item.mask for item in session.objects if item.id == object_id), Region.empty())


def _check_number(session: Session, item: SegmentedObject, frame: int) -> None:
    other = next((o for o in session.objects if o.id == item.id), None)
    if other is not None and other.name != item.name:
        raise MedSamError(
            f"In frame {frame} number {item.id} is {other.name}, and not {item.name}: rename one of the two if they "
            "are the same, or delete it there."
        )


def _part_of(task: Task, done: int, count: int, text: str) -> ProgressCallback:
    def progress(part: float, _: str) -> None:
        task.progress((done + part) / count, text)

    return progress


def _film(frames: Sequence[Volume], z: int) -> Volume:
    """One slice of all frames, as a volume whose slices are the frames."""
    rows, columns = frames[0].spacing[1:]
    data = np.stack([frame.data[z] for frame in frames])
    return replace(frames[0], data=data, affine=affine_from_spacing((1.0, rows, columns)), source=None, frame=0)


def _through_time(masks: Mapping[int, Region], z: int, frames: Sequence[Volume]) -> Seed:
    voxels = np.zeros((len(frames), *frames[0].shape[1:]), bool)
    for frame, mask in masks.items():
        voxels[frame] = mask.inside((z, 0, 0), (z + 1, *frames[0].shape[1:]))[0]
    return Seed(Region.of(voxels), tuple(sorted(masks)))


def _at(mask: Region, z: int) -> Region:
    return Region((z, *mask.lower[1:]), mask.voxels) if mask else mask
