"""Checkpoints brought into the folder of models, converted, verified, and found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from checkpoint_files import small_checkpoint

from napari_medsam.engine.errors import WeightsError
from napari_medsam.engine.segmenters.sam2.checkpoints import load_sam2
from napari_medsam.engine.weights.card import Card, read_card, write_card
from napari_medsam.engine.weights.folder import (
    embeddings_folder,
    installed_model,
    installed_models,
    models_folder,
    verify_model,
)
from napari_medsam.engine.weights.importing import convert_model, import_model
from napari_medsam.engine.weights.known import known_models


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_MEDSAM_MODELS", str(tmp_path / "models"))
    return models_folder()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return small_checkpoint(tmp_path / "mine.pt")


def test_an_imported_model_is_found_with_what_is_known_of_it(checkpoint: Path, folder: Path) -> None:
    raw = checkpoint.read_bytes()
    model = import_model(checkpoint, folder, image_size=512)
    assert model.path == folder / "mine.pt"
    assert (model.path.read_bytes(), checkpoint.read_bytes()) == (raw, raw)
    (found,) = installed_models()
    assert found == installed_model("mine") == model
    card = found.card
    assert (card.family, card.version, card.size, card.image_size) == ("sam2", "2.1", "tiny", 512)
    verify_model(found)
    assert load_sam2(model.path).image_size == 512, "the card says the size from now on"


def test_importing_again_is_harmless_and_another_of_its_name_is_refused(checkpoint: Path, folder: Path) -> None:
    import_model(checkpoint, folder, image_size=512)
    import_model(checkpoint, folder, image_size=256)
    assert installed_model("mine").card.image_size == 256
    small_checkpoint(checkpoint, shift=1.0)
    with pytest.raises(WeightsError, match=r"another file named mine\.pt"):
        import_model(checkpoint, folder, image_size=512)


def test_what_is_no_model_or_has_no_size_is_not_copied(checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="give the image size"):
        import_model(checkpoint, folder)
    (tmp_path / "words.pt").write_text("words")
    with pytest.raises(WeightsError, match="no checkpoint"):
        import_model(tmp_path / "words.pt", folder, image_size=512)
    assert not folder.exists()


def test_a_converted_model_is_the_same_model(checkpoint: Path, tmp_path: Path) -> None:
    write_card(checkpoint, Card(image_size=256, licence="MIT", title="Mine"))
    model = convert_model(checkpoint, tmp_path / "mine.safetensors")
    before, after = load_sam2(checkpoint), load_sam2(model.path)
    assert after.image_size == 256
    assert (model.card.licence, model.card.title) == ("MIT", "Mine")
    theirs = after.model.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in before.model.state_dict().items())
    with pytest.raises(WeightsError, match=r"mine\.safetensors"):
        convert_model(checkpoint, tmp_path / "mine.onnx")


def test_a_damaged_model_is_told(checkpoint: Path, folder: Path) -> None:
    model = import_model(checkpoint, folder, image_size=512)
    raw = bytearray(model.path.read_bytes())
    raw[len(raw) // 2] ^= 1
    model.path.write_bytes(raw)
    with pytest.raises(WeightsError, match="damaged or was changed"):
        verify_model(installed_model("mine"))
    write_card(model.path, Card(image_size=512))
    with pytest.raises(WeightsError, match="no checksum"):
        verify_model(installed_model("mine"))


def test_names_that_are_not_there_are_refused(folder: Path) -> None:
    with pytest.raises(WeightsError, match="there are: none"):
        installed_model("mine")


def test_cards_keep_what_they_know_and_pass_over_the_rest(tmp_path: Path) -> None:
    weights = tmp_path / "a.pt"
    assert read_card(weights) == Card()
    card = Card(title="A", family="sam2", image_size=512, lora_alpha=8.0)
    write_card(weights, card)
    assert read_card(weights) == card
    said = json.loads((tmp_path / "a.pt.json").read_text())
    assert set(said) == {"title", "family", "image_size", "lora_alpha"}
    (tmp_path / "a.pt.json").write_text(json.dumps({**said, "colour": "blue"}))
    assert read_card(weights) == card


def test_the_table_of_known_models_is_sound() -> None:
    models = known_models()
    assert len({model.name for model in models}) == len(models)
    for model in models:
        assert model.url.startswith("https://")
        assert model.url.endswith(model.file)
        assert model.sha256 is None or len(model.sha256) == 64
        assert model.image_size in (512, 1024)


def test_folders_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NAPARI_MEDSAM_MODELS", str(tmp_path / "a"))
    monkeypatch.setenv("NAPARI_MEDSAM_CACHE", str(tmp_path / "b"))
    assert (models_folder(), embeddings_folder()) == (tmp_path / "a", tmp_path / "b")
    monkeypatch.delenv("NAPARI_MEDSAM_MODELS")
    monkeypatch.delenv("NAPARI_MEDSAM_CACHE")
    assert models_folder().parts[-2:] == ("napari-medsam", "models")
    assert embeddings_folder().parts[-2:] == ("napari-medsam", "embeddings")
    assert models_folder() != embeddings_folder()
