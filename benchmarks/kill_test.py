"""Kill sessions with SIGKILL while they predict, write their journal and save; nothing acknowledged may be lost.

A warm parent forks a child for every kill. The child recovers the session of its predecessor, works with the bundled
model, and acknowledges every step on a pipe once the session's method has returned. The parent kills it at a random
moment of the wanted phase, then checks that

- the records acknowledged are all in the journal and tell the very state that was acknowledged,
- the session recovers with its undo history, and goes back to empty and forward again,
- the saved file is whole: the one acknowledged last, or the one being saved at the time of death.

At the end every answer of every journal is asked for again and compared bit for bit. SIGKILL takes the process, not the
machine: what the disk does at a loss of power is up to fsync, which every acknowledgement waits for.

    python benchmarks/kill_test.py [--kills 200] [--seed 0] [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import select
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from napari_medsam.engine.cleaning import Cleaning, CleaningKind
from napari_medsam.engine.errors import ImageError
from napari_medsam.engine.io import open_labels
from napari_medsam.engine.journal import Journal, Record, read_journal
from napari_medsam.engine.label_map import compose_labels
from napari_medsam.engine.objects import SegmentedObject
from napari_medsam.engine.prompts import Box, Point
from napari_medsam.engine.propagation import Route
from napari_medsam.engine.recovery import retell
from napari_medsam.engine.replay import Replay
from napari_medsam.engine.segmenters.base import Segmenter
from napari_medsam.engine.segmenters.registry import load_segmenter
from napari_medsam.engine.session import Session
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume, affine_from_spacing

PHASES = ("predict", "journal", "save")
KILLS_PER_JOURNAL = 20
SHAPE = (24, 72, 72)
SAVED = "mask.nii.gz"


def phantom() -> Volume:
    """Two bright organs in noise."""
    rng = np.random.default_rng(11)
    z, y, x = np.ogrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j, -1 : 1 : SHAPE[2] * 1j]
    one = (z / 0.6) ** 2 + ((y + 0.4) / 0.4) ** 2 + (x / 0.6) ** 2 < 1
    two = (z / 0.5) ** 2 + ((y - 0.5) / 0.3) ** 2 + (x / 0.3) ** 2 < 1
    data = ndimage.gaussian_filter(one * 150.0 + two * 250.0, 0.8) + rng.normal(0, 20, SHAPE)
    return Volume(data.astype(np.int16), affine_from_spacing((3.0, 1.0, 1.0)))


def state_digest(objects: dict[int, SegmentedObject], done: list[int], undone: list[int], pending: list[str]) -> str:
    """Hash over everything that a session is."""
    digest = hashlib.sha256(repr((done, undone, sorted(pending))).encode())
    for item in objects.values():
        digest.update(repr((item.id, item.name, item.colour, [p.id for p in item.prompts])).encode())
        digest.update(np.packbits(item.mask.full(SHAPE)).tobytes())
    return digest.hexdigest()


class Worker:
    """The session that will be killed."""

    def __init__(self, folder: Path, volume: Volume, segmenter: Segmenter, pipe: int, rng: random.Random) -> None:
        self.folder, self.pipe, self.rng = folder, pipe, rng
        self.journal = folder / "a.journal"
        self.phase = "start"
        append = Journal.append

        def append_and_tell(journal: Journal, records: Sequence[Record]) -> None:
            phase = self.phase
            self.enter("journal")
            append(journal, records)
            self.enter(phase)

        # Lets the parent know when a write is under way; the write itself is the real one.
        Journal.append = append_and_tell
        if self.journal.exists():
            self.session = Session.recover(self.journal, volume, segmenter)
        else:
            self.session = Session(volume, segmenter, self.journal)

    def tell(self, **message: object) -> None:
        os.write(self.pipe, json.dumps(message).encode() + b"\n")

    def enter(self, phase: str) -> None:
        self.phase = phase
        self.tell(phase=phase)

    def acknowledge(self, **more: object) -> None:
        """Tell what the session is now. Everything in it has been promised to be on disk."""
        session = self.session
        document = session._ledger.document
        pending = [p.id for item in session.objects for p in item.pending]
        numbers = [c.number for c in document.done], [c.number for c in document.undone]
        digest = state_digest(document.objects, *numbers, pending)
        records = self.journal.read_bytes().count(b"\n") if self.journal.exists() else 0
        self.phase = "between"
        self.tell(records=records, digest=digest, **more)

    def run(self, steps: int, phase: str) -> None:
        for item in self.session.objects:
            if item.pending:
                self.enter("predict")
                self.session.predict(item.id)
        if self.session.history:
            self.acknowledge()
        for _ in range(steps):
            self.step(
                self.rng.choice(
                    ["predict"] * 5 + ["propagate", "clean", "undo", "undo", "redo", "remove_prompt", "rename", "save"]
                )
            )
        self.tell(aim=phase)
        while True:
            answers = self.rng.choice(["predict", "predict", "predict", "propagate", "clean"])
            self.step("save" if phase == "save" and self.rng.random() < 0.9 else answers)

    def step(self, kind: str) -> None:
        session = self.session
        if kind == "undo" and len(session.history) > 3:
            session.undo()
        elif kind == "redo":
            session.redo()
        elif kind == "rename" and session.objects:
            session.rename(self.rng.choice(session.objects).id, f"Renamed {self.rng.random():.6f}")
        elif kind == "remove_prompt" and sum(len(o.prompts) for o in session.objects) > 2:
            item = self.rng.choice([o for o in session.objects if o.prompts])
            if len(item.prompts) > 1:  # the box at the beginning stays, or a negative click might come first
                session.remove_prompt(item.prompts[-1].id)
        elif kind == "save" and any(o.mask for o in session.objects):
            self.enter("save")
            session.save(self.folder / SAVED)
            self.acknowledge(saved=hashlib.sha256((self.folder / SAVED).read_bytes()).hexdigest())
            return
        elif kind == "propagate" and any(o.mask for o in session.objects):
            self.enter("predict")
            middle = SHAPE[0] // 2
            # A few slices: what is proved here is the writing, not the model.
            session.propagate([o.id for o in session.objects if o.mask][:2], Route(first=middle - 2, last=middle + 2))
        elif kind == "clean" and any(o.mask for o in session.objects):
            self.enter("predict")
            cleaning = Cleaning(self.rng.choice(list(CleaningKind)), self.rng.choice([0.0, 30.0, 3000.0]))
            session.clean([o.id for o in session.objects], cleaning)
        else:
            self.enter("predict")
            self.predict()
        self.acknowledge()

    def predict(self) -> None:
        session, rng = self.session, self.rng
        empty = [o for o in session.objects if not o.prompts]
        if not session.objects or (len(session.objects) < 4 and rng.random() < 0.2):
            empty = [session.add_object()]
        if empty:
            lower = (4, rng.randrange(5, 25), rng.randrange(5, 25))
            upper = (20, rng.randrange(45, 68), rng.randrange(45, 68))
            session.prompt(Box(lower, upper), empty[0].id)
        else:
            z, y, x = (float(rng.randrange(n)) for n in SHAPE)
            session.prompt(Point((z, y, x), positive=rng.random() < 0.5), rng.choice(session.objects).id)


def fork_worker(
    folder: Path, volume: Volume, segmenter: Segmenter, seed: int, steps: int, phase: str
) -> tuple[int, int]:
    """Process id of a new worker and the pipe it tells on."""
    reader, writer = os.pipe()
    process = os.fork()
    if process:
        os.close(writer)
        return process, reader
    try:
        os.close(reader)
        Worker(folder, volume, segmenter, writer, random.Random(seed)).run(steps, phase)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


@dataclass
class Acknowledged:
    """What was promised about one journal."""

    records: int = 0
    digest: str = ""
    saved: str = ""


@dataclass
class Outcome:
    """What came of all kills."""

    phases: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    steps: int = 0
    torn: int = 0
    saved_unacknowledged: int = 0
    recovery_seconds: list[float] = field(default_factory=list)


def warm_up(folder: Path, volume: Volume, segmenter: Segmenter) -> dict[str, float]:
    """Import and run everything once, so that children are killed at work and not at imports; seconds of each phase."""
    with Session(volume, segmenter, folder / "warm.journal") as session:
        session.prompt(Box((4, 10, 10), (20, 60, 60)))
        lasts = {}
        for phase, work in (
            ("predict", lambda: session.prompt(Point((12.0, 20.0, 36.0)))),
            ("save", lambda: session.save(folder / SAVED)),
            ("save", lambda: session.save(folder / SAVED)),
            ("journal", lambda: session.rename(1, "Warm")),
        ):
            start = time.perf_counter()
            work()
            lasts[phase] = 1.2 * (time.perf_counter() - start)
    open_labels(folder / SAVED, like=volume)
    return lasts


def listen_and_kill(
    process: int,
    pipe: int,
    promised: Acknowledged,
    lasts: dict[str, float],
    rng: random.Random,
    outcome: Outcome,
) -> None:
    """Hear the worker's acknowledgements, kill it at a random moment of the phase it was to be killed in."""
    buffer, phase, aim, deadline = b"", "start", "", None
    while True:
        wait = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        if deadline is not None and wait == 0.0:
            os.kill(process, signal.SIGKILL)
            deadline = None
            wait = None
        if not select.select([pipe], [], [], wait)[0]:
            continue
        chunk = os.read(pipe, 65536)
        if not chunk:
            break
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            message = json.loads(line)
            aim = message.get("aim", aim)
            phase = message.get("phase", phase)
            if "digest" in message:
                outcome.steps += 1
                promised.records, promised.digest = message["records"], message["digest"]
                promised.saved = message.get("saved", promised.saved)
                phase = "between"
            if deadline is None and aim and phase == aim:
                deadline = time.monotonic() + rng.random() * lasts[aim]
                aim = ""
    os.close(pipe)
    _, status = os.waitpid(process, 0)
    if not os.WIFSIGNALED(status):
        outcome.problems.append("a worker ended by itself (its traceback is above)")
    outcome.phases[phase] += 1


