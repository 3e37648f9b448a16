"""``napari-medsam models``: what it prints, and how it ends."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from checkpoint_files import small_checkpoint

from napari_medsam.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_MEDSAM_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("NAPARI_MEDSAM_OFFLINE", "1")
    return tmp_path / "models"


def test_the_way_of_a_checkpoint(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = small_checkpoint(tmp_path / "mine.pt")
    assert main(["models", "list"]) == 0
    assert "none yet" in capsys.readouterr().out

    assert main(["models", "import", str(source), "--image-size", "512"]) == 0
    said = capsys.readouterr().out
    assert "SAM 2.1 tiny for images of 512" in said
    assert "--model sam2:mine.pt" in said

    assert main(["models", "list"]) == 0
    said = capsys.readouterr().out
    assert "mine.pt" in said
    assert "medsam2-latest" in said

    assert main(["models", "verify"]) == 0
    assert "mine.pt is whole." in capsys.readouterr().out
    with (folder / "mine.pt").open("ab") as file:
        file.write(b"x")
    assert main(["models", "verify", "mine"]) == 1
    assert "damaged or was changed" in capsys.readouterr().out

    assert main(["models", "convert", str(source), str(tmp_path / "mine.safetensors"), "--image-size", "512"]) == 0
    digest = hashlib.sha256((tmp_path / "mine.safetensors").read_bytes()).hexdigest()
    assert digest in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["download", "sam2.1-tiny"], "switched off here"),
        (["download", "nothing"], "no known model"),
        (["import", "nothing.pt"], "There is no file"),
        (["convert", "nothing.pt", "nowhere/out.safetensors"], "no folder"),
        (["verify", "nothing"], "no model"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", *arguments]) == 2
    assert sentence in capsys.readouterr().err
