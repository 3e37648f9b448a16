"""Objects found without a prompt, and the window the model sees: in a session like any other step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from region_grower import RegionGrower

from napari_medsam.engine.errors import Cancelled, PromptError
from napari_medsam.engine.prompts import Box, MaskPrompt
from napari_medsam.engine.propagation import key_slices
from napari_medsam.engine.region import Region
from napari_medsam.engine.replay import Replay
from napari_medsam.engine.segmenters.base import Prediction
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume
from napari_medsam.engine.window import Window

SHAPE = (3, 40, 40)
NARROW = Window(0.0, 100.0)


def square(start: int, stop: int) -> Region:
    return Region((1, start, start), np.ones((1, stop - start, stop - start), bool))


@dataclass
class Shown:
    """What is brighter than the middle of the window is white."""

    volume: Volume
    window: Window = NARROW

    def show(self, window: Window | None) -> None:
        self.window = window or NARROW

    @property
    def values(self) -> np.ndarray:
        return (self.window.apply(self.volume.data) > 0.5).astype(np.float32)


class Finder(RegionGrower):
    """Finds an organ, a lesion in it, and something twice."""

    found = (square(2, 30), square(2, 29), square(10, 16))

    def prepare(self, volume: Volume, task: Task) -> Shown:
        return Shown(volume)

    def everything(self, prepared: Shown, axis: int, index: int, task: Task) -> list[Prediction]:
        task.progress(0.5, "Looking")
        return [Prediction(region) for region in self.found]


@pytest.fixture
def volume() -> Volume:
    data = np.zeros(SHAPE, np.float32)
    data[:, 5:20, 5:20] = 80
    data[:, 25:35, 25:35] = 400
    return Volume(data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.journal"


@pytest.fixture
def session(volume: Volume, path: Path) -> Session:
    return Session(volume, Finder(), path)


def test_objects_lie_beside_each_other_and_are_one_step(session: Session) -> None:
    organ, lesion = session.segment_everything(0, 1)
    assert [item.name for item in (organ, lesion)] == ["Object 1", "Object 2"]
    assert organ.mask.count == 27**2 - 6**2
    assert lesion.mask.count == 6**2
    assert [prompt.kind for prompt in organ.prompts] == ["mask"]
    labels = session.labels()[1]
    assert labels[12, 12] == lesion.id
    assert labels[5, 5] == organ.id
    assert [command.kind for command in session.history] == ["everything"]
    assert session.undo()
    assert session.objects == ()
    assert session.redo()
    np.testing.assert_array_equal(session.labels()[1], labels)


def test_objects_that_are_there_stay(session: Session) -> None:
    mine = session.add_object("Mine")
    session.edit(mine.id, square(3, 28))
    before = session.mask(mine.id)
    (lesion_rim,) = [item for item in session.segment_everything(0, 1) if item.mask.count < 100] or [None]
    assert lesion_rim is None, "it lies in what is there"
    assert session.mask(mine.id) == before
    assert session.segment_everything(0, 1) == ()
    assert len(session.objects) == 1


def test_they_are_corrected_and_recovered(session: Session, volume: Volume, path: Path) -> None:
    organ, lesion = session.segment_everything(0, 1)
    assert key_slices(lesion.prompts, lesion.mask, 0, SHAPE) == (1,)
    session.prompt(Box((1, 10, 10), (2, 13, 13), positive=False), lesion.id)
    labels = session.labels()
    session.remove_prompt(organ.prompts[0].id)
    assert not session.mask(organ.id)
    session.undo()
    np.testing.assert_array_equal(session.labels(), labels)
    recovered = Session.recover(_copy(path), volume, Finder())
    np.testing.assert_array_equal(recovered.labels(), labels)
    assert [isinstance(p, MaskPrompt) for p in recovered.object(organ.id).prompts] == [True]
    assert recovered.undo()
    assert recovered.undo()
    assert recovered.objects == ()


def test_a_model_that_needs_prompts_says_so(volume: Volume) -> None:
    with pytest.raises(PromptError, match="Region grower finds nothing by itself"):
        Session(volume, RegionGrower()).segment_everything(0, 1)


def test_cancelled_it_adds_nothing(session: Session) -> None:
    task = Task()
    task.cancel()
    with pytest.raises(Cancelled):
        session.segment_everything(0, 1, task)
    assert session.history == ()


def test_the_window_decides_and_is_proved(session: Session, volume: Volume, path: Path) -> None:
    box = Box((1, 0, 0), (2, 40, 40))
    session.prompt(box)
    assert session.mask(1).count == 15**2 + 10**2
    assert "window" not in session.history[-1].details
    session.show(Window(0.0, 600.0))
    session.prompt(Box((1, 0, 0), (2, 40, 40)), session.add_object().id)
    assert session.mask(2).count == 0, "the other object keeps it"
    session.show(None)
    session.remove_object(1)
    session.show(Window(0.0, 600.0))
    session.prompt(Box((1, 1, 1), (2, 40, 40)), 2)
    assert session.mask(2).count == 10**2
    assert session.history[-1].details["window"] == [0.0, 600.0]
    replayed = list(Replay(_copy(path), Finder(), volume).run(Task()))
    assert len(replayed) == 3
    assert all(command.is_same for command in replayed)


def _copy(path: Path) -> Path:
    """The journal of a running session, as a crash would leave it."""
    copy = path.with_name("copy.journal")
    copy.write_bytes(path.read_bytes())
    for image in path.parent.glob("*.image.npy"):
        image.with_name(image.name.replace(path.stem, copy.stem)).write_bytes(image.read_bytes())
    return copy
