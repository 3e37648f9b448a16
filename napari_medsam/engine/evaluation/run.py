"""Let simulated users segment labelled structures with a model, and score every answer."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import KDTree

from napari_medsam.engine.errors import Cancelled, MedSamError
from napari_medsam.engine.evaluation.baseline import inscribed_ellipsoid
from napari_medsam.engine.evaluation.cases import Case
from napari_medsam.engine.evaluation.metrics import dice, nsd, union_box
from napari_medsam.engine.evaluation.pictures import largest_picture
from napari_medsam.engine.evaluation.protocols import CHALLENGE, Protocol, Scene
from napari_medsam.engine.evaluation.users import tight_box
from napari_medsam.engine.predictor import Predictor
from napari_medsam.engine.prompts import Point, Prompt
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Index3, Vec3

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """Score of one answer.

    Parameters
    ----------
    dice, nsd : float
        Scores of the answer, in [0, 1].
    seconds : float or None
        Time the answer took; None where nothing was left to correct and the last answer stands.
    obeyed : bool or None
        Whether the newest click lies inside the answer (positive) or outside (negative); None without a click.
    broken : float or None
        Of a correction: the voxels that were right before, are wrong now and lie away from the gesture (farther than a
        quarter of the diagonal of the structure's box), relative to the structure; None for a first answer.
    """

    dice: float
    nsd: float
    seconds: float | None = None
    obeyed: bool | None = None
    broken: float | None = None


@dataclass(frozen=True)
class StructureResult:
    """What happened with one structure.

    Parameters
    ----------
    case : Case
        The image and its labels.
    values : tuple of int
        Label values that belong to the structure.
    voxels : int
        Size of the structure.
    ellipsoid : float
        Dice of the ellipsoid inscribed in its box: what a model must beat. Nan where there is no structure.
    steps : mapping of str to Step
        Scores by the names of the steps of the protocols. A model that takes no such prompt has no such step; a
        prediction that failed scores 0, as do those that would have followed.
    failure : str
        Why nothing or less was scored, in a sentence; empty when all went well.
    """

    case: Case
    values: tuple[int, ...]
    voxels: int = 0
    ellipsoid: float = float("nan")
    steps: Mapping[str, Step] = field(default_factory=dict)
    failure: str = ""


def evaluate_cases(
    cases: Iterable[Case],
    segmenter: Segmenter,
    task: Task | None = None,
    protocols: Sequence[Protocol] = CHALLENGE,
    flat: bool = False,
) -> Iterator[StructureResult]:
    """Score a model on every structure, one after the other, as they come.

    Answers are those a user of a `Session` gets: predicted and tidied. A case or structure that fails is reported in
    its result and does not stop the others.

    Parameters
    ----------
    cases : iterable of Case
        From `load_cases`.
    segmenter : Segmenter
        The model.
    task : Task, optional
        Cancellation.
    protocols : sequence of Protocol
        What the simulated users do.
    flat : bool
        Score the largest slice of each structure as an image of its own.

    Yields
    ------
    StructureResult
        One for each structure of each case.

    Raises
    ------
    Cancelled
        If ``task`` was cancelled.
    """
    task = task or Task()
    for case in cases:
        task.check()
        try:
            volume, labels = case.read()
            predictor = Predictor(segmenter, volume)
            if not flat:
                predictor.prepare(task)
        except Cancelled:
            raise
        except Exception as error:
            sentence = _sentence(error, case.id)
            for values in case.values:
                yield StructureResult(case, values, failure=sentence)
            continue
        for values in case.values:
            truth = Region.of(np.isin(labels, values))
            if not truth:
                text = ", ".join(map(str, values))
                yield StructureResult(case, values, failure=f"{case.label} has no voxel of the value {text}.")
                continue
            if flat:
                picture, truth = largest_picture(volume, truth)
                predictor = Predictor(segmenter, picture)
            yield _evaluate_structure(case, values, truth, predictor, task, protocols)


def _evaluate_structure(
    case: Case,
    values: tuple[int, ...],
    truth: Region,
    predictor: Predictor,
    task: Task,
    protocols: Sequence[Protocol],
) -> StructureResult:
    takes = predictor.segmenter.info.prompts
    steps: dict[str, Step] = {}
    failures: list[str] = []
    for protocol in protocols:
        taken = itertools.takewhile(lambda item: item[1].kind in takes, protocol.steps.items())
        asked = [name for name, _ in taken]
        try:
            for name, step in zip(asked, _interact(truth, protocol, predictor, task), strict=False):
                steps[name] = step
        except Cancelled:
            raise
        except Exception as error:
            lost = [name for name in asked if name not in steps]
            failures.append(_sentence(error, f"{case.id} {list(values)} {lost[0]}"))
            steps.update(dict.fromkeys(lost, Step(0.0, 0.0)))
    ellipsoid = dice(truth, inscribed_ellipsoid(tight_box(truth)))
    return StructureResult(case, values, truth.count, ellipsoid, steps, " ".join(failures))


def _interact(truth: Region, protocol: Protocol, predictor: Predictor, task: Task) -> Iterator[Step]:
    """The score after each step; the last one again where there is nothing to say."""
    prompts: list[Prompt] = []
    answer = Region.empty()
    volume = predictor.volume
    step = Step(0.0, 0.0)
    for gesture in protocol.steps.values():
        newest = gesture.draw(Scene(truth, answer, volume.shape))
        if newest is None:
            yield Step(step.dice, step.nsd)
            continue
        before = answer
        prompts.append(newest)
        start = time.perf_counter()
        answer = predictor.answer(tuple(prompts), before, task, is_answer=True).region
        seconds = time.perf_counter() - start
        step = Step(
            dice(truth, answer),
            nsd(truth, answer, volume.spacing),
            seconds,
            _obeyed(newest, answer) if isinstance(newest, Point) else None,
            _broken(truth, before, answer, newest.region(volume.shape), volume.spacing) if len(prompts) > 1 else None,
        )
        yield step


def _broken(truth: Region, before: Region, after: Region, gesture: Region, spacing: Vec3) -> float:
    boxes = [union_box(truth, region) for region in (before, after)]
    z, y, x = np.min([lower for lower, _ in boxes], axis=0).tolist()
    lower: Index3 = (z, y, x)
    z, y, x = np.max([upper for _, upper in boxes], axis=0).tolist()
    right, was, now = (region.inside(lower, (z, y, x)) for region in (truth, before, after))
    lost = np.argwhere((was == right) & (now != right)) + lower
    if not len(lost):
        return 0.0
    reach = np.linalg.norm(np.array(truth.voxels.shape) * spacing) / 4
    marked = KDTree((np.argwhere(gesture.voxels) + gesture.lower) * spacing)
    distance, _ = marked.query(lost * spacing, distance_upper_bound=reach)
    return int(np.count_nonzero(np.isinf(distance))) / truth.count


def _obeyed(click: Point, answer: Region) -> bool:
    z, y, x = click.voxel
    return bool(answer.inside(click.voxel, (z + 1, y + 1, x + 1)).all()) == click.positive


def _sentence(error: Exception, where: str) -> str:
    if isinstance(error, MedSamError):
        return f"{where}: {error}"
    _log.error("%s", where, exc_info=error)
    return f"{where}: {type(error).__name__}: {error}"
