"""Pools of training patches: the same whatever happened while they were made, and never made from evaluation data."""

import hashlib
import json
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pool
import pytest
from batches import Pool, fill_of
from index import image_paths, read_index
from processes import start
from real import Case, labelled_target
from synthetic import grey_levels

from napari_medsam.engine.evaluation import load_cases
from napari_medsam.engine.io import open_volume

TRAIN = Path(__file__).resolve().parents[3] / "shared" / "train"


@pytest.fixture(scope="module")
def train_data() -> Path:
    if not TRAIN.is_dir():
        pytest.skip(f"the data to train on are not here: no folder {TRAIN}")
    return TRAIN


def shards(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*-*.npz")}


def test_a_killed_pool_is_completed_to_the_same_patches(tmp_path: Path) -> None:
    whole, killed = (
        ["--out", str(tmp_path / name), "--count", "128", "--dims", "2", "--cells", "32"]
        for name in ("whole", "killed")
    )
    pool.main(whole)

    process = start("pool", *killed)
    while not (tmp_path / "killed" / "000-00000.npz").exists() and process.is_alive():
        time.sleep(0.01)
    process.kill()
    process.join()
    kept = shards(tmp_path / "killed")
    assert kept
    assert not (tmp_path / "killed" / "pool.json").exists()

    pool.main(killed)
    assert shards(tmp_path / "killed") == shards(tmp_path / "whole")
    assert kept.items() <= shards(tmp_path / "whole").items()


def test_a_pool_says_what_it_was_made_from_without_being_made_again(train_data: Path, tmp_path: Path) -> None:
    options = ["--out", str(tmp_path), "--count", "64", "--dims", "2", "--cells", "32"]
    pool.main(options)
    before = shards(tmp_path)
    (tmp_path / "pool.json").unlink()
    pool.main([*options, "--data", str(train_data)])
    assert shards(tmp_path) == before
    about = json.loads((tmp_path / "pool.json").read_text())
    assert about["patches"] == 64
    assert {"theibsi/data_sets", "tmkand/usgra-seg"} <= {source["source"] for source in about["sources"]}
    assert all(source["licence"] for source in about["sources"])


def test_a_hollow_pool_holds_hollow_objects_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SHARD", 8)
    options = ["--out", str(tmp_path), "--count", "24", "--cells", "32", "--seed", "1", "--fill-below", "0.2"]
    pool.main(options)
    hollow = Pool(tmp_path)
    # Cutting and resampling change a share a little, and a patch may hold a part of its object.
    fills = [fill_of(hollow.draw(np.random.default_rng(k))[1]) for k in range(24)]
    assert np.median(fills) < 0.2
    assert json.loads((tmp_path / "pool.json").read_text())["fill_below"] == 0.2


def test_a_label_map_without_an_image_is_painted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    z, y, x = np.indices((20, 60, 50))
    labels = np.zeros(z.shape, np.int16)
    labels[(z - 10) ** 2 * 4 + (y - 30) ** 2 + (x - 25) ** 2 < 18**2] = 3
    labels[(z - 10) ** 2 * 4 + (y - 30) ** 2 + (x - 25) ** 2 < 10**2] = 9
    data = tmp_path / "data"
    data.mkdir()
    nib.save(nib.Nifti1Image(labels.T, np.diag([1, 1, 2, 1])), data / "ball.nii.gz")
    entry = {"id": "ball", "source": "here", "licence": "CC0", "modality": "label map", "dim": 3}
    index = [entry | {"image": None, "label": "ball.nii.gz"}]
    (data / "INDEX.json").write_text(json.dumps(index))
    monkeypatch.setattr(pool, "SHARD", 8)
    options = ["--suggested", "0", "--synthetic", "0", "--cells", "32", "--count", "8"]
    pool.main([*options, "--data", str(data), "--out", str(tmp_path / "pool")])
    painted = Pool(tmp_path / "pool")
    patches = [painted.draw(np.random.default_rng(k)) for k in range(8)]
    # Structure and surroundings are told apart by their grey levels, whichever those are.
    contrasts = [abs(float(image[mask].mean()) - float(image[~mask].mean())) for image, mask, _ in patches]
    assert np.median(contrasts) > 10
    assert np.std([float(image[mask].mean()) for image, mask, _ in patches]) > 10


def test_structures_of_a_few_tissues_share_their_grey_levels() -> None:
    def alike(tissues: float) -> float:
        """How many of 40 structures lie within a tenth of the range, at most; the mean of many draws."""
        draws = [grey_levels(np.random.default_rng(k), 40, tissues) for k in range(50)]
        return float(np.mean([np.max((np.abs(means[:, None] - means) < 0.1).sum(axis=0)) for means in draws]))

    assert alike(0.0) < 10
    assert alike(1.0) > 15


def test_nothing_is_learnt_from_what_is_evaluated(shared_data: Path, train_data: Path) -> None:
    def content(path: Path) -> str:
        data = open_volume(path, frame=0).data
        return hashlib.sha256(f"{data.shape}".encode() + data.astype("f4").tobytes()).hexdigest()

    learnt = {content(train_data / path): path for entry in read_index(train_data) for path in image_paths(entry)}
    assert len(learnt) > 400
    evaluated = [case.image for case in load_cases(shared_data / "cases.json")]
    evaluated += sorted((shared_data / "slices2d").rglob("images/*.png"))
    evaluated += sorted((shared_data / "hippocampus").rglob("images*/*.nii.gz"))  # kept for fine-tuning
    assert len(evaluated) > 200
    shared = {str(path): learnt[digest] for path in evaluated if (digest := content(path)) in learnt}
    assert not shared


def test_the_dataset_kept_for_fine_tuning_is_not_in_the_index(train_data: Path) -> None:
    assert "hippocamp" not in (train_data / "INDEX.json").read_text(encoding="utf-8").lower()


def test_whole_targets_are_one_label_and_all_of_it() -> None:
    labels = np.zeros((12, 40, 40), np.int32)
    labels[2:5, 2:9, 2:9] = labels[7:10, 20:29, 5:30] = 1
    labels[2:11, 30:38, 20:38] = 2
    case = Case("two labels", labels.astype(np.float16), labels, (1, 1, 1), 1)
    rng = np.random.default_rng(0)
    targets = [labelled_target(rng, case, whole=1) for _ in range(20)]
    found = {target.count for target in targets if target is not None}
    assert found == {np.count_nonzero(labels == value) for value in (1, 2)}
    assert len({target.count for _ in range(60) if (target := labelled_target(rng, case)) is not None}) > 2
