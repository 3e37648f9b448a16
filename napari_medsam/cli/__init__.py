"""The command line: ``napari-medsam COMMAND``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from napari_medsam import __version__
from napari_medsam.engine.errors import MedSamError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; those of the process when None.

    Returns
    -------
    int
        Exit status: 0 all well, 1 done in part, 2 refused with a sentence, 130 interrupted.
    """
    args = _parser().parse_args(argv)
    try:
        status: int = args.run(args)
    except MedSamError as error:
        print(f"napari-medsam: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("napari-medsam: interrupted.", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    # Command modules import what is heavy inside their run(), so that help and mistakes are answered at once.
    from napari_medsam.cli import demo, evaluate, info, models, predict, replay, segment

    parser = argparse.ArgumentParser(prog="napari-medsam", description="Interactive segmentation of medical images.")
    parser.add_argument("--version", action="version", version=f"napari-medsam {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (demo, segment, predict, evaluate, replay, models, info):
        command.add_parser(commands)
    return parser
