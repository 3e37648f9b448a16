"""What every family of models promises: prepare a volume once, then answer prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.region import Region
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume


@dataclass(frozen=True)
class SegmenterInfo:
    """What a model is and takes; shown to the user and written into journals.

    Parameters
    ----------
    name : str
        Registered name, as given on the command line.
    title : str
        Name for people.
    licence : str
        Licence of the weights (SPDX identifier).
    weights_hash : str
        Hex sha256 of the weights file.
    prompts : frozenset of str
        Kinds of prompt it takes (`Prompt.kind`).
    device : str
        Torch device it runs on.
    """

    name: str
    title: str
    licence: str
    weights_hash: str
    prompts: frozenset[str]
    device: str = "cpu"


@runtime_checkable
class Prepared(Protocol):
    """What a segmenter computed once for a volume. Filled lazily; shared by all objects of a session."""

    @property
    def volume(self) -> Volume:
        """The volume it was prepared from."""
        ...


@dataclass(frozen=True)
class Prediction:
    """One answer.

    Parameters
    ----------
    region : Region
        The whole mask of the object.
    confidence : float
        The model's own estimate of the Dice of the mask, in [0, 1]; nan where the model gives none.
    seconds : mapping
        Time by stage, for benchmarks and the status line.
    slice_confidence : mapping
        The same estimate for single slices, by ``z``; empty where the model gives none.
    """

    region: Region
    confidence: float = float("nan")
    seconds: Mapping[str, float] = field(default_factory=dict)
    slice_confidence: Mapping[int, float] = field(default_factory=dict)


@runtime_checkable
class Segmenter(Protocol):
    """An adapter that makes one family of models answer prompts. Calls come from one thread at a time."""

    @property
    def info(self) -> SegmenterInfo:
        """What the model is and takes."""
        ...

    def prepare(self, volume: Volume, task: Task) -> Prepared:
        """Compute what every prediction on ``volume`` shares.

        Raises
        ------
        ImageError
            If there is nothing to segment: no finite voxel, or all of one value.
        Cancelled
            If ``task`` was cancelled.
        """
        ...

    def predict(self, prepared: Prepared, prompts: Sequence[Prompt], previous: Region, task: Task) -> Prediction:
        """Answer the prompts of one object. The same arguments always give the same answer.

        Parameters
        ----------
        prepared : Prepared
            From `prepare` of this segmenter.
        prompts : sequence of Prompt
            All prompts of the object in the order given, the newest last; not empty.
        previous : Region
            The object's mask before the newest prompts; empty at the first.
        task : Task
            Progress and cancellation.

        Returns
        -------
        Prediction
            The object's whole mask.

        Raises
        ------
        PromptError
            If a prompt lies outside the image, is empty, or is of a kind the model does not take.
        Cancelled
            If ``task`` was cancelled.
        """
        ...


@runtime_checkable
class Reconsidering(Protocol):
    """A segmenter that at times answers all prompts together better than it corrects its answer to the earlier ones."""

    def reconsiders(self, prompts: Sequence[Prompt], previous: Region, volume: Volume) -> bool:
        """Whether it had better be asked as if the newest of ``prompts`` had been there from the start.

        ``previous`` is its answer to the others.
        """
        ...


@runtime_checkable
class ObjectFinder(Protocol):
    """A segmenter that finds the objects of a slice without a prompt."""

    def everything(self, prepared: Prepared, axis: int, index: int, task: Task) -> list[Prediction]:
        """All objects on slice ``index`` along ``axis``, each one voxel thick, the largest first; they may overlap.

        Raises
        ------
        Cancelled
            If ``task`` was cancelled.
        """
        ...
