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


Steps = Callable[[], Iterator[Any]]
"""Begins something that goes on slice by slice."""


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

    def add(self, case: str, metric: str, ours: Steps, theirs: Steps) -> None:
        """Time both step by step, in turn; and what ours did, over the rate of a matrix product.

        Of each step the best of several times counts: what other programs cost is no property of either.
        """
        title = self.title(case)
        if self.predictor is None:
            self.rows.add(title, metric, "s", self._fastest([ours])[0])
        else:
            mine, their = self._fastest([ours, theirs])
            self.rows.add(title, metric, "s", mine, PEER, their)
            self.rows.add(title, f"{metric}: speed-up", "x", their / mine)
        with FlopCounterMode(display=False) as counter:
            for _ in ours():
                pass
        self.rows.add(title, f"{metric}: floor", "s", counter.get_total_flops() / self.rate)

    def title(self, case: str) -> str:
        """Names a case of this model at this size."""
        return f"{self.plan.size} {self.image_size}, {case}"

    def _fastest(self, sides: list[Steps]) -> list[float]:
        runs = []
        for _ in range(self.plan.repeats):
            under_way: list[Iterator[Any]] = [side() for side in sides]
            times: list[list[float]] = [[] for _ in sides]
            for _ in range(self.plan.slices + 1):
                for steps, taken in zip(under_way, times, strict=True):
                    taken.append(self.seconds(partial(next, steps, None)))
            runs.append(times)
        return [sum(map(min, zip(*run, strict=True))) for run in zip(*runs, strict=True)]

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

    def follow_theirs(self, state: dict[str, Any]) -> Iterator[tuple[int, torch.Tensor]]:
        for index, _, logits in self.predictor.propagate_in_video(state, 0):
            yield index, logits

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

    bench.add(
        "one slice",
        "encoding",
        lambda: (encode() for _ in range(1)),
        lambda: (bench.predictor.forward_image(pixels) for _ in range(1)),
    )
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
    ready, bare_seconds = _medians([(ask(0), bench.seconds(bare)) for _ in range(15)])
    unprepared, encoder = _medians([(ask(index), bench.seconds(encode)) for index in range(1, bench.plan.slices)])
    title = bench.title("one slice")
    bench.rows.add(title, "click, slice ready", "s", ready, "bare decoder", bare_seconds)
    bench.rows.add(title, "click, slice not ready", "s", unprepared, "encoder and decoder", encoder + bare_seconds)


def first_propagation(bench: Bench, objects: int) -> None:
    """Nothing encoded before; all outputs the same."""
    case = _counted(objects)
    answers: dict[int, dict[int, Any]] = {}
    masks: dict[int, torch.Tensor] = {}

    def ours() -> Iterator[None]:
        tracker = bench.tracker(bench.store(is_full=False), objects)
        for index, found in tracker.propagate(range(bench.plan.slices)):
            answers[index] = found
            yield

    def theirs() -> Iterator[None]:
        for index, logits in bench.follow_theirs(bench.state(objects)):
            masks[index] = logits
            yield

    bench.add(case, "first propagation", ours, theirs)
    if masks:
        differing = statistics.mean(_differing(answers[index], masks[index]) for index in masks)
        bench.rows.add(bench.title(case), "first propagation: pixels that differ", "", differing)


def quick_propagation(bench: Bench) -> None:
    """The same with fewer memories."""
    bench.add(
        _counted(1),
        "first propagation, quick",
        lambda: bench.tracker(bench.store(is_full=False), 1, QUICK_REACH).propagate(range(bench.plan.slices)),
        lambda: bench.follow_theirs(bench.state(1)),
    )


