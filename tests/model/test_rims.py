"""Which patches are collected for what their object leaves in the middle of its box."""

import json
from pathlib import Path

import numpy as np
import pytest
import rims
from batches import Pool

SIDE = 32
Z, Y, X = np.indices((SIDE,) * 3)
RADIUS = np.hypot(np.hypot(Z - 16, Y - 24), X - 16)
CRESCENT = (RADIUS > 12) & (RADIUS < 14.5) & (Y < 22)
BALL = np.hypot(np.hypot(Z - 16, Y - 16), X - 16) < 8


def picture(bright: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.where(bright, 200, rng.integers(100, 130, (SIDE,) * 3)).astype(np.uint8)


def test_a_crescent_that_shows_is_a_rim_and_a_ball_is_none() -> None:
    assert rims.is_rim(picture(CRESCENT), CRESCENT)
    assert not rims.is_rim(picture(BALL), BALL)


def test_what_does_not_show_or_goes_on_outside_its_patch_is_none() -> None:
    assert not rims.is_rim(picture(BALL & False), CRESCENT)
    at_border = np.roll(CRESCENT, -10, axis=1)
    assert at_border[:, 0].any()
    assert not rims.is_rim(picture(at_border), at_border)


def test_rims_are_a_pool_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every = tmp_path / "every"
    every.mkdir()
    masks = [CRESCENT, BALL, BALL]
    images, packed = np.stack([picture(mask) for mask in masks]), np.stack([np.packbits(mask) for mask in masks])
    np.savez(every / "000-00000.npz", images=images, masks=packed, boxes=np.zeros((3, 2, 3), np.float32))
    source = {"source": "drawn", "licence": "CC0-1.0", "modality": "none", "images": 3}
    (every / "pool.json").write_text(json.dumps({"cells": SIDE, "patches": 3, "sources": [source]}))
    rims.main([str(every), "--out", str(tmp_path / "rims")])
    assert "1 of 3" in capsys.readouterr().out
    image, mask, _ = Pool(tmp_path / "rims").patch(0)
    assert (image == picture(CRESCENT)).all()
    assert (mask == CRESCENT).all()
    about = json.loads((tmp_path / "rims" / "pool.json").read_text())
    assert (about["patches"], about["sources"]) == (1, [source])
    with pytest.raises(SystemExit, match="there already"):
        rims.main([str(every), "--out", str(tmp_path / "rims")])
