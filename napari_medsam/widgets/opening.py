"""Sessions opened on the engine thread: the image read, the model loaded, what predictions share computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from psygnal import Signal

from napari_medsam.engine.journals import new_journal
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.segmenters.registry import load_segmenter
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task
from napari_medsam.widgets.frame_work import FrameWork
from napari_medsam.widgets.image_source import ImageSource
from napari_medsam.widgets.jobs import Jobs
from napari_medsam.widgets.open_images import OpenImages


class Opening:
    """Gives frames their sessions; each model is loaded once. Called, and signals emitted, on the GUI thread.

    Parameters
    ----------
    engine : Jobs
        Where it runs.
    images : OpenImages
        Whose frames they are.
    """

    opened = Signal(object, object, Session)
    """``(image, work, session)``: a frame has got its session."""
    failed = Signal(Exception)

    def __init__(self, engine: Jobs, images: OpenImages) -> None:
        self._engine = engine
        self._images = images
        self._segmenters: dict[str, Segmenter] = {}

    def segmenter(self, model: str) -> Segmenter | None:
        """A model, once it is loaded."""
        return self._segmenters.get(model)

    def open(self, image: ImageSource, work: FrameWork, model: str) -> None:
        """Open a frame, unless that is under way."""
        key = ("open", id(work))
        if not self._engine.has(key):
            make = self._maker(image, work, model)
            self._engine.submit(key, "Opening", make, partial(self.take, work, model), self.failed.emit)

    def open_all(
        self,
        image: ImageSource,
        works: Sequence[FrameWork],
        model: str,
        then: Callable[[Sequence[FrameWork]], None],
    ) -> None:
        """Open those frames that are not, then go on with all of them."""
        closed = [work for work in works if work.session is None]
        makers = [self._maker(image, work, model) for work in closed]

        def open_each(task: Task) -> list[Session]:
            opened = []
            for done, make in enumerate(makers):
                task.progress(done / len(makers), f"Opening frame {closed[done].frame}")
                opened.append(make(Task()))
            return opened

        def go_on(sessions: list[Session]) -> None:
            for work, session in zip(closed, sessions, strict=True):
                self.take(work, model, session)
            if all(work.session is not None for work in works):
                then(works)

        self._engine.submit(("open all", id(image)), "Opening the frames", open_each, go_on, self.failed.emit)

    def take(self, work: FrameWork, model: str, session: Session) -> None:
        """Give a frame its session; it is closed where the frame is gone or has one."""
        image = self._images.image_of(work)
        # One that came first is worked in by now: asked for again while its news was under way, it is opened twice.
        if image is None or work.session is not None:
            session.close()
            return
        self._segmenters[model] = session.segmenter
        work.session = session
        self.opened.emit(image, work, session)

    def _maker(self, image: ImageSource, work: FrameWork, model: str) -> Callable[[Task], Session]:
        """A function for the engine thread that opens a frame."""
        make, loaded, window = image.volume_maker(work.frame), self.segmenter(model), self._images.windows.get(image)

        def start(task: Task) -> Session:
            task.progress(0.0, "Reading the image")
            volume = make()
            task.progress(0.1, "Loading the model")
            segmenter = loaded or load_segmenter(model)
            session = Session(volume, segmenter, new_journal())
            task.progress(0.3, "Preparing the image")
            session.show(window, task)
            session.prepare(task)
            return session

        return start
