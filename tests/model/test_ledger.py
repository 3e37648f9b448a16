"""From trainings to the ledger and the model card."""

import json
from pathlib import Path

import average
import export
import failures
import ledger
import pytest
import torch
import unpack
from card import model_card
from PIL import Image
from record import averaged, read_record

from napari_medsam.engine.segmenters.compact.bundle import BUNDLED, load_bundle
from napari_medsam.engine.segmenters.compact.channels import CHANNELS
from napari_medsam.engine.segmenters.compact.network import PromptUNet

SOURCE = {"source": "a/b", "licence": "CC0", "modality": "CT", "images": 3}
WIDTHS = [16, 16, 16, 16]


@pytest.fixture
def trainings(tmp_path: Path) -> tuple[Path, Path]:
    """A 2D training and a 3D one that started from it, as train.py leaves them."""
    flat = {
        "name": "first",
        "seed": 5,
        "start": None,
        "data": {"pool": "pool", "patches": 128, "cells": 64, "synthetic": 0.3, "sources": [SOURCE]},
        "steps": 30,
        "hours": {"one machine": 0.5},
    }
    deep = {**flat, "name": "second", "start": flat, "steps": 40, "hours": {"one machine": 1.0, "another": 2.0}}
    deep["data"] = {**flat["data"], "pool": "pool and rims and rims"}
    for name, record, dims in (("first", flat, 2), ("second", deep, 3)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(record))
        weights = PromptUNet(dims, WIDTHS).state_dict()
        torch.save({"ema": weights, "dims": dims, "done": record["steps"]}, folder / "checkpoint.pt")
    return tmp_path / "first", tmp_path / "second"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page with the marks of the real one and no trainings yet."""
    page = tmp_path / "model.md"
    page.write_text(ledger.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(ledger, "PAGE", page)
    monkeypatch.setattr(ledger, "RESULTS", tmp_path / "trainings")
    monkeypatch.setattr("card.RESULTS", tmp_path / "trainings")
    return page


def report(box: float) -> dict[str, object]:
    mean = {"box": box, "box+5": 0.8, "click5": 0.7}
    steps = {"box": {"title": "a 3D box", "steps": ["box"]}}
    return {
        "protocols": steps,
        "mean_over_datasets": mean,
        "datasets": {"limbs": {"count": 4, "ellipsoid": 0.5, **mean}},
        "structures": [{"id": "x"}],
        "failures": [],
    }


def test_a_training_gets_its_lines(trainings: tuple[Path, Path], page: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(report(0.611)))
    (tmp_path / "b.json").write_text(json.dumps(report(0.622)))
    ledger.main([str(trainings[1]), "--scores", f"volumes={tmp_path / 'a.json'}"])
    ledger.main([str(trainings[1]), "--scores", f"slices, each prompt={tmp_path / 'b.json'}"])
    ledger.main([str(trainings[0])])
    text = page.read_text()
    assert "| second | first | pool, rims x 2: 128 patches of 64 cells | 40 | 3.0 | one machine; another |" in text
    assert "| 0.611, 0.800, 0.700 | -, -, - | -, -, - |" in text
    assert "| Volumes | limbs (4) |\n| --- | --- |\n| the ellipsoid in the box | 0.500 |" in text
    assert "| second | 0.611, 0.800, 0.700 |" in text
    assert "| second: prompt | slices |\n| --- | --- |\n| a 3D box: box | 0.622 |" in text
    assert "| Slices | a 3D box |\n| --- | --- |\n| second | 0.622 |" in text
    assert text.index("| first | nothing |") < text.index("| second | first |")
    ledger.main([])
    assert page.read_text() == text


def test_the_card_says_where_the_weights_come_from(trainings: tuple[Path, Path], page: Path) -> None:
    flat, deep = (read_record(folder) for folder in trainings)
    ledger.add_entry(ledger.Entry(deep, {"volumes": report(0.6)}))
    card = model_card(flat, deep)
    assert card["lineage"] == {"2D": ["first"], "3D": ["second", "first"]}
    assert card["hours"] == {"one machine": 1.5, "another": 2.0}
    assert card["data"] == [SOURCE]
    assert card["training_steps"] == {"2D": 30, "3D": 40}
    assert card["scores"] == {"volumes": {"box": 0.6, "box+5": 0.8, "click5": 0.7}}
    assert card["synthetic_share"] == 0.3
    flat["data"]["synthetic"] = None  # as unpacked weights have it
    assert model_card(flat, deep)["synthetic_share"] is None


def test_an_exported_model_loads_and_has_its_card(trainings: tuple[Path, Path], page: Path, tmp_path: Path) -> None:
    for options in ([], ["--deep", str(trainings[1])]):
        export.main(["--flat", str(trainings[0]), "--out", str(tmp_path / "model"), *options])
        assert load_bundle(tmp_path / "model").licence == "Apache-2.0"
        card = json.loads((tmp_path / "model" / "model.json").read_text())
        assert card["lineage"]["3D"][-1] == "first"
        assert card["widths"] == WIDTHS


def test_the_package_takes_no_weights_that_nobody_scored(
    trainings: tuple[Path, Path], page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BUNDLED", tmp_path / "package")
    with pytest.raises(SystemExit, match="second has no scores in the ledger yet"):
        export.main(["--flat", str(trainings[0]), "--deep", str(trainings[1])])
    assert not (tmp_path / "package").exists()
    ledger.add_entry(ledger.Entry(read_record(trainings[1]), {"volumes": report(0.6)}))
    export.main(["--flat", str(trainings[0]), "--deep", str(trainings[1])])
    assert (tmp_path / "package" / "model.json").exists()


def test_the_card_in_the_package_says_what_was_measured() -> None:
    card = json.loads((BUNDLED / "model.json").read_text(encoding="utf-8"))
    (entry,) = (e for e in ledger.read_entries() if e.record["name"] == card["lineage"]["3D"][0])
    mean = entry.scores["volumes"]["mean_over_datasets"]
    assert card["scores"]["volumes"]["box+5"] == round(mean["box+5"], 4)
    report = json.loads((ledger.DOCS / "results" / "compact.json").read_text(encoding="utf-8"))
    assert card["failures"] == failures.worst_of(report)
    with Image.open(BUNDLED / "failures.png") as picture:
        assert picture.width > 800
    assert card["calibration"]
    assert card["data"]


def test_the_mean_of_two_trainings(trainings: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = trainings
    other = tmp_path / "third"
    other.mkdir()
    (other / "run.json").write_text(json.dumps({**read_record(second), "name": "third", "start": read_record(second)}))
    torch.save({"ema": PromptUNet(3, WIDTHS).state_dict(), "dims": 3}, other / "checkpoint.pt")
    average.main([str(other), str(second), "--out", str(tmp_path / "mean")])
    states = [averaged(folder).state_dict() for folder in (other, second, tmp_path / "mean")]
    for key, value in states[2].items():
        torch.testing.assert_close(value, (states[0][key] + states[1][key]) / 2)
    record = read_record(tmp_path / "mean")
    assert [r["name"] for r in ledger.lineage(record)] == ["mean", "third", "second", "first"]
    assert (record["mean_of"], record["hours"]) == (["third", "second"], {})
    with pytest.raises(SystemExit, match="same dimensions"):
        average.main([str(second), str(first), "--out", str(tmp_path / "none")])
    with pytest.raises(SystemExit, match="one number for each"):
        average.main([str(other), str(second), "--out", str(tmp_path / "none"), "--weights", "1"])


def test_the_mean_with_a_training_that_was_less_deep(trainings: tuple[Path, Path], tmp_path: Path) -> None:
    _, earlier = trainings
    later = tmp_path / "deeper"
    later.mkdir()
    network = PromptUNet(3, WIDTHS, (0, 1, 0, 0))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    torch.save({"ema": network.state_dict(), "dims": 3}, later / "checkpoint.pt")
    (later / "run.json").write_text((earlier / "run.json").read_text())
    average.main([str(later), str(earlier), "--out", str(tmp_path / "nearly"), "--weights", "0", "1"])
    nearly = averaged(tmp_path / "nearly")
    x = torch.rand(1, CHANNELS, 16, 16, 16)
    torch.testing.assert_close(nearly(x), averaged(earlier)(x))
    average.main([str(later), str(earlier), "--out", str(tmp_path / "mean"), "--weights", "3", "1"])
    states = [averaged(folder).state_dict() for folder in (later, earlier, tmp_path / "mean")]
    for key, value in states[1].items():
        torch.testing.assert_close(states[2][key], 0.75 * states[0][key] + 0.25 * value)
    added = "deeper.1.0.second.weight"
    torch.testing.assert_close(states[2][added], 0.75 * states[0][added])


@pytest.mark.parametrize("recorded", [True, False])
def test_an_exported_model_becomes_trainings_again(
    trainings: tuple[Path, Path], page: Path, tmp_path: Path, recorded: bool
) -> None:
    if recorded:
        ledger.add_entry(ledger.Entry(read_record(trainings[1]), {}))
    export.main(["--flat", str(trainings[0]), "--deep", str(trainings[1]), "--out", str(tmp_path / "model")])
    runs = tmp_path / "runs"
    unpack.main(["--model", str(tmp_path / "model"), "--out", str(runs)])
    again = ["--flat", str(runs / "first"), "--deep", str(runs / "second"), "--out", str(tmp_path / "again")]
    export.main(again)
    assert load_bundle(tmp_path / "again").sha256 == load_bundle(tmp_path / "model").sha256
    first, second = (json.loads((tmp_path / name / "model.json").read_text()) for name in ("model", "again"))
    assert first == second
    with pytest.raises(SystemExit, match="is there already"):
        unpack.main(["--model", str(tmp_path / "model"), "--out", str(runs)])


def test_the_committed_page_is_what_the_ledger_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed = ledger.PAGE.read_text(encoding="utf-8")
    (tmp_path / "model.md").write_text(committed, encoding="utf-8")
    monkeypatch.setattr(ledger, "PAGE", tmp_path / "model.md")
    ledger.write_tables()
    assert (tmp_path / "model.md").read_text(encoding="utf-8") == committed
