"""``napari-medsam demo``: the main job on a real image, from the first prompt to the saved file."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medsam.cli.info import why_no_window
from napari_medsam.cli.options import add_model_options, add_prompt_options, make_folder
from napari_medsam.engine.errors import PromptError, SaveError

if TYPE_CHECKING:
    from napari_medsam.engine.prompts import Prompt
    from napari_medsam.engine.region import Region
    from napari_medsam.engine.session import Session
    from napari_medsam.engine.volume import Volume

_CORRECTIONS = 3


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program."""
    parser = commands.add_parser(
        "demo",
        help="segment a real image from a box and from a click, correct, save and read back",
        description="Without --image: one lateral ventricle of the MNI152 brain is segmented from a box, the other "
        "from a click, both are corrected with clicks, saved, and read back; Dice and times are printed, pictures of "
        "every step written. With a display napari opens afterwards. With --image: your image and your prompts.",
    )
    parser.add_argument("--out", type=Path, default=Path("napari-medsam-demo"), metavar="DIR", help="where to write")
    parser.add_argument("--image", type=Path, metavar="FILE", help="an image of yours")
    parser.add_argument("--frame", type=int, metavar="N", help="which volume of a 4D image, from 0")
    add_prompt_options(parser)
    parser.add_argument("--no-window", action="store_true", help="do not open napari")
    add_model_options(parser)
    parser.set_defaults(run=run)


@dataclass
class _Object:
    """One object of the demo: where it starts and, where it is known, what it should become."""

    name: str
    prompts: list[Prompt]
    truth: Region | None = None


def run(args: argparse.Namespace) -> int:
    """Segment, correct, save, read back, and open napari where there is a display."""
    has_window = not (args.no_window or why_no_window())
    if args.image is not None and not args.prompts and not has_window:
        raise PromptError(
            "Say where the object is: give --box z0,y0,x0,z1,y1,x1 or --point z,y,x in voxels of the image "
            "(with a display napari opens instead, and you draw it there)."
        )
    make_folder(args.out)
    volume, objects = _task(args)
    if objects:
        _segment(volume, objects, args)
    if has_window:
        _open(volume, objects, "MNI152 T1" if args.image is None else args.image.name)
    elif not args.no_window:
        print(f"Window: {why_no_window()}")
    return 0


def _task(args: argparse.Namespace) -> tuple[Volume, list[_Object]]:
    if args.image is not None:
        from napari_medsam.engine.io import open_volume

        objects = [_Object("object", args.prompts)] if args.prompts else []
        return open_volume(args.image, frame=args.frame), objects
    from napari_medsam.engine.evaluation import next_click, tight_box
    from napari_medsam.engine.region import Region
    from napari_medsam.engine.samples import mni152

    sample = mni152()
    if args.prompts:
        return sample.volume, [_Object("object", args.prompts)]
    left, right = (sample.truth(f"{side} lateral ventricle") for side in ("left", "right"))
    click = next_click(right, Region.empty())
    assert click is not None
    return sample.volume, [
        _Object("left lateral ventricle", [tight_box(left)], left),
        _Object("right lateral ventricle", [click], right),
    ]


def _segment(volume: Volume, objects: list[_Object], args: argparse.Namespace) -> None:
    from napari_medsam.engine.io import open_labels
    from napari_medsam.engine.segmenters.registry import load_segmenter
    from napari_medsam.engine.session import Session

    segmenter = load_segmenter(args.model, args.device)
    size = " x ".join(map(str, volume.shape))
    print(f"{size} voxels (z, y, x) of {', '.join(f'{s:.3g}' for s in volume.spacing)} mm; {segmenter.info.title}")
    with Session(volume, segmenter) as session:
        number = 0
        for item in objects:
            object_id = session.add_object(item.name).id
            for step in range(len(item.prompts) + (_CORRECTIONS if item.truth is not None else 0)):
                prompt = item.prompts[step] if step < len(item.prompts) else _correction(item, session, object_id)
                if prompt is None:
                    break
                number += 1
                _give(session, object_id, item, prompt, args.out / f"{number:02d}-{prompt.kind}.png")
        saved = args.out / "mask.nii.gz"
        session.save(saved)
        same = bool((open_labels(saved, like=volume) == session.labels()).all())
    print(f"Saved {saved} and read it back: {'the same voxels' if same else 'NOT the same voxels'}.")
    if not same:
        raise SaveError(f"{saved} does not hold the voxels that were segmented.")


def _correction(item: _Object, session: Session, object_id: int) -> Prompt | None:
    from napari_medsam.engine.evaluation import next_click

    assert item.truth is not None
    return next_click(item.truth, session.mask(object_id))


def _give(session: Session, object_id: int, item: _Object, prompt: Prompt, picture: Path) -> None:
    """Give one prompt, print what became of the object, and draw it."""
    from napari_medsam.cli.pictures import write_picture
    from napari_medsam.engine.evaluation import dice

    start = time.perf_counter()
    session.prompt(prompt, object_id)
    seconds = time.perf_counter() - start
    mask = session.mask(object_id)
    sign = "+" if prompt.positive else "-"
    score = f"Dice {dice(item.truth, mask):.3f}" if item.truth is not None else f"{mask.count} voxels"
    line = f"{item.name}: {sign}{prompt.kind:6} {score}  {seconds:.2f} s"
    print(line, flush=True)
    region = prompt.region(session.volume.shape)
    z, y, x = ((low + high - 1) // 2 for low, high in zip(region.lower, region.upper, strict=True))
    write_picture(picture, session.volume, mask, session.object(object_id).prompts, (z, y, x), line)


def _open(volume: Volume, objects: list[_Object], name: str) -> None:
    import napari

    from napari_medsam.engine.prompts import Box
    from napari_medsam.widgets.launch import open_window

    first = objects[0].prompts[0] if objects else None
    open_window(volume, first if isinstance(first, Box) else None, name)
    napari.run()
