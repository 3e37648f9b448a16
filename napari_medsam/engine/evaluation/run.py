"""Let simulated users segment labelled structures with a model, and score every answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from napari_medsam.engine.errors import Cancelled, MedSamError
from napari_medsam.engine.evaluation.baseline import inscribed_ellipsoid
from napari_medsam.engine.evaluation.cases import Case
from napari_medsam.engine.evaluation.metrics import dice, nsd
from napari_medsam.engine.evaluation.users import next_click, tight_box
from napari_medsam.engine.predictor import Predictor
from napari_medsam.engine.prompts import Box, Point, Prompt
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.task import Task

BOX_STEPS = ("box", "box+1", "box+2", "box+3", "box+4", "box+5")
"""A tight 3D box, then five clicks at the centre of the largest error."""

CLICK_STEPS = ("click1", "click2", "click3", "click4", "click5")
"""No box: a click in the centre, then four at the centre of the largest error."""

PROTOCOLS: Mapping[str, tuple[str, ...]] = {"box": BOX_STEPS, "click": CLICK_STEPS}

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
    """

    dice: float
    nsd: float
    seconds: float | None = None
    obeyed: bool | None = None


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
        Scores by the names in `BOX_STEPS` and `CLICK_STEPS`. A model that takes no such prompt has no such step; a
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


def evaluate_cases(cases: Iterable[Case], segmenter: Segmenter, task: Task | None = None) -> Iterator[StructureResult]:
    """Score a model on every structure, one after the other, as they come.

    Answers are those a user of a `Session` gets: predicted and tidied. A case or structure that fails is reported in its result and does not stop the others.

    Parameters
    ----------
    cases : iterable of Case
        From `load_cases`.
    segmenter : Segmenter
        The model.
    task : Task, optional
        Cancellation.

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
            yield _evaluate_structure(case, values, truth, predictor, task)


def _evaluate_structure(
    case: Case, values: tuple[int, ...], truth: Region, predictor: Predictor, task: Task
) -> StructureResult:
    takes = predictor.segmenter.info.prompts
    steps: dict[str, Step] = {}
    failures: list[str] = []
    for protocol, names in PROTOCOLS.items():
        first = tight_box(truth) if protocol == "box" else next_click(truth, Region.empty())
        if first is None or first.kind not in takes:
            continue
        asked = names if Point.kind in takes else names[:1]
        try:
            for name, step in zip(asked, _interact(truth, first, predictor, task), strict=False):
                steps[name] = step
        except Cancelled:
            raise
        except Exception as error:
            lost = [name for name in asked if name not in steps]
            failures.append(_sentence(error, f"{case.id} {list(values)} {lost[0]}"))
            steps.update(dict.fromkeys(lost, Step(0.0, 0.0)))
    ellipsoid = dice(truth, inscribed_ellipsoid(tight_box(truth)))
    return StructureResult(case, values, truth.count, ellipsoid, steps, " ".join(failures))


def _interact(truth: Region, first: Box | Point, predictor: Predictor, task: Task) -> Iterator[Step]:
    """Scores without end: after the first prompt a click at a time, repeating the last when nothing is wrong."""
    prompts: list[Prompt] = []
    answer = Region.empty()
    newest: Box | Point | None = first
    while newest is not None:
        prompts.append(newest)
        start = time.perf_counter()
        answer = predictor.answer(tuple(prompts), answer, task).region
        seconds = time.perf_counter() - start
        obeyed = _obeyed(newest, answer) if isinstance(newest, Point) else None
        step = Step(dice(truth, answer), nsd(truth, answer, predictor.volume.spacing), seconds, obeyed)
        yield step
        newest = next_click(truth, answer)
    while True:
        yield Step(step.dice, step.nsd)


def _obeyed(click: Point, answer: Region) -> bool:
    z, y, x = click.voxel
    return bool(answer.inside(click.voxel, (z + 1, y + 1, x + 1)).all()) == click.positive


def _sentence(error: Exception, where: str) -> str:
    if isinstance(error, MedSamError):
        return f"{where}: {error}"
    _log.error("%s", where, exc_info=error)
    return f"{where}: {type(error).__name__}: {error}"
