"""``napari-medsam segment``: the main job without a window."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from napari_medsam.cli.options import add_model_options, add_prompt_options, require_folder_of
from napari_medsam.engine.errors import PromptError


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program."""
    parser = commands.add_parser(
        "segment",
        help="segment one object of an image from a box or clicks",
        description="Give a box or clicks in voxels (z,y,x) and get a mask on exactly the voxels of the image. Prompts "
        "are answered one after the other, in the order given, each correcting the mask so far.",
    )
    parser.add_argument("image", type=Path, metavar="IMAGE", help="NIfTI, NRRD, MHA, .npz, picture or DICOM folder")
    add_prompt_options(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="where the mask goes; the ending chooses the format: .nii.gz, .nrrd, .mha, .seg.nrrd, .dcm, .png",
    )
    parser.add_argument("--frame", type=int, metavar="N", help="which volume of a 4D image, from 0")
    parser.add_argument("--name", help="name of the object, for formats that keep it")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Segment, save, and say what was found."""
    if not args.prompts:
        raise PromptError("Say where the object is: give --box or --point (see napari-medsam segment --help).")
    require_folder_of(args.out)
    from napari_medsam.engine.io import open_volume
    from napari_medsam.engine.segmenters.registry import load_segmenter
    from napari_medsam.engine.session import Session

    volume = open_volume(args.image, frame=args.frame)
    with Session(volume, load_segmenter(args.model, args.device)) as session:
        item = session.add_object(args.name)
        for prompt in args.prompts:
            start = time.perf_counter()
            session.prompt(prompt, item.id)
            print(f"{prompt.kind:8} {_size(session.mask(item.id).count, volume.spacing)} {_since(start)}", flush=True)
        session.save(args.out)
    print(f"Saved {args.out}.")
    return 0


def _size(voxels: int, spacing: tuple[float, float, float]) -> str:
    return f"{voxels:>10} voxels  {voxels * spacing[0] * spacing[1] * spacing[2] / 1000:10.2f} ml"


def _since(start: float) -> str:
    return f"{time.perf_counter() - start:8.2f} s"