def check(folder: Path, volume: Volume, segmenter: Segmenter, promised: Acknowledged, outcome: Outcome) -> None:
    """Compare what is on disk with what was promised."""
    journal = folder / "a.journal"
    if not promised.records:
        if journal.exists() and not journal.read_bytes().count(b"\n"):
            journal.unlink()
        return
    contents = read_journal(journal)
    outcome.torn += bool(contents.tail)
    if len(contents.records) < promised.records:
        outcome.problems.append(f"{promised.records - len(contents.records)} acknowledged records are gone")
        return
    told = retell(contents.records[: promised.records], journal)
    document = told.document
    numbers = [c.number for c in document.done], [c.number for c in document.undone]
    if state_digest(document.objects, *numbers, list(told.pending)) != promised.digest:
        outcome.problems.append("the acknowledged records tell another state")
    check_saved(folder, volume, document.objects, promised, outcome)
    start = time.perf_counter()
    with Session.recover(journal, volume, segmenter) as session:
        outcome.recovery_seconds.append(time.perf_counter() - start)
        copy = retell(contents.records, journal).document
        if not np.array_equal(session.labels(), compose_labels(copy.objects.values(), (0, 0, 0), SHAPE)):
            outcome.problems.append("the recovered labels are not those of the journal")
        while copy.done:
            copy.undo()
        if copy.objects:
            outcome.problems.append("undo did not lead back to an empty session")
        for _ in session.history:
            copy.redo()
        if not np.array_equal(session.labels(), compose_labels(copy.objects.values(), (0, 0, 0), SHAPE)):
            outcome.problems.append("undo and redo did not lead back to the same labels")


