"""Every wrapper of the field loads exactly; everything else is refused with a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_files import Bomb, published_state, save, transformers_state
from safetensors.torch import save_file

from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.segmenters.sam2.checkpoints import inspect_sam2, load_sam2
from napari_medsam.engine.weights.card import Card, write_card

State = dict[str, torch.Tensor]


def assert_loads(path: Path, expected: State, version: str, size: str, image_size: int | None = None) -> Any:
    weights = load_sam2(path, image_size)
    loaded = weights.model.state_dict()
    assert loaded.keys() == expected.keys()
    different = [key for key, value in expected.items() if not torch.equal(loaded[key], value.float())]
    assert not different
    assert (weights.version, weights.size) == (version, size)
    assert not weights.model.training
    assert all(value.dtype == torch.float32 for value in loaded.values())
    return weights


@pytest.mark.parametrize(
    ("file", "size", "version"),
    [
        ("sam2_hiera_tiny.pt", "tiny", "2.0"),
        ("sam2.1_hiera_tiny.pt", "tiny", "2.1"),
        ("sam2.1_hiera_small.pt", "small", "2.1"),
        ("sam2.1_hiera_base_plus.pt", "base_plus", "2.1"),
        ("sam2.1_hiera_large.pt", "large", "2.1"),
    ],
)
def test_meta_s_own(tmp_path: Path, file: str, size: Any, version: Any) -> None:
    state = published_state(size, version)
    if size == "tiny":
        assert len(state) == {"2.0": 468, "2.1": 471}[version]
    assert_loads(save(tmp_path / file, {"model": state}), transformers_state(size, version), version, size, 512)


def test_a_folder_of_transformers(tmp_path: Path) -> None:
    expected = transformers_state()
    save_file({key: value.contiguous() for key, value in expected.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"image_size": 1024}))
    assert assert_loads(tmp_path / "model.safetensors", expected, "2.1", "tiny").image_size == 1024


def test_one_that_ties_the_positions(tmp_path: Path) -> None:
    expected = transformers_state()
    tied = {k: v.contiguous() for k, v in expected.items() if k != "shared_image_embedding.positional_embedding"}
    save_file(tied, tmp_path / "tied.safetensors")
    assert_loads(tmp_path / "tied.safetensors", expected, "2.1", "tiny", 512)


def test_medsam2_in_the_middle_of_training(tmp_path: Path) -> None:
    training = {"optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}, "epoch": 4, "steps": {"train": 10}}
    path = save(tmp_path / "MedSAM2_latest.pt", {"model": published_state(), **training})
    path.with_name("MedSAM2_latest.pt.json").write_text(json.dumps({"image_size": 512}))
    assert assert_loads(path, transformers_state(), "2.1", "tiny").image_size == 512


def test_medical_sam2_in_half_precision(tmp_path: Path) -> None:
    state = {key: value.bfloat16() for key, value in published_state("tiny", "2.0").items()}
    expected = {key: value.bfloat16() for key, value in transformers_state("tiny", "2.0").items()}
    path = save(tmp_path / "latest_epoch.pth", {"model": state, "parameter": [torch.zeros(2)]})
    assert_loads(path, expected, "2.0", "tiny", 1024)


def test_medical_sam2_small(tmp_path: Path) -> None:
    state = published_state("small", "2.0")
    assert len(state) == 516
    path = save(tmp_path / "best_dice_epoch.pth", {"model": state})
    assert_loads(path, transformers_state("small", "2.0"), "2.0", "small", 256)


def test_neurosam2_with_scores_of_numpy(tmp_path: Path) -> None:
    beside = {f"optimizer{n}": {"state": {}} for n in (1, 2, 3)} | {"epoch": 3, "best_dice": np.float64(0.8)}
    path = save(tmp_path / "best_dice.pth", {"model": published_state("tiny", "2.0"), **beside})
    assert_loads(path, transformers_state("tiny", "2.0"), "2.0", "tiny", 224)


def test_neurosam2_with_low_rank_updates(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    state, expected = published_state("tiny", "2.0"), transformers_state("tiny", "2.0")
    for key in [key for key in state if key.endswith("attn.qkv.weight") and "trunk" in key]:
        attention = key.removesuffix(".qkv.weight")
        rows, columns = state[key].shape
        merged = f"vision_encoder.backbone.{attention.removeprefix('image_encoder.trunk.')}"
        third = rows // 3
        for part, name, place in (("q", "qkv", slice(0, third)), ("v", "qkv", slice(2 * third, rows))):
            first, second = torch.randn(columns, 4, generator=random), torch.randn(4, third, generator=random)
            state |= {f"{attention}.lora_A_{part}": first, f"{attention}.lora_B_{part}": second}
            weight = expected[f"{merged}.{name}.weight"].clone()
            weight[place] += 2 * (first @ second).T  # alpha 8 over rank 4
            expected[f"{merged}.{name}.weight"] = weight
        first, second = torch.randn(third, 4, generator=random), torch.randn(4, third, generator=random)
        state |= {f"{attention}.lora_A_proj": first, f"{attention}.lora_B_proj": second}
        expected[f"{merged}.proj.weight"] = expected[f"{merged}.proj.weight"] + 2 * (first @ second).T
    assert len(state) == 540
    assert_loads(save(tmp_path / "best_dice.pth", {"model": state}), expected, "2.0", "tiny", 512)


def test_low_rank_updates_of_another_rank_need_their_scale(tmp_path: Path) -> None:
    state = published_state("tiny", "2.0")
    attention = "image_encoder.trunk.blocks.0.attn"
    state |= {f"{attention}.lora_A_q": torch.ones(96, 2), f"{attention}.lora_B_q": torch.ones(2, 96)}
    path = save(tmp_path / "lora.pth", {"model": state})
    with pytest.raises(WeightsError, match="rank 2"):
        inspect_sam2(path)
    write_card(path, Card(lora_alpha=1.0))
    qkv = inspect_sam2(path).state["vision_encoder.backbone.blocks.0.attn.qkv.weight"]
    plain = transformers_state("tiny", "2.0")["vision_encoder.backbone.blocks.0.attn.qkv.weight"]
    torch.testing.assert_close(qkv[:96], plain[:96] + 1.0)
    torch.testing.assert_close(qkv[96:], plain[96:])


def test_names_that_parallel_training_and_compiling_prefix(tmp_path: Path) -> None:
    state = {f"module._orig_mod.{key}": value for key, value in published_state().items()}
    assert_loads(save(tmp_path / "parallel.pt", state), transformers_state(), "2.1", "tiny", 512)


def without(key: str, **new: torch.Tensor) -> State:
    state = published_state()
    del state[key]
    return state | new


NECK = "image_encoder.neck.convs.0.conv.weight"
REFUSED = {
    "missing weights": ({"model": without(NECK)}, "1 of its weights are missing"),
    "foreign weights": ({"model": published_state() | {"extra.weight": torch.ones(1)}}, "1 weights that SAM 2 has not"),
    "another shape": ({"model": without(NECK, **{NECK: torch.ones(256, 100, 1, 1)})}, "is of shape"),
    "single images only": (
        {k: v for k, v in transformers_state().items() if not k.startswith("memory_")},
        "its memory is missing",
    ),
    "another trunk": (
        {"model": {k: v for k, v in published_state().items() if ".blocks.11." not in k}},
        "another shape than tiny",
    ),
    "EfficientTAM": (
        {"model": {"image_encoder.trunk.patch_embed.proj.weight": torch.ones(192, 3, 16, 16)}},
        "EfficientTAM",
    ),
    "SAM-Med3D": (
        {"model_state_dict": {"image_encoder.patch_embed.proj.weight": torch.ones(768, 1, 16, 16, 16)}},
        "SAM-Med3D",
    ),
    "SAM 1": ({"image_encoder.blocks.0.attn.rel_pos_h": torch.ones(27, 64)}, "SAM 1"),
    "SAM-UNet": ({"model": {"encoder.layer1.0.conv1.weight": torch.ones(64, 64, 1, 1)}}, "SAM-UNet"),
    "anything else": ({"fc.weight": torch.ones(3)}, "no model this program knows"),
    "an optimizer": ({"optimizer": {"state": {}}}, "no weights of a model"),
    "a number": (3, "no weights of a model"),
    "failed training": ({"model": without(NECK, **{NECK: torch.full((256, 768, 1, 1), float("nan"))})}, "no numbers"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(tmp_path: Path, case: str) -> None:
    payload, sentence = REFUSED[case]
    path = save(tmp_path / "file.pt", payload)
    with pytest.raises(WeightsError, match=sentence) as refused:
        load_sam2(path, 512)
    assert str(path) in str(refused.value)
    assert str(refused.value).endswith(".")


def test_a_file_cut_off_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "cut.pt", {"model": published_state()})
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="damaged or cut off"):
        load_sam2(path, 512)
    save_file({"a": torch.ones(1000)}, tmp_path / "cut.safetensors")
    raw = (tmp_path / "cut.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(raw[:-1000])
    with pytest.raises(WeightsError, match="cut off"):
        load_sam2(tmp_path / "cut.safetensors", 512)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"PK\x03\x04 and then nothing", "damaged"),
        (b"just some words", "no checkpoint"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "file.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=sentence):
        load_sam2(path, 512)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="There is no file"):
        load_sam2(tmp_path / "nothing.pt", 512)


@pytest.mark.parametrize("zipped", [True, False], ids=["new format", "old format"])
def test_a_file_with_a_program_in_it_is_refused_and_nothing_runs(tmp_path: Path, zipped: bool) -> None:
    trace = tmp_path / "trace"
    path = tmp_path / "bomb.pt"
    torch.save({"model": published_state(), "x": Bomb(trace)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="nothing in it was run"):
        load_sam2(path, 512)
    assert not trace.exists()
    torch.load(path, weights_only=False)["x"].close()
    assert trace.exists(), "the bomb was a dud"


def test_a_file_of_another_checksum_than_its_card_says_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "file.pt", {"model": published_state()})
    write_card(path, Card(image_size=512, sha256="0" * 64))
    with pytest.raises(WeightsError, match="not the file its"):
        load_sam2(path)


@pytest.mark.parametrize("said", ["[]", "{", '{"image_size": "large"}', '{"image_size": true}'])
def test_a_damaged_card_is_refused(tmp_path: Path, said: str) -> None:
    path = save(tmp_path / "file.pt", {"model": published_state()})
    path.with_name("file.pt.json").write_text(said)
    with pytest.raises(WeightsError, match="mend or remove it"):
        load_sam2(path)


def test_the_image_size_comes_from_the_card_or_the_user_or_is_asked_for(tmp_path: Path) -> None:
    path = save(tmp_path / "mine.pt", {"model": published_state()})
    with pytest.raises(WeightsError, match="give the image size"):
        load_sam2(path)
    with pytest.raises(WeightsError, match="multiple of 32"):
        load_sam2(path, 500)
    write_card(path, Card(image_size=256))
    assert load_sam2(path).image_size == 256
    assert load_sam2(path, 512).model.image_size == 512
    write_card(path, Card(image_size=100))
    with pytest.raises(WeightsError, match="multiple of 32"):
        load_sam2(path)


def test_a_known_file_says_its_image_size_by_its_name(tmp_path: Path) -> None:
    path = save(tmp_path / "MedSAM2_US_Heart.pt", {"model": published_state()})
    found = inspect_sam2(path)
    assert found.image_size == 512
