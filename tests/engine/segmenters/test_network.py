"""The network and its weights on disk."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.prompts import Box
from napari_medsam.engine.region import Region
from napari_medsam.engine.segmenters.compact.bundle import BUNDLED, load_bundle, save_bundle
from napari_medsam.engine.segmenters.compact.channels import (
    CHANNELS,
    ELLIPSOID,
    GEODESIC_LIKELIHOOD,
    LIKELIHOOD,
    OUTSIDE,
    PatchPrompts,
    build_channels,
)
from napari_medsam.engine.segmenters.compact.network import PromptUNet, deeper_of, inflate
from napari_medsam.engine.segmenters.compact.segmenter import CompactSegmenter
from napari_medsam.engine.segmenters.registry import load_segmenter, segmenter_names
from napari_medsam.engine.task import Task
from napari_medsam.engine.volume import Volume

WIDTHS = (8, 16, 16, 16)


def test_an_inflated_network_gives_each_slice_what_the_flat_one_gives() -> None:
    torch.manual_seed(0)
    flat = PromptUNet(2, WIDTHS).eval()
    picture = torch.randn(1, CHANNELS, 1, 32, 32)
    with torch.inference_mode():
        in_plane = flat(picture)
        through = inflate(flat).eval()(picture.expand(-1, -1, 32, -1, -1))
    torch.testing.assert_close(through, in_plane.expand(-1, -1, 32, -1, -1), atol=1e-4, rtol=1e-4)


def test_networks_of_other_widths_are_not_inflated_silently() -> None:
    deep = PromptUNet(3, WIDTHS)
    with pytest.raises((ValueError, RuntimeError)):
        inflate(deep)


def test_further_convolutions_begin_as_nothing_and_are_found_in_the_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shallow, deeper = PromptUNet(3, WIDTHS).eval(), PromptUNet(3, WIDTHS, (0, 1, 0, 2)).eval()
    missing, unexpected = deeper.load_state_dict(shallow.state_dict(), strict=False)
    assert {key.split(".")[0] for key in missing} == {"deeper"}
    assert not unexpected
    patch = torch.randn(1, CHANNELS, 32, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(deeper(patch), shallow(patch))
        torch.nn.init.normal_(deeper.get_parameter("deeper.3.1.second.weight"))
        assert (deeper(patch) - shallow(patch)).abs().max() > 1e-3
    save_bundle(tmp_path, PromptUNet(2, WIDTHS), deeper, {"licence": "CC0-1.0"})
    bundle = load_bundle(tmp_path)
    assert deeper_of(bundle.flat.state_dict()) == (0, 0, 0, 0)
    assert deeper_of(bundle.deep.state_dict()) == (0, 1, 0, 2)
    torch.testing.assert_close(bundle.deep.state_dict(), deeper.state_dict(), atol=1e-3, rtol=1e-3)


def test_the_box_shows_as_an_ellipsoid_and_its_intensities_as_likely() -> None:
    image = torch.zeros(1, 1, 32, 32, 32)
    image[..., 10:22, 10:22, 10:22] = 1.0
    image += 0.05 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    box, none = torch.zeros_like(image), torch.zeros_like(image)
    box[..., 9:23, 9:23, 9:23] = 1
    channels = build_channels(image, PatchPrompts(box, none, none, none, torch.ones_like(image)))[0]
    assert channels[ELLIPSOID, 15, 15, 15] > 0.85
    assert channels[ELLIPSOID, 0, 0, 0] == -1
    assert channels[LIKELIHOOD, 10:22, 10:22, 10:22].mean() > 0.5
    assert channels[LIKELIHOOD, :8].mean() < -0.5


def test_a_rib_is_told_from_what_goes_on_beyond_its_box() -> None:
    """A bright bow along the sides of its box round a bright organ that leaves it below."""
    z, y, x = np.indices((32, 32, 32))
    radius = np.hypot(y - 30, x - 15.5)
    bow = (radius > 19) & (radius < 22) & (z > 12) & (z < 18) & (y < 25)
    organ = radius < 14
    image = torch.from_numpy((bow | organ).astype(np.float32))[None, None]
    box = torch.zeros_like(image)
    low, high = np.argwhere(bow).min(0), np.argwhere(bow).max(0) + 1
    box[(0, 0, *map(slice, low, high))] = 1
    none = torch.zeros_like(image)
    channels = build_channels(image, PatchPrompts(box, none, none, none, none + 1))[0].numpy()
    inside = box[0, 0].numpy() > 0
    assert channels[OUTSIDE][bow].max() < channels[OUTSIDE][inside & organ].min()
    assert channels[LIKELIHOOD][bow].mean() < 0.2
    none_of_organ = inside & ~bow & ~organ
    assert channels[GEODESIC_LIKELIHOOD][bow].mean() > channels[GEODESIC_LIKELIHOOD][none_of_organ].mean()


@pytest.mark.parametrize("value", [0.0, 7.5])
def test_channels_of_a_constant_patch_are_finite(value: float) -> None:
    image = torch.full((2, 1, 16, 16, 16), value)
    none = torch.zeros_like(image)
    assert torch.isfinite(build_channels(image, PatchPrompts(none, none, none, none, none + 1))).all()


def test_the_bundled_weights_are_small_and_known_by_their_hash() -> None:
    assert sum(file.stat().st_size for file in BUNDLED.iterdir()) < 12e6
    assert segmenter_names()[0] == "compact"
    info = load_segmenter("compact", device="cpu").info
    assert len(info.weights_hash) == 64
    assert info.licence == "Apache-2.0"


def test_a_saved_model_folder_is_a_model(tmp_path: Path) -> None:
    torch.manual_seed(1)
    save_bundle(tmp_path, PromptUNet(2, WIDTHS), PromptUNet(3, WIDTHS), {"licence": "CC0-1.0"})
    segmenter = load_segmenter(tmp_path, device="cpu")
    assert segmenter.info.licence == "CC0-1.0"
    assert load_bundle(tmp_path).sha256 == segmenter.info.weights_hash


def test_patches_have_the_side_that_the_model_card_says(tmp_path: Path) -> None:
    flat, deep = PromptUNet(2, WIDTHS), PromptUNet(3, WIDTHS)
    save_bundle(tmp_path / "usual", flat, deep, {"licence": "CC0-1.0"})
    save_bundle(tmp_path / "small", flat, deep, {"licence": "CC0-1.0", "cells": {"2D": 32, "3D": 48}})
    usual, small = load_bundle(tmp_path / "usual"), load_bundle(tmp_path / "small")
    assert (usual.cells, small.cells) == ({2: 64, 3: 64}, {2: 32, 3: 48})
    assert usual.sha256 != small.sha256  # the same weights answer otherwise
    sides: list[tuple[int, ...]] = []
    segmenter = CompactSegmenter(tmp_path / "small", device="cpu")
    for network in (segmenter._flat, segmenter._deep):
        network.register_forward_pre_hook(lambda _, channels: sides.append(tuple(channels[0].shape[2:])))
    for shape in ((1, 90, 90), (70, 90, 90)):
        volume = Volume(np.random.default_rng(0).random(shape).astype(np.float32))
        box = Box((0, 20, 20), (min(shape[0], 60), 70, 70))
        segmenter.predict(segmenter.prepare(volume, Task()), [box], Region.empty(), Task())
    assert set(sides) == {(1, 32, 32), (48, 48, 48)}
    save_bundle(tmp_path / "odd", flat, deep, {"licence": "CC0-1.0", "cells": {"2D": 64, "3D": 41}})
    with pytest.raises(WeightsError, match=r"cannot be read"):
        load_bundle(tmp_path / "odd")


def test_damaged_missing_and_foreign_weights_are_refused_with_a_sentence(tmp_path: Path) -> None:
    save_bundle(tmp_path, PromptUNet(2, WIDTHS), PromptUNet(3, WIDTHS), {"licence": "CC0-1.0"})
    whole = (tmp_path / "deep.safetensors").read_bytes()
    for content in (whole[: len(whole) // 2], b"", (tmp_path / "flat.safetensors").read_bytes()):
        (tmp_path / "deep.safetensors").write_bytes(content)
        with pytest.raises(WeightsError, match=r"cannot be read"):
            load_segmenter(tmp_path)
    (tmp_path / "deep.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"deep.safetensors is missing"):
        load_segmenter(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({"family": "no such"}))
    with pytest.raises(WeightsError, match=r"does not name a model family"):
        load_segmenter(tmp_path)
    with pytest.raises(WeightsError, match=r"There is no model"):
        load_segmenter(tmp_path / "nowhere")


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.trace,)


def test_a_pickle_in_place_of_weights_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    save_bundle(tmp_path, PromptUNet(2, WIDTHS), PromptUNet(3, WIDTHS), {"licence": "CC0-1.0"})
    trace = tmp_path / "executed"
    (tmp_path / "flat.safetensors").write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(WeightsError):
        load_segmenter(tmp_path)
    assert not trace.exists()