def leaving(bench: Bench) -> None:
    """An object that leaves half-way: of its slices the published predictor visits all."""
    last = bench.plan.slices // 2
    here = {"ours": 0, "theirs": 0}

    def leaves(side: str) -> Callable[..., torch.Tensor]:
        return lambda _, __, score: torch.full_like(score, -10.0) if here[side] > last else score

    def ours() -> Iterator[None]:
        here["ours"] = 0
        tracker = bench.tracker(bench.store(is_full=False), 1, QUICK_REACH)
        for index, _ in tracker.propagate(range(bench.plan.slices), patience=Route().patience):
            here["ours"] = index + 1
            yield

    def theirs() -> Iterator[None]:
        here["theirs"] = 0
        for index, _ in bench.follow_theirs(bench.state(1)):
            here["theirs"] = index + 1
            yield

    handles = [bench.model.mask_decoder.pred_obj_score_head.register_forward_hook(leaves("ours"))]
    if bench.predictor is not None:
        head = bench.predictor.sam_mask_decoder.pred_obj_score_head
        handles.append(head.register_forward_hook(leaves("theirs")))
    bench.add("1 object on half of the slices", "first propagation, quick and stopping", ours, theirs)
    for handle in handles:
        handle.remove()


def propagation_again(bench: Bench, objects: int) -> None:
    """A correction on the middle slice, and everything again."""
    tracker = bench.tracker(bench.store(is_full=True), objects)
    for _ in tracker.propagate(range(bench.plan.slices)):
        pass
    places = CORRECTION[0] * bench.image_size
    tracker.click(0, bench.plan.slices // 2, places, CORRECTION[1])
    state: dict[str, Any] = {}
    if bench.predictor is not None:
        state = bench.state(objects)
        for _ in bench.follow_theirs(state):
            pass
        bench.correct_theirs(state)
    sweep = range(bench.plan.slices)
    bench.add(
        _counted(objects),
        "propagation again",
        lambda: tracker.propagate(sweep),
        lambda: bench.follow_theirs(state),
    )


def second_object(bench: Bench) -> None:
    """What a second object costs of the encoder on a volume that is ready: nothing."""
    store = bench.store(is_full=True)
    encoded = store.encoded
    for _ in bench.tracker(store, 2).propagate(range(bench.plan.slices)):
        pass
    bench.rows.add(bench.title("2 objects"), "slices encoded for the second", "", store.encoded - encoded)


def memory(plan: Plan, rows: Rows) -> None:
    """Peak resident memory of a volume of 512 x 512, at 512, encoded and propagated with its embeddings on disk."""
    import resource  # not on Windows

    slices = plan.slices
    random = np.random.default_rng(0)
    volume = Volume(random.integers(-1000, 1000, (slices, 512, 512), dtype=np.int16), modality="CT")
    weights = Sam2Weights(lively_sam2(plan.size, 512), "2.1", plan.size, 512, "0" * 64)
    with tempfile.TemporaryDirectory() as folder:
        segmenter = Sam2Segmenter(weights, "sam2:bench", "Bench", "Apache-2.0", str(plan.device), Path(folder))
        prepared = segmenter.prepare(volume, Task())
        for index in prepared.encode_ahead(0, 0, Task()):
            if index % 50 == 0:
                print(f"encoded {index}", flush=True)
        seed = Seed(Region((0, 200, 200), np.ones((1, 80, 80), dtype=bool)), (0,))
        for step in propagate(segmenter, prepared, {1: seed}, Route(patience=None), Task()):
            if step.index % 50 == 0:
                print(f"propagated {step.index}", flush=True)
        on_disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows.add(f"{slices} slices of 512 x 512", "embeddings on disk", "GB", on_disk / 1e9)
    rows.add(f"{slices} slices of 512 x 512", "peak resident memory", "GB", peak / 1e9, "limit", 4.0)


@contextlib.contextmanager
def silent() -> Iterator[None]:
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
    "quick": quick_propagation,
    "leaving": leaving,
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
        slices, repeats = (4, 1) if args.quick else (12, 2) if image_size < 1024 else (8, 1)
        with silent(), torch.inference_mode():
            bench = Bench(Plan(args.size, device, slices, repeats), image_size, rate, rows)
        for case in [case for case in cases if case != "memory"]:
            with precision(bench.model), silent():
                CASES[case](bench)
    if device.type == "cuda":
        rows.add(str(args.size), "peak GPU memory", "GB", torch.cuda.max_memory_allocated(device) / 1e9)
    if "memory" in cases:
        memory(Plan(args.size, device, 4 if args.quick else 300, 1), rows)
    rows.rows = with_earlier(rows.rows, args.json)
    rows.save(args.json)


if __name__ == "__main__":
    main()