def check_saved(
    folder: Path, volume: Volume, objects: dict[int, SegmentedObject], promised: Acknowledged, outcome: Outcome
) -> None:
    """The saved file is the one acknowledged, or a whole one of the state that was being saved."""
    path = folder / SAVED
    if not path.exists():
        if promised.saved:
            outcome.problems.append("an acknowledged save is gone")
        return
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 == promised.saved:
        return
    outcome.saved_unacknowledged += 1
    try:
        labels = open_labels(path, like=volume)
    except ImageError:
        outcome.problems.append("a saved file is damaged")
        return
    if not np.array_equal(labels, compose_labels(objects.values(), (0, 0, 0), SHAPE)):
        outcome.problems.append("a saved file is neither the acknowledged one nor the one being saved")
    promised.saved = sha256


def prove(folder: Path, volume: Volume, segmenter: Segmenter, outcome: Outcome) -> int:
    """Replay a journal; the number of answers compared."""
    replay = Replay(folder / "a.journal", segmenter, volume)
    results = list(replay.run(Task()))
    if replay.doubts or not all(result.is_same for result in results):
        outcome.problems.append("a journal does not replay bit for bit")
    return len(results)


def run(kills: int, seed: int) -> tuple[Outcome, int, float]:
    """Kill so many workers; what came of it, the number of replayed answers, and seconds."""
    # One thread: a forked child must not inherit a pool whose threads stayed behind.
    torch.set_num_threads(1)
    volume, segmenter, rng, outcome = phantom(), load_segmenter("compact"), random.Random(seed), Outcome()
    start, proved = time.perf_counter(), 0
    with tempfile.TemporaryDirectory() as warm:
        lasts = warm_up(Path(warm), volume, segmenter)
    with tempfile.TemporaryDirectory() as name:
        for number in range(kills):
            folder = Path(name) / str(number // KILLS_PER_JOURNAL)
            if number % KILLS_PER_JOURNAL == 0:
                folder.mkdir()
                promised = Acknowledged()
            phase = PHASES[number % len(PHASES)]
            worker = fork_worker(folder, volume, segmenter, rng.randrange(2**32), rng.randrange(3), phase)
            listen_and_kill(*worker, promised, lasts, rng, outcome)
            check(folder, volume, segmenter, promised, outcome)
            if sys.stderr.isatty():
                print(f"\r{number + 1}/{kills} kills, {len(outcome.problems)} problems", end="", file=sys.stderr)
        for folder in sorted(Path(name).iterdir()):
            if (folder / "a.journal").exists():
                proved += prove(folder, volume, segmenter, outcome)
    return outcome, proved, time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="10 kills")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    if os.name != "posix":
        sys.exit("This test forks and kills processes: it needs Linux or macOS.")
    kills = 10 if args.quick else args.kills
    outcome, proved, seconds = run(kills, args.seed)
    figures = {
        "kills": kills,
        **{f"killed in phase '{phase}'": count for phase, count in sorted(outcome.phases.items())},
        "steps acknowledged": outcome.steps,
        "journals with an interrupted last line": outcome.torn,
        "saves finished but not acknowledged": outcome.saved_unacknowledged,
        "answers replayed bit for bit": proved,
        "losses and damages": len(outcome.problems),
    }
    for name, figure in figures.items():
        print(f"{name:<42} {figure:>8}")
    print(f"{'recovery, median':<42} {1000 * float(np.median(outcome.recovery_seconds or [0.0])):>8.1f} ms")
    print(f"{'all of it':<42} {seconds:>8.1f} s")
    for problem in outcome.problems:
        print(f"PROBLEM: {problem}")
    if args.json:
        rows = [
            {"case": "SIGKILL", "metric": m, "unit": "count", "ours": v, "peer": None, "theirs": None, "ratio": None}
            for m, v in figures.items()
        ]
        args.json.write_text(json.dumps(rows, indent=1))
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
