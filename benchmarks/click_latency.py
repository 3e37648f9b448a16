"""How long a click takes on a 512 x 512 x 300 CT on two CPU cores, and where the time goes.

A simulated user boxes and clicks organs of the generated CT in a session with a journal, as the window does. Reported
are medians: of the whole way from the prompt to the committed edit, of each of its stages, and beside the network's
stage its floor: the floating-point operations it did in that prompt (counted) over the rate of a large matrix product
(measured in the same run). What patching the layer of the window costs comes on top.

    python benchmarks/click_latency.py [--model compact] [--threads 2] [--quick] [--json FILE]
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from _rows import Rows, arguments, hardware
from torch.utils.flop_counter import FlopCounterMode

from napari_medsam.engine.evaluation import next_click, tight_box
from napari_medsam.engine.journal import Journal, Record
from napari_medsam.engine.prompts import Prompt
from napari_medsam.engine.region import Region
from napari_medsam.engine.samples import Sample, ct_phantom
from napari_medsam.engine.segmenters.registry import load_segmenter
from napari_medsam.engine.session import Session

ORGANS = ("liver", "spleen", "left kidney", "gallbladder", "liver metastasis", "aorta")
CORRECTIONS = 3


@dataclass
class Timed:
    """One answered prompt: seconds by stage, the whole among them, and the operations of the network."""

    seconds: dict[str, float]
    flops: float


class JournalClock:
    """Adds up the time spent in writing the journal."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._append = Journal.append
        clock = self

        def timed(journal: Journal, records: Sequence[Record]) -> None:
            start = time.perf_counter()
            clock._append(journal, records)
            clock.seconds += time.perf_counter() - start

        Journal.append = timed  # type: ignore[method-assign]  # a stop watch, nothing else


def gemm_rate(dtype: torch.dtype, size: int = 2048, repeats: int = 8) -> float:
    """Floating-point operations a second of a matrix product, the best of several."""
    a, b = torch.rand(size, size, dtype=dtype), torch.rand(size, size, dtype=dtype)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def give(session: Session, prompt: Prompt, object_id: int, clock: JournalClock) -> Timed:
    """Time a prompt, then take it back and give it again to count its operations."""
    written = clock.seconds
    start = time.perf_counter()
    session.prompt(prompt, object_id)
    whole = time.perf_counter() - start
    stages = dict(session.history[-1].details["seconds"])
    stages["journal"] = clock.seconds - written
    stages["commit and the rest"] = whole - sum(stages.values())
    session.undo()
    # Counting slows the network down, so that it is never timed with it.
    with FlopCounterMode(display=False) as counter:
        session.prompt(prompt, object_id)
    return Timed({"whole": whole, **stages}, counter.get_total_flops())


def walk(session: Session, sample: Sample, clock: JournalClock, corrections: int) -> dict[str, list[Timed]]:
    """Box and correct every organ, then click it without a box; the timings by kind of prompt."""
    timed: dict[str, list[Timed]] = defaultdict(list)
    for name in ORGANS:
        truth = sample.truth(name)
        for kind, first in (("box", tight_box(truth)), ("first click", next_click(truth, Region.empty()))):
            if first is None:
                continue
            object_id = session.add_object(name).id
            timed[kind].append(give(session, first, object_id, clock))
            for _ in range(corrections):
                click = next_click(truth, session.mask(object_id))
                if click is None:
                    break
                timed["correcting click"].append(give(session, click, object_id, clock))
            session.remove_object(object_id)
    return timed


def report(rows: Rows, timed: dict[str, list[Timed]], rate: float) -> None:
    """Medians of the whole and of every stage."""
    clicks = timed["first click"] + timed["correcting click"]
    for kind, items in {**timed, "any click": clicks}.items():
        case = f"{kind}, {len(items)} times"
        for stage in dict.fromkeys(stage for item in items for stage in item.seconds):
            ours = statistics.median(item.seconds.get(stage, 0.0) for item in items)
            if stage == "network":
                floor = statistics.median(item.flops for item in items) / rate
                rows.add(case, stage, "s", ours, "its operations at GEMM speed", floor)
            else:
                rows.add(case, stage, "s", ours)


def main() -> None:
    """Run it."""
    parser = arguments(__doc__)
    parser.add_argument("--model", default="compact", metavar="M", help="a registered name or a model folder")
    parser.add_argument("--threads", type=int, default=2, help="CPU cores to use (default: 2)")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    torch.set_num_threads(args.threads)
    print(hardware())

    rows = Rows()
    sample = (
        ct_phantom((72, 160, 160), (4.0, 2.5, 2.5)) if args.quick else ct_phantom((300, 512, 512), (1.0, 0.78, 0.78))
    )
    segmenter = load_segmenter(args.model)
    dtype = torch.bfloat16 if "bfloat16" in segmenter.info.device else torch.float32
    rate = gemm_rate(dtype)
    rows.add("machine", f"matrix product, {str(dtype).removeprefix('torch.')}", "GFLOP/s", rate / 1e9)
    clock = JournalClock()
    with (
        tempfile.TemporaryDirectory() as folder,
        Session(sample.volume, segmenter, Path(folder) / "clicks.journal") as session,
    ):
        start = time.perf_counter()
        session.prepare()
        rows.add("once for an image", "prepare", "s", time.perf_counter() - start)
        warm = session.add_object("warm-up").id
        start = time.perf_counter()
        session.prompt(tight_box(sample.truth("spleen")), warm)
        rows.add("once for an image", "first answer of all", "s", time.perf_counter() - start)
        session.remove_object(warm)
        report(rows, walk(session, sample, clock, 1 if args.quick else CORRECTIONS), rate)
    rows.save(args.json)


if __name__ == "__main__":
    main()
