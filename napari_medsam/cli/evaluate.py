"""``napari-medsam evaluate``: simulated users segment labelled structures, and the answers are scored."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medsam.cli.options import make_folder, require_folder_of

if TYPE_CHECKING:
    from napari_medsam.engine.evaluation import Protocol, StructureResult
    from napari_medsam.engine.segmenters.base import Segmenter

_ELLIPSOID = "ellipsoid"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program."""
    parser = commands.add_parser(
        "evaluate",
        help="score a model on labelled images with simulated users",
        description="Simulated users give prompts to every labelled structure of the list; every answer is scored with "
        "Dice and NSD.",
    )
    parser.add_argument(
        "cases",
        type=Path,
        metavar="CASES.json",
        help="the list of labelled structures; for pictures in the SA-Med2D layout the folder of their lists",
    )
    parser.add_argument(
        "--protocol",
        choices=("challenge", "prompts"),
        default="challenge",
        help="challenge: a 3D box and five clicks, and five clicks alone, as in the CVPR-2025 challenge; "
        "prompts: each kind of prompt by itself, then corrected (default: challenge)",
    )
    parser.add_argument("--flat", action="store_true", help="score the largest slice of each structure as a 2D image")
    parser.add_argument(
        "--model",
        default="compact",
        metavar="M",
        help=f"a registered name, the folder of a fine-tuned model, or '{_ELLIPSOID}': the ellipsoid in the box, "
        "which does not look at the image (default: compact)",
    )
    parser.add_argument("--device", default="auto", help="torch device (default: a GPU where there is one)")
    parser.add_argument("--dataset", nargs="+", action="extend", default=[], metavar="NAME", help="only these datasets")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save all scores as JSON")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="save all scores as a table")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="save the curves as a PNG picture")
    parser.add_argument("--out", type=Path, metavar="DIR", help="save all three there: scores.json, .csv and .png")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table and save what was asked for; 1 when something could not be scored."""
    from napari_medsam.engine.evaluation import (
        PROTOCOLS,
        evaluate_cases,
        format_table,
        load_cases,
        summarise,
        write_csv,
        write_json,
        write_plot,
    )

    writers = ((write_json, args.json, "json"), (write_csv, args.csv, "csv"), (write_plot, args.plot, "png"))
    if args.out is not None:
        make_folder(args.out)
    for _, path, _ in writers:
        if path is not None:
            require_folder_of(path)

    cases = load_cases(args.cases, args.dataset)
    segmenter = _load(args.model, args.device)
    total = sum(len(case.values) for case in cases)
    results = []
    protocols = PROTOCOLS[args.protocol]
    for result in evaluate_cases(cases, segmenter, protocols=protocols, flat=args.flat):
        results.append(result)
        print(f"[{len(results):{len(str(total))}}/{total}] {_line(result, protocols)}", flush=True)
    report = summarise(results, segmenter.info, protocols)
    print(f"\n{segmenter.info.title} on {segmenter.info.device}\n\n{format_table(report)}")

    for write, path, kind in writers:
        if path is not None:
            write(report, path)
        if args.out is not None:
            write(report, args.out / f"scores.{kind}")
    if report["failures"]:
        print(f"{len(report['failures'])} of {total} structures failed:", file=sys.stderr)
        print("\n".join(report["failures"]), file=sys.stderr)
        return 1
    return 0


def _load(model: str, device: str) -> Segmenter:
    from napari_medsam.engine.evaluation import EllipsoidSegmenter
    from napari_medsam.engine.segmenters.registry import load_segmenter

    return EllipsoidSegmenter() if model == _ELLIPSOID else load_segmenter(model, device)


def _line(result: StructureResult, protocols: Sequence[Protocol]) -> str:
    name = f"{result.case.id} {','.join(map(str, result.values))}"
    curves = []
    for protocol in protocols:
        scores = [result.steps[step].dice for step in protocol.steps if step in result.steps]
        if scores:
            end = f" > {scores[-1]:.3f}" if len(scores) > 1 else ""
            curves.append(f"{protocol.name} {scores[0]:.3f}{end}")
    return f"{name}: {', '.join(curves) or 'not scored'}" + (f" ({result.failure})" if result.failure else "")
