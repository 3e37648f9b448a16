"""``napari-medsam predict``: many images, each with its prompts, without a window."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medsam.cli.options import add_model_options, make_folder
from napari_medsam.engine.errors import ImageError, MedSamError, PromptError, SaveError

if TYPE_CHECKING:
    from napari_medsam.cli.prompt_file import Wanted
    from napari_medsam.engine.segmenters.base import Segmenter

_AXES = "zyx"
_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".npz", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
_MASK = "mask.nii.gz"
_FORMAT = """\
The file of prompts is JSON: for each image, by its file name in INPUT, a list of objects, each with a list of prompts.
Coordinates are voxels (z,y,x); a box ends with its first voxel outside. "*" stands for images without an entry.

  {"case1.nii.gz": [{"name": "Liver",
                     "prompts": [{"box": [40, 120, 90, 41, 190, 160]},
                                 {"point": [40, 150, 130]},
                                 {"point": [40, 185, 95], "negative": true}]},
                    {"name": "Spleen",
                     "prompts": [{"mask": "spleen-slice.nii.gz", "value": 2}]}],
   "*": [{"prompts": [{"point": [12, 100, 100]}]}]}

A mask is a label file on the voxels of the image, its path taken from the folder of the file of prompts; "value" is the
label meant (any, where it is left out).
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program."""
    parser = commands.add_parser(
        "predict",
        help="segment an image or a folder of images from a file of prompts",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Segment the objects that a file of prompts names, and write a folder for each image with\n"
        f"{_MASK} in it: the first object of an image has the value 1, the second 2, and so on.",
        epilog=_FORMAT,
    )
    parser.add_argument("input", type=Path, metavar="INPUT", help="an image, or a folder of images")
    parser.add_argument("--prompts", type=Path, required=True, metavar="FILE", help="what to segment; see below")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the folders of results go")
    parser.add_argument(
        "--propagate", action="store_true", help="carry what was segmented on single slices through the volume"
    )
    parser.add_argument(
        "--axis", choices=tuple(_AXES), help="slice axis (default: that of the first flat box or mask, else z)"
    )
    parser.add_argument("--frame", type=int, metavar="N", help="which volume of 4D images, from 0")
    parser.add_argument("--save-npy", action="store_true", help="write each slice of labels as npy/NNNN.npy, too")
    parser.add_argument(
        "--save-vis",
        action="store_true",
        help="write vis/NNNN.png for each slice that shows an object: the image beside the image with the objects",
    )
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Segment every image; 1 when some failed, each with its sentence."""
    from napari_medsam.cli.prompt_file import read_prompt_file

    samples = _samples(args.input, read_prompt_file(args.prompts))
    make_folder(args.out)
    from napari_medsam.engine.segmenters.registry import load_segmenter

    segmenter = load_segmenter(args.model, args.device)
    failed = 0
    for number, (image, wanted) in enumerate(samples.items(), 1):
        start = time.perf_counter()
        try:
            voxels = _predict(args, image, wanted, args.out / _name(image), segmenter)
        except (ImageError, PromptError, SaveError) as error:
            failed += 1
            print(f"napari-medsam: {image.name}: {error}", file=sys.stderr)
            continue
        seconds = time.perf_counter() - start
        print(f"[{number}/{len(samples)}] {image.name}: {voxels} voxels, {seconds:.2f} s", flush=True)
    if failed:
        print(f"napari-medsam: {failed} of {len(samples)} images failed.", file=sys.stderr)
    return 1 if failed else 0


def _predict(args: argparse.Namespace, image: Path, wanted: list[Wanted], out: Path, segmenter: Segmenter) -> int:
    from napari_medsam.cli.prompt_file import make_prompts, slice_axis_of
    from napari_medsam.cli.slice_pictures import write_arrays, write_pictures
    from napari_medsam.engine.io import open_volume
    from napari_medsam.engine.propagation import Route
    from napari_medsam.engine.session import Session

    volume = open_volume(image, frame=args.frame)
    prompts = [make_prompts(one, volume, args.prompts.parent) for one in wanted]
    axis = _AXES.index(args.axis) if args.axis else slice_axis_of([p for some in prompts for p in some], volume.shape)
    with Session(volume, segmenter) as session:
        for one, some in zip(wanted, prompts, strict=True):
            item = session.add_object(one.name)
            for prompt in some:
                session.prompt(prompt, item.id)
        found = [item.id for item in session.objects if item.mask]
        if args.propagate and found and volume.shape[axis] > 1:
            session.propagate(found, Route(axis=axis))
        make_folder(out)
        session.save(out / _MASK)
        labels = session.labels()
        if args.save_npy:
            make_folder(out / "npy")
            write_arrays(out / "npy", labels, axis)
        if args.save_vis:
            make_folder(out / "vis")
            write_pictures(out / "vis", volume, labels, axis, {item.id: item.colour for item in session.objects})
        return sum(item.mask.count for item in session.objects)


def _samples(source: Path, prompts: dict[str, list[Wanted]]) -> dict[Path, list[Wanted]]:
    """Images with what to segment in them.

    Raises
    ------
    MedSamError
        If there is none, one is missing, or two would write to one folder.
    """
    from napari_medsam.cli.prompt_file import EVERY

    every = prompts.pop(EVERY, None)
    # A folder may be an image itself: a DICOM series.
    if source.name in prompts or not source.is_dir():
        wanted = prompts.get(source.name, every)
        if wanted is None:
            raise PromptError(f"The file of prompts has no entry {source.name!r} and none {EVERY!r}.")
        return {source: wanted}
    found = {source / name: wanted for name, wanted in sorted(prompts.items())}
    missing = [image.name for image in found if not image.exists()]
    if missing:
        raise ImageError(f"The file of prompts names images that are not in {source}: {', '.join(missing)}.")
    if every is not None:
        images = (image for image in sorted(source.iterdir()) if image.name.lower().endswith(_ENDINGS))
        found |= {image: every for image in images if image not in found and not image.name.startswith(".")}
    if not found:
        raise ImageError(f"There is no image in {source}.")
    names = [_name(image) for image in found]
    for name in names:
        if names.count(name) > 1:
            raise MedSamError(f"Two images would both write to the folder {name}: give one of them another name.")
    return found


def _name(image: Path) -> str:
    ending = next((e for e in sorted(_ENDINGS, key=len, reverse=True) if image.name.lower().endswith(e)), "")
    return image.name[: len(image.name) - len(ending)] or image.resolve().name
