"""``napari-medsam replay``: prove that a journal's masks are what its model answers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program."""
    parser = commands.add_parser(
        "replay",
        help="ask the model everything a journal tells of again, and compare bit for bit",
        description="Every prediction of a journal is made again and compared with the one written down, bit for bit. "
        "Exit status 1 when one differs, or when the journal was altered or another model wrote it.",
    )
    parser.add_argument("journal", type=Path, metavar="JOURNAL", help="the journal of a session")
    parser.add_argument("--image", type=Path, metavar="FILE", help="the image, if it is not where it was")
    parser.add_argument("--model", metavar="M", help="name or folder of the model (default: the one the journal names)")
    parser.add_argument("--device", default="auto", help="torch device (default: a GPU where there is one)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="save the reproduced masks")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay, print the table and save what was asked for; 1 when the proof fails."""
    from napari_medsam.engine.io import open_volume
    from napari_medsam.engine.recovery import frame_of, model_of
    from napari_medsam.engine.replay import Replay
    from napari_medsam.engine.segmenters.registry import load_segmenter
    from napari_medsam.engine.task import Task

    segmenter = load_segmenter(args.model or model_of(args.journal), args.device)
    volume = None if args.image is None else open_volume(args.image, frame=frame_of(args.journal))
    replay = Replay(args.journal, segmenter, volume)
    for remark in replay.remarks:
        print(remark)
    print(f"{'command':>7}  {'kind':<13}  {'object':>6}  {'prompts':>7}  {'newest':<8}  {'voxels':>10}  result")
    results = []
    for result in replay.run(Task()):
        results.append(result)
        newest = result.prompts[-1] if result.prompts else ""
        outcome = result.problem or (f"{result.differing} voxels differ" if result.differing else "same")
        print(
            f"{result.number:>7}  {result.kind:<13}  {result.object_id:>6}  {len(result.prompts):>7}  {newest:<8}  "
            f"{result.voxels:>10}  {outcome}",
            flush=True,
        )
    differing = sum(not result.is_same for result in results)
    for doubt in replay.doubts:
        print(f"napari-medsam: {doubt}", file=sys.stderr)
    if differing:
        print(f"napari-medsam: {differing} of {len(results)} answers differ from the journal.", file=sys.stderr)
    if differing or replay.doubts:
        if args.out is not None:
            print(f"napari-medsam: {args.out} was not written, as the proof failed.", file=sys.stderr)
        return 1
    print(f"{len(results)} answers, all the same bit for bit.")
    if args.out is not None:
        replay.save(args.out)
        print(f"Saved {args.out}.")
    return 0
