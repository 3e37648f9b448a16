"""The models on offer, and how another one comes to this computer."""

from __future__ import annotations

from pathlib import Path

from psygnal import Signal

from napari_medsam.engine.segmenters.registry import segmenter_names
from napari_medsam.engine.task import Task
from napari_medsam.engine.weights.folder import InstalledModel, models_folder
from napari_medsam.widgets.jobs import Jobs

HOW_TO_GET_MODELS = (
    "SAM 2 models are files of weights. Import one here, or on a computer with internet: "
    "napari-medsam models list, then napari-medsam models download NAME."
)


class ModelLibrary:
    """Names of models, and the import of a file of weights as a job of the engine thread.

    Parameters
    ----------
    engine : Jobs
        Where weights are read and copied.
    """

    imported = Signal(str)
    """The name of a model that is there now."""
    failed = Signal(Exception)
    """The error is for the user."""

    def __init__(self, engine: Jobs) -> None:
        self._engine = engine

    @property
    def names(self) -> list[str]:
        """Models that can be loaded here, the default first."""
        return segmenter_names()

    def import_weights(self, path: Path) -> None:
        """Copy a file of weights into the folder of models, if it is of a family that is known."""

        def run(task: Task) -> InstalledModel:
            task.progress(0.0, f"Importing {path.name}")
            # Imported here because it reads medical formats, and the window must not wait for them when it opens.
            from napari_medsam.engine.weights.importing import import_model

            return import_model(path, models_folder())

        def done(model: InstalledModel) -> None:
            self.imported.emit(f"{model.card.family}:{model.path.name}")

        self._engine.submit(("import", path), f"Importing {path.name}", run, done, self.failed.emit)
