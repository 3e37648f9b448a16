"""``napari-medsam models``: the weights on this computer, and those it could get."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program."""
    parser = commands.add_parser(
        "models",
        help="list, download, import, convert and verify weights",
        description="Weights are kept in one folder ($NAPARI_MEDSAM_MODELS names another) and nothing is downloaded "
        "unless you ask for it here. Use one of them with --model sam2:NAME.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    listing = actions.add_parser("list", help="the models on this computer, and those known by name")
    listing.set_defaults(run=_list)

    download = actions.add_parser("download", help="download a known model; goes on where a download was cut")
    download.add_argument("name", metavar="NAME", help="as 'napari-medsam models list' shows it")
    download.set_defaults(run=_download)

    importing = actions.add_parser("import", help="copy a checkpoint into the folder of models")
    importing.add_argument("file", type=Path, metavar="FILE", help=".pt, .pth or .safetensors")
    _add_image_size(importing)
    importing.set_defaults(run=_import)

    converting = actions.add_parser("convert", help="write a checkpoint as safetensors, without anything beside")
    converting.add_argument("file", type=Path, metavar="FILE", help=".pt, .pth or .safetensors")
    converting.add_argument("out", type=Path, metavar="OUT", help="where to, ending in .safetensors")
    _add_image_size(converting)
    converting.set_defaults(run=_convert)

    verify = actions.add_parser("verify", help="compare models with the checksums noted when they came")
    verify.add_argument("names", nargs="*", metavar="NAME", help="which (default: all)")
    verify.set_defaults(run=_verify)


def _add_image_size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="N",
        help="side of the square images it was trained with, which no checkpoint says (512 for MedSAM2, 1024 for "
        "Meta's own); needed where the file is not a known one",
    )


def _list(args: argparse.Namespace) -> int:  # noqa: ARG001 - every action is called alike
    from napari_medsam.engine.weights.folder import installed_models, models_folder
    from napari_medsam.engine.weights.known import known_models

    installed = installed_models()
    print(f"In {models_folder()}:")
    for model in installed:
        card = model.card
        facts = [card.title, f"{card.version} {card.size} at {card.image_size}", card.licence or "licence unknown"]
        print(f"  {model.path.name:40} {', '.join(fact for fact in facts if fact)}")
    if not installed:
        print("  none yet")
    print("Known by name, with 'napari-medsam models download NAME':")
    here = {model.path.name for model in installed}
    for known in known_models():
        size = f"{known.bytes / 1e6:.0f} MB" if known.bytes else "size unknown"
        mark = "here" if known.file in here else size
        print(f"  {known.name:40} {known.title}, {known.licence or 'licence unknown'}, {mark}")
    return 0


def _download(args: argparse.Namespace) -> int:
    from napari_medsam.engine.task import Task
    from napari_medsam.engine.weights.download import download_model
    from napari_medsam.engine.weights.folder import models_folder
    from napari_medsam.engine.weights.known import known_model

    known = known_model(args.name)
    print(f"{known.title}, licence: {known.licence or 'unknown, ask its authors'}, from {known.url}")
    model = download_model(known, models_folder(), Task(_show_progress))
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(f"{model.path} is here and whole (sha256 {model.card.sha256}).")
    return 0


def _import(args: argparse.Namespace) -> int:
    from napari_medsam.engine.weights.folder import models_folder
    from napari_medsam.engine.weights.importing import import_model

    model = import_model(args.file, models_folder(), args.image_size)
    card = model.card
    print(f"{args.file} is a SAM {card.version} {card.size} for images of {card.image_size}: copied to {model.path}.")
    print(f"Use it with --model sam2:{model.path.name}")
    return 0


def _convert(args: argparse.Namespace) -> int:
    from napari_medsam.cli.options import require_folder_of
    from napari_medsam.engine.weights.importing import convert_model

    require_folder_of(args.out)
    model = convert_model(args.file, args.out, args.image_size)
    print(f"Saved {model.path} (sha256 {model.card.sha256}).")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from napari_medsam.engine.errors import WeightsError
    from napari_medsam.engine.weights.folder import installed_model, installed_models, verify_model

    models = [installed_model(name) for name in args.names] if args.names else installed_models()
    damaged = 0
    for model in models:
        try:
            verify_model(model)
        except WeightsError as error:
            damaged += 1
            print(error)
        else:
            print(f"{model.path.name} is whole.")
    if not models:
        print("There are no models to verify.")
    return 1 if damaged else 0


def _show_progress(fraction: float, text: str) -> None:
    # A terminal shows one line that changes; a log would be filled by it.
    if sys.stderr.isatty():
        print(f"\r{fraction:4.0%} {text}", end="", file=sys.stderr, flush=True)
