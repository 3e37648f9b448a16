"""The viewer's side of the widget: follows its layers, slices and mouse, and shows prompts and masks in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_medsam.engine.errors import MedSamError, PromptError
from napari_medsam.engine.prompts import Box
from napari_medsam.engine.volume import Index3
from napari_medsam.widgets.canvas_tools import CanvasTools
from napari_medsam.widgets.controller import SegmentController
from napari_medsam.widgets.following import Following
from napari_medsam.widgets.frame_work import FrameWork
from napari_medsam.widgets.getting_ready import get_ready
from napari_medsam.widgets.layer_grid import Spot
from napari_medsam.widgets.layer_keys import LayerKeys
from napari_medsam.widgets.prompt_layers import Slice
from napari_medsam.widgets.scene import Scene
from napari_medsam.widgets.sketch import CanvasMap
from napari_medsam.widgets.strokes import Stroke
from napari_medsam.widgets.tools import Tool
from napari_medsam.widgets.wish import Wish

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image


class Stage:
    """Binds a viewer to a controller.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    controller : SegmentController
    actions : mapping
        What keys do while a layer of the chosen scene is selected.
    """

    images_changed = Signal()
    """Image layers came or went, or another one was chosen."""
    refused = Signal(Exception)
    """A gesture or a layer cannot be used; the error is for the user."""
    sketched = Signal(object)
    """The `Sketch` of the stroke that is being drawn; None at its end."""
    moved = Signal(object)
    """Another `Slice` is displayed; None in 3D."""

    def __init__(
        self, viewer: napari.viewer.Viewer, controller: SegmentController, actions: Mapping[str, Callable[[], None]]
    ) -> None:
        self._viewer = viewer
        self._controller = controller
        self._keys = LayerKeys(actions)
        self._missed: list[tuple[Scene, int, Index3, Index3]] = []
        self._painting: list[Scene] = []
        self.scenes: list[Scene] = []
        self.scene: Scene | None = None
        self.canvas = CanvasTools(viewer)
        self._following = Following(viewer)
        self._scrolls_along = False
        self._is_scrolling = False
        self._connections: list[tuple[Any, Callable[..., None]]] = [
            (viewer.layers.events.inserted, self._on_layers_changed),
            (viewer.layers.events.removed, self._on_layers_changed),
            (viewer.layers.events.renamed, self._on_renamed),
            (viewer.dims.events.current_step, self._on_view_changed),
            (viewer.dims.events.order, self._on_view_changed),
            (viewer.dims.events.ndisplay, self._on_view_changed),
        ]
        for event, slot in self._connections:
            event.connect(slot)
        self.canvas.stroke_changed.connect(self._on_stroke_changed)
        self.canvas.stroke_finished.connect(self._on_stroke_finished)
        self.canvas.refused.connect(self.refused.emit)
        controller.changed.connect(self._on_changed)
        controller.opened.connect(self._on_opened)
        controller.edited.connect(self._on_edited)
        controller.engine.idled.connect(self._look_ahead)
        controller.propagation.slices.began.connect(self._on_propagation_began)
        controller.propagation.slices.answered.connect(self._on_answered)
        controller.propagation.slices.answered.connect(self._follow)
        controller.propagation.slices.ended.connect(self._on_propagation_ended)
        controller.propagation.frames.answered.connect(self._on_answered)
        controller.engine.submit("ready", "Getting ready", lambda _: get_ready(), lambda _: None, self.refused.emit)

    def close(self) -> None:
        """Stop listening and give the layers their keys back."""
        self._following.stop()
        for event, slot in self._connections:
            event.disconnect(slot)
        if self.scene is not None:
            self.scene.image.events.contrast_limits.disconnect(self._on_contrast)
        self._keys.set_layers([])
        self.canvas.close()

    def choose(self, scene: Scene | None) -> None:
        """Choose the image to segment."""
        if self.scene is not None:
            self.scene.image.events.contrast_limits.disconnect(self._on_contrast)
        self.scene = scene
        if scene is not None:
            scene.image.events.contrast_limits.connect(self._on_contrast)
        self.canvas.set_image(scene.image if scene else None, scene.grid if scene else None)
        if scene is not None:
            self._viewer.layers.selection.active = scene.image
        self._controller.set_image(scene)
        self._on_view_changed()
        self.images_changed.emit()

    def find(self, layer: Image) -> Scene | None:
        """The scene of an image layer."""
        return next((scene for scene in self.scenes if layer == scene.image), None)

    def look_for_images(self) -> None:
        """Follow the image layers of the viewer; choose one if the chosen one is gone."""
        from napari.layers import Image

        layers = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        for scene in [s for s in self.scenes if not any(s.image is layer for layer in layers)]:
            self.scenes.remove(scene)
            if scene is self.scene:
                scene.image.events.contrast_limits.disconnect(self._on_contrast)
                self.scene = None
            scene.close()
            self._controller.forget(scene)
        for layer in layers:
            if self.find(layer) is None:
                try:
                    self.scenes.append(Scene(self._viewer, layer))
                except MedSamError as error:
                    self.refused.emit(error)
        if self.scene is None:
            active = self._viewer.layers.selection.active
            last = self.scenes[-1] if self.scenes else None
            self.choose((self.find(active) if active is not None else None) or last)
        self.images_changed.emit()

    def extend_box(self) -> None:
        """Stretch the newest box to the displayed slice."""
        spot = self._spot()
        if spot is not None:
            self._controller.extend_box(spot.axis, spot.level)

    def propagate(self, wish: Wish) -> None:
        """Carry masks along the axis across the displayed slice, or through the frames."""
        spot = self._spot()
        if spot is None or self.scene is None:
            return
        self._scrolls_along = wish.scroll_along
        self._controller.set_frame(spot.frame)
        grid = self.scene.grid
        if wish.all_frames or (grid.frames > 1 and grid.volume_shape[spot.axis] == 1):
            self._controller.propagation.through_frames(grid.frames, spot.level if spot.axis == 0 else 0, wish)
        else:
            self._controller.propagation.through_slices(spot.axis, wish)

    def segment_everything(self) -> None:
        """Find all objects on the displayed slice."""
        spot = self._spot()
        if spot is not None:
            self._controller.set_frame(spot.frame)
            self._controller.segment_everything(spot.axis, spot.level)

    @property
    def as_displayed(self) -> bool:
        """Whether the model sees the chosen image in the contrast of its layer."""
        return self.scene is not None and self.scene.is_as_displayed

    def set_as_displayed(self, on: bool) -> None:
        """Choose whether the model sees the chosen image in the contrast of its layer, now and as that changes."""
        if self.scene is not None:
            self.scene.is_as_displayed = on
            self._controller.show_as(self.scene.window)

    def set_tool(self, tool: Tool | None) -> None:
        """Choose what the left mouse button draws."""
        self.canvas.set_tool(tool)
        if tool is not None and self.scene is not None and self.scene.prompts.lacks(tool):
            # Made now, the layer does not hold up the first stroke; not before its type is there.
            self._controller.engine.submit(
                ("prompt layer", id(self.scene), tool),
                "Getting ready",
                lambda _: get_ready(),
                partial(self._on_layer_types, self.scene, tool),
                self.refused.emit,
            )

    def _on_layer_types(self, scene: Scene, tool: Tool, _: None) -> None:
        if scene in self.scenes:
            scene.prompts.need(tool)

    def _spot(self) -> Spot | None:
        """The displayed slice; None, and the user told, where none is."""
        if self.scene is None:
            return None
        try:
            return self.canvas.spot()
        except MedSamError as error:
            self.refused.emit(error)
            return None

    def _on_stroke_changed(self, stroke: Stroke, canvas: CanvasMap) -> None:
        assert self.scene is not None
        self._following.stop()
        # The stroke is smooth, and its prompt shown at once, while nothing else wants the processor.
        self._controller.rest()
        plane = self._plane()
        if plane is None:
            return
        try:
            prompt = stroke.prompt(self.scene.grid.volume_shape)
        except PromptError:
            # Too short or outside so far; the release will tell.
            return
        self.sketched.emit(canvas.sketch(prompt, self.scene.grid, plane))

    def _on_stroke_finished(self, frame: int, stroke: Stroke, join: bool) -> None:
        assert self.scene is not None
        self.sketched.emit(None)
        try:
            prompt = stroke.prompt(self.scene.grid.volume_shape)
        except PromptError as error:
            self.refused.emit(error)
            self._look_ahead()
            return
        self._controller.set_frame(frame)
        if join and isinstance(prompt, Box):
            self._controller.join_box(prompt)
        else:
            self._controller.give(prompt)
        if not self._controller.engine.busy:
            self._look_ahead()

    def _on_changed(self) -> None:
        if self.scene is not None:
            self.scene.show_objects(self._controller.works(self.scene))
            if not self._is_scrolling:
                self._show_prompts()

    def _look_ahead(self) -> None:
        plane = None if self.scene is None else self._plane()
        if plane is not None:
            self._controller.look_at(plane.axis, plane.level)

    def _on_opened(self, scene: Scene, frame: int) -> None:
        if scene is self.scene:
            self._look_ahead()
        layer = scene.result.layer
        if layer is None:
            self._paint(scene)
            return
        view = scene.grid.frame_of(layer.data, frame)
        # The memory of a new frame is put in place off the GUI thread, see `blank_labels`; it is still empty.
        self._controller.engine.submit(
            ("touch", id(scene), frame),
            "Preparing the result",
            lambda _: view.fill(0),
            lambda _: None,
            self.refused.emit,
        )

    def _paint(self, scene: Scene) -> None:
        if any(scene is other for other in self._painting):
            return
        self._painting.append(scene)
        works = self._controller.works(scene)
        self._controller.engine.submit(
            ("paint", id(scene)),
            "Preparing the result",
            lambda _: scene.painted(works),
            partial(self._on_painted, scene),
            self.refused.emit,
        )

    def _on_painted(self, scene: Scene, labels: Any) -> None:
        self._painting.remove(scene)
        missed, self._missed = self._missed, []
        if scene not in self.scenes:
            return
        scene.result.show(labels)
        for edit in missed:
            self._on_edited(*edit)
        self._on_changed()

    def _on_edited(self, scene: Scene, frame: int, lower: Index3, upper: Index3) -> None:
        work = next((w for w in self._controller.works(scene) if w.frame == frame), None)
        if work is None or work.session is None:
            return
        if scene.result.layer is None:
            # Not there yet, or removed by the user: it comes back with every mask, and with this edit after it.
            self._missed.append((scene, frame, lower, upper))
            self._paint(scene)
            return
        scene.show_objects(self._controller.works(scene))
        # While the view follows a propagation it is about to scroll, which draws everything anew.
        scene.result.patch(frame, lower, work.session.labels(lower, upper), is_seen=not self._following.is_on)

    def _on_propagation_began(self, work: FrameWork) -> None:
        if self._scrolls_along and work is self._controller.work:
            self._following.begin(self._plane())

    def _follow(self, work: FrameWork, index: int, *_: object) -> None:
        if self.scene is not None and work is self._controller.work:
            self._following.show(self.scene.image, self.scene.grid, index)

    def _on_answered(self, work: FrameWork, _: int, lower: Index3, labels: Any) -> None:
        scene = self._scene_of(work)
        if scene is not None and scene.result.layer is not None:
            scene.result.patch(work.frame, lower, labels, is_seen=self._sees(work, lower, labels.shape))

    def _sees(self, work: FrameWork, lower: Index3, shape: Index3) -> bool:
        """Whether the displayed slice meets a box of a frame that was answered."""
        plane = self._plane()
        # In 3D the whole layer is drawn anew each time, which takes too long for every slice: it is once at the end.
        if plane is None or work is not self._controller.work:
            return False
        return lower[plane.axis] <= plane.level < lower[plane.axis] + shape[plane.axis]

    def _on_propagation_ended(self, work: FrameWork, *_: object) -> None:
        scene = self._scene_of(work)
        if scene is None:
            self._following.stop()
        elif self._following.is_on and not self._following.end(scene.image, scene.grid):
            scene.result.redraw()

    def _scene_of(self, work: FrameWork) -> Scene | None:
        return next((s for s in self.scenes if any(work is other for other in self._controller.works(s))), None)

    def _on_view_changed(self) -> None:
        if self.scene is None:
            return
        if self.scene.grid.ndim == 4:
            # Layers that go away can change the frame, too: none is to be added then.
            self._is_scrolling = True
            try:
                self._controller.set_frame(self.canvas.frame())
            finally:
                self._is_scrolling = False
        plane = self._plane()
        self.scene.redraw_prompts(self._controller.work, plane)
        self._following.look(plane)
        if plane is not None and not self._following.is_on:
            self._controller.look_at(plane.axis, plane.level)
        self.moved.emit(plane)

    def _on_layers_changed(self) -> None:
        self.look_for_images()
        self._bind_keys()

    def _on_contrast(self) -> None:
        if self.scene is not None and self.scene.is_as_displayed:
            self._controller.show_as(self.scene.window)

    def _on_renamed(self) -> None:
        self.images_changed.emit()

    def _show_prompts(self) -> None:
        if self.scene is not None:
            self.scene.show_prompts(self._controller.work, self._plane())
            self._bind_keys()

    def _bind_keys(self) -> None:
        self._keys.set_layers(self.scene.layers if self.scene is not None else [])

    def _plane(self) -> Slice | None:
        try:
            spot = self.canvas.spot()
        except MedSamError:
            return None
        return Slice(spot.axis, spot.level)
