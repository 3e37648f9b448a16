"""SAM 2 here beside the published predictor: the same random weights and slices, in one run.

What is timed of both is what a user waits for: encoding a slice, a click on it, the first propagation of one object
and of three, and propagating again after a correction. Beside each time stands its floor: the floating-point
operations that the outputs need (counted) over the rate of a large matrix product (measured in the same run). Rows with
the published predictor need PyPI's ``sam2`` (see ``tests/engine/segmenters/sam2/reference.py``) and are left out
without it. The case ``memory`` is the resident memory of encoding and propagating a volume of 512 x 512 x 300 with its
embeddings on disk, and takes long. Rows are put into the JSON file beside those of cases that were run before.

    python benchmarks/sam2.py [--case CASE ...] [--image-size 512 ...] [--size tiny] [--device cpu] [--threads 2]
        [--quick] [--json FILE]
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _rows import Rows, arguments, hardware
from torch.utils.flop_counter import FlopCounterMode

from napari_medsam.engine.prompts import Point
from napari_medsam.engine.propagation import Route, Seed, propagate
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.sam2.checkpoints import Sam2Weights
from napari_medsam.engine.segmenters.sam2.decoding import Clicks, decode
from napari_medsam.engine.segmenters.sam2.encoding import Positions, encode_slice
from napari_medsam.engine.segmenters.sam2.features import FeatureStore
from napari_medsam.engine.segmenters.sam2.memory import without_memory
from napari_medsam.engine.segmenters.sam2.prepared import precision
from napari_medsam.engine.segmenters.sam2.segmenter import QUICK_REACH, Sam2Segmenter
from napari_medsam.engine.segmenters.sam2.tracker import Tracker
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume, affine_from_spacing

# This folder goes: the published predictor's package is called as this script is.
sys.path[0] = str(Path(__file__).resolve().parents[1] / "tests" / "engine" / "segmenters" / "sam2")
from lively import lively_sam2, moving_slices  # noqa: E402  # its place is set above
from reference import HAS_REFERENCE, reference_predictor, reference_state  # noqa: E402  # its place is set above

PEER = "published predictor"
CLICK = (torch.tensor([[0.35, 0.4]]), torch.tensor([1]))
OTHERS = (torch.tensor([[0.7, 0.7]]), torch.tensor([[0.5, 0.3]]))
CORRECTION = (torch.tensor([[0.6, 0.35]]), torch.tensor([1]))


@dataclass(frozen=True)
class Plan:
    """Of which model, where, over how many slices, timing each how often."""

    size: Any
    device: torch.device
    slices: int
    repeats: int


class Bench:
    """Both implementations at one image size."""

    def __init__(self, plan: Plan, image_size: int, rate: float, rows: Rows) -> None:
        self.plan, self.image_size, self.rate, self.rows = plan, image_size, rate, rows
        self.model = lively_sam2(plan.size, image_size).requires_grad_(False)
        self.volume = moving_slices(plan.slices, image_size)
        self.predictor = None
        if HAS_REFERENCE:
            self.predictor = reference_predictor(self.model, plan.size).to(plan.device)
        self.model.to(plan.device)
        self.positions = Positions.of(self.model)

    def add(self, case: str, metric: str, ours: Callable[[], Any], theirs: Callable[[], Any] | None) -> None:
        """Time both, alternating; and what ours did, over the rate of a matrix product."""
        title = self.title(case)
        both = [self._timed(ours, theirs if self.predictor is not None else None) for _ in range(self.plan.repeats)]
        mine = statistics.median(pair[0] for pair in both)
        their = statistics.median(pair[1] for pair in both) if both[0][1] is not None else None
        self.rows.add(title, metric, "s", mine, PEER if their is not None else None, their)
        if their is not None:
            self.rows.add(title, f"{metric}: speed-up", "x", their / mine)
        with FlopCounterMode(display=False) as counter:
            ours()
        self.rows.add(title, f"{metric}: floor", "s", counter.get_total_flops() / self.rate)

    def title(self, case: str) -> str:
        """Names a case of this model at this size."""
        return f"{self.plan.size} {self.image_size}, {case}"

    def _timed(
        self, ours: Callable[[], Callable[[], Any] | Any], theirs: Callable[[], Any] | None
    ) -> tuple[float, float | None]:
        return self.seconds(ours), None if theirs is None else self.seconds(theirs)

    def seconds(self, work: Callable[[], Any]) -> float:
        self._wait()
        begun = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - begun

    def _wait(self) -> None:
        if self.plan.device.type == "cuda":
            torch.cuda.synchronize()

    # Ours

    def store(self, *, is_full: bool) -> FeatureStore:
        """The embeddings of every slice, computed before or not."""

        def encode(index: int) -> Any:
            return encode_slice(self.model, self.volume[index : index + 1].to(self.plan.device), self.positions)

        kept = FeatureStore(encode, self.plan.slices)
        if is_full:
            for index in range(self.plan.slices):
                kept(index)
        return kept

    def tracker(self, store: FeatureStore, objects: int, reach: int | None = None) -> Tracker:
        tracker = Tracker(self.model, store, self.plan.slices, reach, self.positions)
        for id_, places in enumerate((CLICK[0], *OTHERS)[:objects]):
            tracker.click(id_, 0, places * self.image_size, CLICK[1])
        return tracker

    # Theirs

    def state(self, objects: int) -> dict[str, Any]:
        state = reference_state(self.predictor, self.volume)
        state["device"] = state["storage_device"] = self.plan.device
        for id_, places in enumerate((CLICK[0], *OTHERS)[:objects]):
            self.predictor.add_new_points_or_box(
                state, 0, id_, points=places * self.image_size, labels=CLICK[1], clear_old_points=False
            )
        return state

    def run_theirs(self, state: dict[str, Any]) -> dict[int, torch.Tensor]:
        return {index: logits for index, _, logits in self.predictor.propagate_in_video(state, 0)}

    def correct_theirs(self, state: dict[str, Any]) -> None:
        places = CORRECTION[0] * self.image_size
        self.predictor.add_new_points_or_box(
            state, self.plan.slices // 2, 0, points=places, labels=CORRECTION[1], clear_old_points=False
        )


def one_slice(bench: Bench) -> None:
    """Encoding, a click on a slice that is ready, and one on a slice that is not, beside the bare parts."""
    pixels, positions = bench.volume[:1].to(bench.plan.device), bench.positions
    features = encode_slice(bench.model, pixels, positions)
    seen = without_memory(bench.model, features)
    places = (CLICK[0] * bench.image_size)[None].to(bench.plan.device)
    clicks = Clicks(places, CLICK[1][None].to(bench.plan.device, torch.int32))

    def bare() -> None:
        decode(bench.model, positions, features, seen, clicks)

    def encode() -> None:
        encode_slice(bench.model, pixels, positions)

    bench.add("one slice", "encoding", encode, lambda: bench.predictor.forward_image(pixels))
    data = bench.volume[:, 0].numpy()
    weights = Sam2Weights(bench.model, "2.1", bench.plan.size, bench.image_size, "0" * 64)
    segmenter = Sam2Segmenter(weights, "sam2:bench", "Bench", "Apache-2.0", device=str(bench.plan.device))
    volume = Volume(data, affine_from_spacing((5.0, 1.0, 1.0)))
    prepared = segmenter.prepare(volume, Task())
    side = bench.image_size
    click = Point((1.0, 0.4 * side, 0.35 * side))

    def ask(index: int) -> float:
        there = replace(click, position=(float(index), *click.position[1:]))
        return bench.seconds(lambda: segmenter.predict(prepared, [there], Region.empty(), Task()))

    ask(0)
    # Each beside what it is compared with, so that a slow moment of the machine hits both.
    ready, bare_seconds = _medians([(ask(0), bench.seconds(bare)) for _ in range(15)])
    unprepared, encoder = _medians([(ask(index), bench.seconds(encode)) for index in range(1, bench.plan.slices)])
    title = bench.title("one slice")
    bench.rows.add(title, "click, slice ready", "s", ready, "bare decoder", bare_seconds)
    bench.rows.add(title, "click, slice not ready", "s", unprepared, "encoder and decoder", encoder + bare_seconds)


def first_propagation(bench: Bench, objects: int) -> None:
    """Nothing encoded before, all outputs the same; then with what may be left out."""
    case = _counted(objects)
    answers: dict[int, dict[int, Any]] = {}
    masks: dict[int, torch.Tensor] = {}

    def ours(reach: int | None = None) -> None:
        tracker = bench.tracker(bench.store(is_full=False), objects, reach)
        answers.update(tracker.propagate(range(bench.plan.slices)))

    def theirs() -> None:
        masks.update(bench.run_theirs(bench.state(objects)))

    bench.add(case, "first propagation", ours, theirs)
    if masks:
        differing = statistics.mean(_differing(answers[index], masks[index]) for index in masks)
        bench.rows.add(bench.title(case), "first propagation: pixels that differ", "", differing)
    if objects == 1:
        bench.add(case, "first propagation, quick", partial(ours, QUICK_REACH), theirs)


def propagation_again(bench: Bench, objects: int) -> None:
    """A correction on the middle slice, and everything again."""
    tracker = bench.tracker(bench.store(is_full=True), objects)
    for _ in tracker.propagate(range(bench.plan.slices)):
        pass
    places = CORRECTION[0] * bench.image_size
    tracker.click(0, bench.plan.slices // 2, places, CORRECTION[1])
    state = None
    if bench.predictor is not None:
        state = bench.state(objects)
        bench.run_theirs(state)
        bench.correct_theirs(state)

    def ours() -> None:
        for _ in tracker.propagate(range(bench.plan.slices)):
            pass

    bench.add(_counted(objects), "propagation again", ours, lambda: bench.run_theirs(state))


def second_object(bench: Bench) -> None:
    """What a second object costs of the encoder on a volume that is ready: nothing."""
    store = bench.store(is_full=True)
    encoded = store.encoded
    for _ in bench.tracker(store, 2).propagate(range(bench.plan.slices)):
        pass
    bench.rows.add(bench.title("2 objects"), "slices encoded for the second", "", store.encoded - encoded)


def memory(plan: Plan, rows: Rows) -> None:
    """Peak resident memory of a volume of 512 x 512, at 512, encoded and propagated with its embeddings on disk."""
    import psutil

    process, peak, slices = psutil.Process(), 0, plan.slices
    random = np.random.default_rng(0)
    volume = Volume(random.integers(-1000, 1000, (slices, 512, 512), dtype=np.int16), modality="CT")
    weights = Sam2Weights(lively_sam2(plan.size, 512), "2.1", plan.size, 512, "0" * 64)
    with tempfile.TemporaryDirectory() as folder:
        segmenter = Sam2Segmenter(weights, "sam2:bench", "Bench", "Apache-2.0", str(plan.device), Path(folder))
        prepared = segmenter.prepare(volume, Task())
        for _ in prepared.encode_ahead(0, 0, Task()):
            peak = max(peak, process.memory_info().rss)
        seed = Seed(Region((0, 200, 200), np.ones((1, 80, 80), dtype=bool)), (0,))
        for _ in propagate(segmenter, prepared, {1: seed}, Route(patience=None), Task()):
            peak = max(peak, process.memory_info().rss)
    rows.add(f"{slices} slices of 512 x 512", "peak resident memory", "GB", peak / 1e9, "limit", 4.0)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The published predictor draws progress bars."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def gemm_rate(device: torch.device, size: int = 2048, repeats: int = 8) -> float:
    """Floating-point operations a second of a float32 matrix product, the best of several."""
    a, b = (torch.rand(size, size, device=device) for _ in range(2))
    best = float("inf")
    for _ in range(repeats):
        begun = time.perf_counter()
        (a @ b)[0, 0].item()
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best


def _counted(objects: int) -> str:
    return f"{objects} object{'s' * (objects > 1)}"


def _medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


def _differing(answers: dict[int, Any], logits: torch.Tensor) -> float:
    """Part of the pixels on which the masks of all objects are not the same."""
    ours = torch.cat([answers[id_].logits for id_ in sorted(answers)])
    size = logits.shape[-2:]
    enlarged = torch.nn.functional.interpolate(ours, size=size, mode="bilinear", align_corners=False)
    return float(((enlarged > 0) != (logits > 0)).float().mean())


CASES: dict[str, Callable[[Bench], None]] = {
    "slice": one_slice,
    "second": second_object,
    "first-1": partial(first_propagation, objects=1),
    "first-3": partial(first_propagation, objects=3),
    "again-1": partial(propagation_again, objects=1),
    "again-3": partial(propagation_again, objects=3),
}


def with_earlier(rows: list[dict[str, Any]], path: Path | None) -> list[dict[str, Any]]:
    """Rows of a file, with these in their places or after them."""
    if path is None or not path.is_file():
        return rows
    new = {(row["case"], row["metric"]): row for row in rows}
    kept = [new.pop((row["case"], row["metric"]), row) for row in json.loads(path.read_text(encoding="utf-8"))]
    return kept + list(new.values())


def main() -> None:
    """Run it."""
    parser = arguments(__doc__)
    parser.add_argument("--case", nargs="+", choices=[*CASES, "memory"], help="what to run (default: all but memory)")
    parser.add_argument("--image-size", nargs="+", type=int, help="sizes of the model's input (default: 512 1024)")
    parser.add_argument("--size", default="tiny", choices=["tiny", "small", "base_plus", "large"])
    parser.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    parser.add_argument("--threads", type=int, default=2, help="CPU cores to use (default: 2)")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity") and args.device == "cpu":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    print(hardware() if device.type == "cpu" else torch.cuda.get_device_name(device))
    if not HAS_REFERENCE:
        print("PyPI's sam2 is not installed: nothing to compare with.")
    cases = args.case or ([*CASES, "memory"] if args.quick else [*CASES])

    rows = Rows()
    rate = gemm_rate(device)
    rows.add("machine", "matrix product", "GFLOP/s", rate / 1e9)
    for image_size in args.image_size or ([256] if args.quick else [512, 1024]):
        slices, repeats = (4, 1) if args.quick else (12, 3) if image_size < 1024 else (8, 2)
        with quiet(), torch.inference_mode():
            bench = Bench(Plan(args.size, device, slices, repeats), image_size, rate, rows)
        for case in [case for case in cases if case != "memory"]:
            with precision(bench.model), quiet():
                CASES[case](bench)
    if device.type == "cuda":
        rows.add(str(args.size), "peak GPU memory", "GB", torch.cuda.max_memory_allocated(device) / 1e9)
    if "memory" in cases:
        memory(Plan(args.size, device, 4 if args.quick else 300, 1), rows)
    rows.rows = with_earlier(rows.rows, args.json)
    rows.save(args.json)


if __name__ == "__main__":
    main()
