"""The dock widget *Segment*: its parts put together and bound to the controller and the viewer."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from napari_medsam.engine.errors import MedSamError
from napari_medsam.engine.propagation import Propagator
from napari_medsam.engine.segmenters.base import ObjectFinder
from napari_medsam.engine.session import Session
from napari_medsam.engine.window import Windowed
from napari_medsam.widgets._choosers import Choosers, OverlapChooser
from napari_medsam.widgets._clean_bar import CleanBar
from napari_medsam.widgets._file_dialogs import ask_for_weights, ask_where_to_save
from napari_medsam.widgets._object_list import ObjectList, ObjectRow
from napari_medsam.widgets._preview import SlicePreview
from napari_medsam.widgets._progress_bar import ProgressRow
from napari_medsam.widgets._propagate_bar import PropagateBar
from napari_medsam.widgets._recovery_bar import RecoveryBar
from napari_medsam.widgets._run_bar import RunBar
from napari_medsam.widgets._sketch_overlay import SketchOverlay
from napari_medsam.widgets._status_line import StatusLine
from napari_medsam.widgets._tool_bar import ToolBar
from napari_medsam.widgets.controller import SegmentController
from napari_medsam.widgets.gui_thread import GuiThread
from napari_medsam.widgets.layer_data import image_layer
from napari_medsam.widgets.model_library import HOW_TO_GET_MODELS, ModelLibrary
from napari_medsam.widgets.prompt_layers import Slice
from napari_medsam.widgets.recovery import Recovery
from napari_medsam.widgets.stage import Stage
from napari_medsam.widgets.tools import Key, Tool

if TYPE_CHECKING:
    import napari.viewer

_FIRST_HINT = "Choose a tool, then mark the object in the picture."
_NO_IMAGE = "Open an image to segment it."
_TOOL_HINTS = {
    Tool.POINT: "Click on the object. Dragging moves the picture.",
    Tool.BOX: "Drag from corner to corner around the object.",
    Tool.SCRIBBLE: "Drag a line through the object.",
    Tool.LASSO: "Draw around the object; the line closes itself.",
}


class SegmentWidget(QWidget):
    """Segment objects in an image layer with points, boxes, scribbles and lassos.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer whose image layers are segmented.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._tool: Tool | None = None
        self._gui = GuiThread(self)
        self.controller = SegmentController(self._gui.call, self._gui.wait_for_pause)
        actions: dict[str, Callable[[], None]] = {
            key: partial(self.choose_tool, tool) for tool, key in Key.TOOLS.items()
        } | {
            Key.POLARITY: self._flip_polarity,
            Key.EXTEND: self._extend_box,
            Key.NEXT_OBJECT: self.controller.next_object,
            Key.RUN: self.controller.run,
            Key.LEAVE: partial(self.choose_tool, None),
            Key.UNDO: self.controller.undo,
            Key.REDO: self.controller.redo,
        }
        self.stage = Stage(napari_viewer, self.controller, actions)
        self.recovery = Recovery(self.controller.engine)
        self.library = ModelLibrary(self.controller.engine)
        self._build()
        self._connect_views()
        self._connect_models()
        for key, action in actions.items():
            # The same keys with the focus in the dock: a click in the object list must not make them go dead. Enter
            # stays with the part that has the focus, as it ends the renaming of an object.
            if key == Key.RUN:
                continue
            shortcut = QShortcut(QKeySequence(key), self, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(action)
        self.stage.look_for_images()
        self.status.show_message(_FIRST_HINT if self.stage.scene else _NO_IMAGE)
        self.recovery.look()

    @property
    def tool(self) -> Tool | None:
        """The tool of the left mouse button; None when it is napari's."""
        return self._tool

    def choose_tool(self, tool: Tool | None) -> None:
        """Choose the tool of the left mouse button; the active one again, or None, gives the mouse back to napari."""
        had_tool = self._tool is not None
        self._tool = None if tool is self._tool or self.stage.scene is None else tool
        self.tools.set_tool(self._tool)
        self.stage.set_tool(self._tool)
        if self._tool is not None:
            self.controller.open()
            self.status.show_message(_TOOL_HINTS[self._tool])
        elif had_tool:
            self.status.show_message(_FIRST_HINT)

    def adopt(self, session: Session) -> None:
        """Show a recovered session with its image, ready to go on."""
        source = session.volume.source
        data, meta, _ = image_layer([session.volume], source.name.split(".")[0] if source else "recovered image")
        layer = self._viewer.add_image(data, **meta)
        self.stage.choose(self.stage.find(layer))
        self.controller.adopt(session)

    def _build(self) -> None:
        self.recovery_bar = RecoveryBar()
        self.choosers = Choosers()
        self.tools = ToolBar()
        self.objects = ObjectList()
        self.overlap = OverlapChooser()
        self.run = RunBar()
        self.propagate = PropagateBar()
        self.clean = CleanBar()
        self.progress = ProgressRow()
        self.status = StatusLine()
        self.preview = SlicePreview()
        self.sketch = SketchOverlay(self)
        foot = QWidget()
        # Its room is there while it is hidden, so that nothing but the sentence beside it moves when it appears.
        foot.setMinimumHeight(self.preview.height())
        row = QHBoxLayout(foot)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.status, 1, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.preview, 0, Qt.AlignmentFlag.AlignTop)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(8)
        for part in (
            self.recovery_bar,
            self.choosers,
            self.tools,
            self.objects,
            self.overlap,
            self.propagate,
            self.clean,
            self.run,
            self.progress,
            foot,
        ):
            column.addWidget(part)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(_Column(inside))
        self.choosers.set_models(self.library.names, self.controller.model)
        self.run.set_auto_run(self.controller.auto_run)

    def _connect_views(self) -> None:
        controller = self.controller
        self.choosers.image_chosen.connect(lambda index: self.stage.choose(self.stage.scenes[index]))
        self.choosers.model_chosen.connect(self._choose_model)
        self.choosers.import_requested.connect(self._ask_for_weights)
        self.choosers.contrast_chosen.connect(self.stage.set_as_displayed)
        self.tools.tool_chosen.connect(self.choose_tool)
        self.tools.polarity_flipped.connect(self._flip_polarity)
        self.tools.extend_requested.connect(self._extend_box)
        self.tools.everything_requested.connect(self.stage.segment_everything)
        self.objects.object_chosen.connect(controller.choose_object)
        self.objects.object_renamed.connect(controller.rename_object)
        self.objects.next_requested.connect(controller.next_object)
        self.objects.delete_requested.connect(controller.delete_object)
        self.overlap.overlap_chosen.connect(controller.set_overlap)
        self.run.auto_run_changed.connect(controller.set_auto_run)
        self.run.run_requested.connect(controller.run)
        self.run.undo_requested.connect(controller.undo)
        self.run.redo_requested.connect(controller.redo)
        self.run.save_requested.connect(self._ask_where_to_save)
        self.propagate.propagate_requested.connect(self.stage.propagate)
        self.clean.clean_requested.connect(controller.cleaning.clean)
        self.progress.cancel_requested.connect(controller.cancel)
        self.recovery_bar.recover_requested.connect(self.recovery.recover)
        self.recovery_bar.discard_requested.connect(self.recovery.discard)
        self.recovery_bar.later_requested.connect(self.recovery.later)

    def _connect_models(self) -> None:
        controller = self.controller
        controller.changed.connect(self._refresh)
        controller.message.connect(self.status.show_message)
        controller.failed.connect(self._show_error)
        controller.engine.progressed.connect(self.progress.set_progress)
        controller.engine.idled.connect(self._on_idle)
        for propagated in (controller.propagation.slices, controller.propagation.frames):
            propagated.pictured.connect(self.preview.show_picture)
            propagated.ended.connect(self._hide_preview)
        self.stage.images_changed.connect(self._show_images)
        self.stage.refused.connect(self._show_error)
        self.stage.sketched.connect(self.sketch.show)
        self.stage.moved.connect(self._on_moved)
        self.library.imported.connect(self._on_imported)
        self.library.failed.connect(self._show_error)
        self.recovery.offered.connect(self.recovery_bar.offer)
        self.recovery.settled.connect(self._hide_recovery)
        self.recovery.recovered.connect(self.adopt)
        self.recovery.failed.connect(self._show_error)
        self.destroyed.connect(partial(_shut_down, self.stage, controller))

    def _flip_polarity(self) -> None:
        canvas = self.stage.canvas
        canvas.positive = not canvas.positive
        self.tools.set_positive(canvas.positive)

    def _extend_box(self) -> None:
        self.stage.extend_box()

    def _choose_model(self, name: str) -> None:
        self.controller.choose_model(name)
        if self._tool is not None:
            self.controller.open()

    def _ask_for_weights(self) -> None:
        self.status.show_message(HOW_TO_GET_MODELS)
        ask_for_weights(self, self.library.import_weights)

    def _on_imported(self, name: str) -> None:
        self.choosers.set_models(self.library.names, self.controller.model)
        if self.controller.has_begun:
            self.status.show_message(f"{name} is here now: choose it for the next image.")
        else:
            self.choosers.choose_model(self.choosers.models.index(name))
            self.status.show_message(f"{name} is here now, and chosen.")

    def _on_moved(self, plane: Slice | None) -> None:
        if plane is not None:
            self.propagate.set_slice(plane.axis, plane.level)

    def _ask_where_to_save(self) -> None:
        scene, session = self.stage.scene, self.controller.work.session
        if scene is None or session is None:
            return
        source = session.volume.source
        name = source.name.split(".")[0] if source else scene.image.name
        from_dicom = source is not None and (source.is_dir() or source.suffix.lower() == ".dcm")
        ask_where_to_save(self, f"{name}-segmentation", from_dicom, self.controller.save)

    def _refresh(self) -> None:
        controller = self.controller
        work = controller.work
        session = work.session
        self.objects.set_rows(
            [ObjectRow(o.id, o.name, o.colour, f"{len(o.prompts)} prompts") for o in work.objects], work.current
        )
        self.objects.set_editable(session is not None)
        self.run.set_enabled(
            run=work.has_pending and not (controller.auto_run and controller.busy),
            undo=bool(work.waiting) or (session is not None and session.can_undo),
            redo=session is not None and session.can_redo,
            save=any(item.mask for item in work.objects),
        )
        self.propagate.set_enabled(any(item.mask for item in work.objects) and not controller.propagation.is_running)
        self.clean.set_enabled(any(item.mask for item in work.objects))
        self.propagate.set_frames(self.stage.scene.grid.frames if self.stage.scene is not None else 1)
        segmenter = None if session is None else session.segmenter
        self.propagate.set_tracker(isinstance(segmenter, Propagator))
        self.tools.set_finder(isinstance(segmenter, ObjectFinder))
        is_windowed = session is not None and isinstance(session.prepared, Windowed) and not session.volume.is_colour
        self.choosers.set_contrast_offered(is_windowed)
        self.choosers.set_contrast(self.stage.as_displayed)
        self.overlap.set_overlap(controller.overlap)
        self.choosers.set_model_enabled(not controller.has_begun)
        self._show_tools()

    def _show_tools(self) -> None:
        segmenter = self.controller.segmenter
        kinds = segmenter.info.prompts if segmenter is not None else {tool.value for tool in Tool}
        tools = [tool for tool in Tool if tool.value in kinds] if self.stage.scene else []
        self.tools.set_tools_enabled(frozenset(tools))
        self.tools.set_extendable(self.controller.work.box is not None)
        if segmenter is not None:
            info = segmenter.info
            on_cpu = info.device == "cpu"
            where = "the CPU: slower than a GPU" if on_cpu else info.device
            self.status.set_device(f"{info.title} runs on {where}.", warn=on_cpu)

    def _show_images(self) -> None:
        stage = self.stage
        current = stage.scenes.index(stage.scene) if stage.scene in stage.scenes else -1
        self.choosers.set_images([scene.image.name for scene in stage.scenes], current)
        if stage.scene is None and self._tool is not None:
            self.choose_tool(None)
            self.status.show_message(_NO_IMAGE)

    def _on_idle(self) -> None:
        self.progress.finish()
        self._refresh()

    def _hide_preview(self) -> None:
        self.preview.hide()

    def _hide_recovery(self) -> None:
        self.recovery_bar.hide()

    def _show_error(self, error: Exception) -> None:
        if isinstance(error, MedSamError):
            cause = error.__cause__
            details = "".join(traceback.format_exception(cause)) if cause is not None else ""
            self.status.show_error(str(error), details)
            self._viewer.status = str(error)
            return
        details = "".join(traceback.format_exception(error))
        self.status.show_error("Something failed that should not; your prompts and masks are kept.", details)


class _Column(QScrollArea):
    """Scrolls up and down when the window is low, and is never narrower than what it holds."""

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inside)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt calls it by this name
        width = self.widget().minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width()
        return QSize(width, super().minimumSizeHint().height())


def _shut_down(stage: Stage, controller: SegmentController, *_: object) -> None:
    stage.close()
    controller.close()
