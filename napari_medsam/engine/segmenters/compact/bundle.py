"""Weights of the bundled model on disk: a folder with ``model.json`` and one safetensors file per network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.segmenters.compact.calibration import Calibration
from napari_medsam.engine.segmenters.compact.network import PromptUNet, deeper_of
from napari_medsam.engine.segmenters.compact.zoom import PATCH

BUNDLED = Path(__file__).parent / "weights"
_FILES = {2: "flat.safetensors", 3: "deep.safetensors"}


@dataclass(frozen=True)
class Bundle:
    """Both networks, ready to answer.

    Parameters
    ----------
    flat, deep : PromptUNet
        The 2D and the 3D network, float32, in evaluation mode.
    licence : str
        SPDX identifier from the model card.
    sha256 : str
        Hex digest over both weight files: names the model in journals.
    calibration : Calibration
        From the model card; without curves confidences stay as they are.
    cells : mapping of int to int
        Side of the patches that the 2D and the 3D network learnt on, from the model card: at another they answer worse.
    """

    flat: PromptUNet
    deep: PromptUNet
    licence: str
    sha256: str
    calibration: Calibration
    cells: Mapping[int, int]


def load_bundle(folder: Path) -> Bundle:
    """Read a model folder. Nothing in it is executed.

    Raises
    ------
    WeightsError
        If a file is missing, damaged, or holds another network.
    """
    digest = hashlib.sha256()
    networks: dict[int, PromptUNet] = {}
    try:
        card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        widths = tuple(int(w) for w in card["widths"])
        licence = str(card["licence"])
        calibration = Calibration.of(card)
        cells = {dims: int(card.get("cells", {}).get(f"{dims}D", PATCH)) for dims in _FILES}
        if any(side <= 0 or side % 2 ** len(widths) for side in cells.values()):
            raise ValueError("a patch cannot be halved as often as the network does")
        digest.update(json.dumps(cells).encode())
        for dims, name in _FILES.items():
            digest.update((folder / name).read_bytes())
            state = load_file(folder / name)
            network = PromptUNet(dims, widths, deeper_of(state))
            network.load_state_dict({key: value.float() for key, value in state.items()})
            network.eval().requires_grad_(False)
            # A third faster on CPUs. (torch's stubs do not know the keyword.)
            networks[dims] = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    except FileNotFoundError as error:
        raise WeightsError(
            f"The model folder {folder} is incomplete: {Path(error.filename).name} is missing."
        ) from error
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise WeightsError(f"The model in {folder} cannot be read as a compact model: its files do not fit.") from error
    return Bundle(networks[2], networks[3], licence, digest.hexdigest(), calibration, cells)


def save_bundle(folder: Path, flat: PromptUNet, deep: PromptUNet, card: dict[str, object]) -> None:
    """Write a model folder, weights as float16; ``card`` is added to ``model.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    for dims, network in ((2, flat), (3, deep)):
        state = {key: value.half().contiguous() for key, value in network.state_dict().items()}
        # Not save_file: it makes files that only their owner can read, and an installed model is for everybody.
        (folder / _FILES[dims]).write_bytes(save(state))
    about = {"family": "compact", "widths": list(deep.widths), **card}
    (folder / "model.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
