"""The dock widget *Segment*: its parts put together and bound to the controller and the viewer."""

from __future__ import annotations

import traceback
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_medsam.engine.errors import MedSamError, PromptError
from napari_medsam.engine.prompts import Box
from napari_medsam.engine.segmenters.registry import segmenter_names
from napari_medsam.engine.session import Session
from napari_medsam.widgets._choosers import Choosers, OverlapChooser
from napari_medsam.widgets._object_list import ObjectList, ObjectRow
from napari_medsam.widgets._progress_bar import ProgressRow
from napari_medsam.widgets._recovery_bar import RecoveryBar
from napari_medsam.widgets._run_bar import RunBar
from napari_medsam.widgets._save_dialog import ask_where_to_save
from napari_medsam.widgets._status_line import StatusLine
from napari_medsam.widgets._tool_bar import ToolBar
from napari_medsam.widgets.canvas_tools import CanvasTools
from napari_medsam.widgets.controller import SegmentController
from napari_medsam.widgets.gui_thread import GuiThread
from napari_medsam.widgets.layer_data import image_layer
from napari_medsam.widgets.layer_keys import LayerKeys
from napari_medsam.widgets.prompt_layers import Slice
from napari_medsam.widgets.recovery import Recovery
from napari_medsam.widgets.scene import Scene
from napari_medsam.widgets.strokes import Stroke
from napari_medsam.widgets.tools import Key, Tool

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

_FIRST_HINT = "Choose a tool, then mark the object in the picture."
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
        self._scenes: list[Scene] = []
        self._scene: Scene | None = None
        self._tool: Tool | None = None
        self._missed: list[tuple[Scene, int, Any, Any]] = []
        self._gui = GuiThread(self)
        self.controller = SegmentController(self._gui.call)
        self.recovery = Recovery(self.controller.engine)
        self._canvas = CanvasTools(napari_viewer)
        self._keys = LayerKeys(
            {key: partial(self.choose_tool, tool) for tool, key in Key.TOOLS.items()}
            | {
                Key.POLARITY: self._flip_polarity,
                Key.EXTEND: self._extend_box,
                Key.NEXT_OBJECT: self.controller.next_object,
                Key.RUN: self.controller.run,
                Key.LEAVE: self._leave,
                Key.UNDO: self.controller.undo,
                Key.REDO: self.controller.redo,
            }
        )
        self._build()
        self._connect()
        self._sync_images()
        self.status.show_message(_FIRST_HINT if self._scene else "Open an image to segment it.")
        self.recovery.look()

    def choose_tool(self, tool: Tool | None) -> None:
        """Choose the tool of the left mouse button; the active one again, or None, gives the mouse back to napari."""
        self._tool = None if tool is self._tool or self._scene is None else tool
        self.tools.set_tool(self._tool)
        self._canvas.set_tool(self._tool)
        if self._tool is not None:
            self.controller.open()
            self.status.show_message(_TOOL_HINTS[self._tool])
        else:
            self.status.show_message(_FIRST_HINT)

    def choose_image(self, layer: Image) -> None:
        """Choose the image layer to segment."""
        for index, scene in enumerate(self._scenes):
            if scene.image is layer:
                self._choose_scene(index)

    def adopt(self, session: Session) -> None:
        """Show a recovered session with its image, ready to go on."""
        data, meta, _ = image_layer([session.volume], session.volume.source.name if session.volume.source else "image")
        layer = self._viewer.add_image(data, **meta)
        self.choose_image(next(other for other in self._viewer.layers if other == layer))
        self.controller.adopt(session)

    def _build(self) -> None:
        self.recovery_bar = RecoveryBar()
        self.choosers = Choosers()
        self.tools = ToolBar()
        self.objects = ObjectList()
        self.overlap = OverlapChooser()
        self.run = RunBar()
        self.progress = ProgressRow()
        self.status = StatusLine()
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(8)
        parts = (
            self.recovery_bar,
            self.choosers,
            self.tools,
            self.objects,
            self.overlap,
            self.run,
            self.progress,
            self.status,
        )
        for part in parts:
            column.addWidget(part)
        column.addStretch(1)
        scroll = _Column(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)
        self.choosers.set_models(segmenter_names(), self.controller.model)
        self.run.set_auto_run(self.controller.auto_run)

    def _connect(self) -> None:
        controller, viewer = self.controller, self._viewer
        self.choosers.image_chosen.connect(self._choose_scene)
        self.choosers.model_chosen.connect(partial(setattr, controller, "model"))
        self.tools.tool_chosen.connect(lambda tool: self.choose_tool(tool))
        self.tools.polarity_flipped.connect(self._flip_polarity)
        self.tools.extend_requested.connect(self._extend_box)
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
        self.progress.cancel_requested.connect(controller.cancel)
        self.recovery_bar.recover_requested.connect(self.recovery.recover)
        self.recovery_bar.discard_requested.connect(self.recovery.discard)
        self.recovery_bar.later_requested.connect(self.recovery.later)
        controller.changed.connect(self._refresh)
        controller.opened.connect(self._on_opened)
        controller.edited.connect(self._on_edited)
        controller.message.connect(self.status.show_message)
        controller.failed.connect(self._show_error)
        controller.engine.progressed.connect(self.progress.set_progress)
        controller.engine.idled.connect(self.progress.finish)
        self.recovery.offered.connect(self.recovery_bar.offer)
        self.recovery.settled.connect(lambda: self.recovery_bar.hide())
        self.recovery.recovered.connect(self.adopt)
        self.recovery.failed.connect(self._show_error)
        self._canvas.stroke_changed.connect(self._on_stroke_changed)
        self._canvas.stroke_finished.connect(self._on_stroke_finished)
        self._canvas.refused.connect(self._show_error)
        viewer.layers.events.inserted.connect(self._on_layers_changed)
        viewer.layers.events.removed.connect(self._on_layers_changed)
        viewer.layers.events.renamed.connect(self._show_images)
        for event in (viewer.dims.events.current_step, viewer.dims.events.order, viewer.dims.events.ndisplay):
            event.connect(self._on_view_changed)
        for key in (*Key.TOOLS.values(), Key.POLARITY, Key.EXTEND, Key.NEXT_OBJECT, Key.LEAVE, Key.UNDO, Key.REDO):
            # The same keys with the focus in the dock: a click in the object list must not make them go dead.
            shortcut = QShortcut(QKeySequence(key), self, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(self._keys.action(key))
        self.destroyed.connect(partial(_shut_down, self._canvas, controller, self._keys))

    # What the user does

    def _choose_scene(self, index: int) -> None:
        self._scene = self._scenes[index] if 0 <= index < len(self._scenes) else None
        scene = self._scene
        self._canvas.set_image(scene.image if scene else None, scene.grid if scene else None)
        if scene is None:
            self.choose_tool(None)
        else:
            self._viewer.layers.selection.active = scene.image
        self.controller.set_image(scene)
        self._show_images()
        self._on_view_changed()

    def _flip_polarity(self) -> None:
        self._canvas.positive = not self._canvas.positive
        self.tools.set_positive(self._canvas.positive)

    def _leave(self) -> None:
        self.choose_tool(None)

    def _extend_box(self) -> None:
        try:
            spot = self._canvas.spot()
        except MedSamError as error:
            self._show_error(error)
            return
        self.controller.extend_box(spot.axis, spot.level)

    def _on_stroke_changed(self, stroke: Stroke) -> None:
        if self._scene is not None:
            try:
                prompt = stroke.prompt(self._scene.grid.volume_shape)
            except PromptError:
                return
            self._scene.show_prompts(self.controller.work, self._plane(), preview=prompt)

    def _on_stroke_finished(self, frame: int, stroke: Stroke, join: bool) -> None:
        if self._scene is None:
            return
        try:
            prompt = stroke.prompt(self._scene.grid.volume_shape)
        except PromptError as error:
            self._show_error(error)
            self._show_prompts()
            return
        self.controller.set_frame(frame)
        if join and isinstance(prompt, Box):
            self.controller.join_box(prompt)
        else:
            self.controller.give(prompt)

    def _ask_where_to_save(self) -> None:
        if self._scene is None:
            return
        session = self.controller.work.session
        source = session.volume.source if session is not None else None
        name = f"{(source.name if source else self._scene.image.name).split('.')[0]}-segmentation"
        from_dicom = source is not None and (source.is_dir() or source.suffix.lower() == ".dcm")
        ask_where_to_save(self, name, from_dicom, self.controller.save)

    # What the controller tells

    def _refresh(self) -> None:
        controller, scene = self.controller, self._scene
        work = controller.work
        rows = [ObjectRow(o.id, o.name, o.colour, f"{len(o.prompts)} prompts") for o in work.objects]
        self.objects.set_rows(rows, work.current)
        self.objects.set_editable(work.session is not None)
        session = work.session
        self.run.set_enabled(
            run=work.has_pending and not (controller.auto_run and controller.busy),
            undo=bool(work.waiting) or (session is not None and session.can_undo),
            redo=session is not None and session.can_redo,
            save=any(item.mask for item in work.objects),
        )
        self.overlap.set_overlap(controller.overlap)
        self.choosers.set_model_enabled(not controller.has_sessions)
        self._show_tools()
        if scene is not None:
            scene.show_objects(controller.works(scene))
            self._show_prompts()

    def _show_tools(self) -> None:
        segmenter = self.controller.segmenter
        kinds = segmenter.info.prompts if segmenter is not None else {tool.value for tool in Tool}
        tools = frozenset(tool for tool in Tool if tool.value in kinds) if self._scene else frozenset()
        self.tools.set_tools_enabled(tools)
        self.tools.set_extendable(self.controller.work.box is not None)
        if segmenter is not None:
            info = segmenter.info
            cpu = info.device == "cpu"
            where = "the CPU: slower than a GPU" if cpu else info.device
            self.status.set_device(f"{info.title} runs on {where}.", warn=cpu)

    def _show_prompts(self) -> None:
        if self._scene is not None:
            self._scene.show_prompts(self.controller.work, self._plane())
            self._keys.set_layers(self._scene.layers)

    def _on_opened(self, scene: Scene, frame: int) -> None:
        works = self.controller.works(scene)
        layer = scene.result.layer
        if layer is not None:
            view = scene.grid.frame_of(layer.data, frame)
            self.controller.engine.submit(
                ("touch", id(scene), frame), "Preparing the result", lambda _: view.fill(0), lambda _: None, _ignore
            )
            return
        self.controller.engine.submit(
            ("paint", id(scene)),
            "Preparing the result",
            lambda _: scene.painted(works),
            partial(self._on_painted, scene),
            self._show_error,
        )

    def _on_painted(self, scene: Scene, labels: Any) -> None:
        if not any(scene is other for other in self._scenes):
            return
        scene.result.show(labels)
        missed, self._missed = self._missed, []
        for edit in missed:
            self._on_edited(*edit)
        self._refresh()

    def _on_edited(self, scene: Scene, frame: int, lower: Any, upper: Any) -> None:
        work = next((w for w in self.controller.works(scene) if w.frame == frame), None)
        if work is None or work.session is None:
            return
        if scene.result.layer is None:
            # The user removed the layer, or it is on its way: paint it with everything, this edit included.
            self._missed.append((scene, frame, lower, upper))
            self._on_opened(scene, frame)
            return
        scene.show_objects(self.controller.works(scene))
        scene.result.patch(frame, lower, work.session.labels(lower, upper))

    def _show_error(self, error: Exception) -> None:
        if isinstance(error, MedSamError):
            cause = error.__cause__
            details = "".join(traceback.format_exception(cause)) if cause is not None else ""
            self.status.show_error(str(error), details)
            self._viewer.status = str(error)
            return
        details = "".join(traceback.format_exception(error))
        self.status.show_error("Something failed that should not; your prompts and masks are kept.", details)

    # What the viewer tells

    def _plane(self) -> Slice | None:
        try:
            spot = self._canvas.spot()
        except MedSamError:
            return None
        return Slice(spot.axis, spot.level)

    def _on_view_changed(self) -> None:
        if self._scene is None:
            return
        if self._scene.grid.ndim == 4:
            self.controller.set_frame(self._canvas.frame())
        self._show_prompts()

    def _on_layers_changed(self) -> None:
        self._sync_images()
        self._show_prompts()

    def _sync_images(self) -> None:
        from napari.layers import Image

        layers = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        for scene in [s for s in self._scenes if not any(s.image is layer for layer in layers)]:
            self._scenes.remove(scene)
            scene.close()
            self.controller.forget(scene)
        known = [scene.image for scene in self._scenes]
        for layer in layers:
            if not any(layer is other for other in known):
                try:
                    self._scenes.append(Scene(self._viewer, layer))
                except MedSamError:
                    continue
        if self._scene not in self._scenes:
            active = self._viewer.layers.selection.active
            chosen = [i for i, scene in enumerate(self._scenes) if scene.image == active]
            self._choose_scene(chosen[0] if chosen else len(self._scenes) - 1)
        self._show_images()

    def _show_images(self) -> None:
        current = self._scenes.index(self._scene) if self._scene in self._scenes else -1
        self.choosers.set_images([scene.image.name for scene in self._scenes], current)


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


def _ignore(_error: Exception) -> None:
    return


def _shut_down(canvas: CanvasTools, controller: SegmentController, keys: LayerKeys, *_: object) -> None:
    keys.set_layers([])
    canvas.close()
    controller.close()
