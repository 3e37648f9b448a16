"""A training that is killed, shared by processes or moved reaches what an undisturbed one reaches."""

import json
import random
import socket
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pool
import pytest
import torch
import train
from processes import start

STEPS = 30


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums of floating-point numbers depend on the threads that share them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small pools of patches and slices."""
    room = tmp_path_factory.mktemp("room")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "SHARD", 8)
        pool.main(["--out", str(room / "pool"), "--count", "16", "--cells", "16"])
        pool.main(["--out", str(room / "flat_pool"), "--count", "16", "--cells", "64", "--dims", "2"])
    return room


def config(room: Path, name: str, **settings: Any) -> Path:
    path = room / f"{name}.json"
    pool_folder = room / ("flat_pool" if settings["dims"] == 2 else "pool")
    common = {"widths": [16, 16, 16, 16], "batch": 4, "rounds": 2, "warm_up": 5, "pool": str(pool_folder)}
    path.write_text(json.dumps({**common, **settings}))
    return path


def state_of(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    return state


def train_in_process(settings: Path, out: Path, **environment: str) -> BaseProcess:
    command = [str(settings), "--out", str(out), "--save-every", "0", "--device", "cpu"]
    return start("train", *command, environment=environment)


def test_a_killed_training_goes_on_as_if_nothing_had_happened(room: Path) -> None:
    settings = config(room, "killed", dims=3, steps=STEPS)
    train.main([str(settings), "--out", str(room / "whole"), "--device", "cpu"])

    process = train_in_process(settings, room / "killed")
    checkpoint = room / "killed" / "checkpoint.pt"
    while not checkpoint.exists() and process.is_alive():
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.3))
    process.kill()
    process.join()
    done = state_of(room / "killed")["done"]
    assert 0 < done < STEPS
    assert json.loads((room / "killed" / "run.json").read_text())["steps"] in (done, done - 1)

    train.main([str(settings), "--out", str(room / "killed"), "--device", "cpu"])
    whole, resumed = state_of(room / "whole"), state_of(room / "killed")
    assert resumed["done"] == whole["done"] == STEPS
    assert resumed["dice"] == whole["dice"]
    for key in ("net", "ema"):
        for name, value in whole[key].items():
            assert torch.equal(value, resumed[key][name]), f"{name} differs after a kill at step {done}"


def test_two_processes_train_as_one_with_the_whole_batch(room: Path) -> None:
    # In 2D: on a few cells of 3D some gradients are nothing but rounding, which the optimiser would blow up.
    settings = config(room, "shared", dims=2, steps=4)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    team = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [train_in_process(settings, room / "two", **team, RANK=str(rank)) for rank in range(2)]
    train.main([str(settings), "--out", str(room / "one"), "--device", "cpu"])
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]

    one, two = state_of(room / "one"), state_of(room / "two")
    assert two["done"] == 4
    assert two["dice"] == pytest.approx(one["dice"], abs=1e-6)
    for name, value in one["net"].items():
        difference = float((two["net"][name] - value).abs().max())
        assert difference <= 1e-6, f"{name} differs by {difference}"


def test_bfloat16_is_near_and_leaves_weights_as_they_are(room: Path) -> None:
    settings = config(room, "rounded", dims=2, steps=2)
    for name, options in (("float32", []), ("bfloat16", ["--bf16"])):
        train.main([str(settings), "--out", str(room / name), "--device", "cpu", *options])
    whole, half = state_of(room / "float32"), state_of(room / "bfloat16")
    assert {value.dtype for value in half["net"].values()} == {torch.float32}
    assert half["dice"] == pytest.approx(whole["dice"], abs=0.02)
    assert any(not torch.equal(value, whole["net"][name]) for name, value in half["net"].items())


def test_the_work_is_in_the_record_whatever_happened(room: Path) -> None:
    flat = config(room, "flat", dims=2, steps=3)
    deep = config(room, "deep", dims=3, steps=3)
    train.main([str(flat), "--out", str(room / "flat"), "--device", "cpu"])
    train.main([str(deep), "--out", str(room / "deep"), "--start", str(room / "flat"), "--device", "cpu"])
    longer = config(room, "deep", dims=3, steps=5)
    train.main([str(longer), "--out", str(room / "deep"), "--device", "cpu"])

    record = json.loads((room / "deep" / "run.json").read_text())
    first = json.loads((room / "flat" / "run.json").read_text())
    assert record["steps"] == 5
    assert record["start"] == first
    assert first["data"]["pool"] == "flat_pool"
    assert first["data"]["cells"] == 64
    (hours,) = record["hours"].values()
    assert 0 < hours < 1


def test_several_pools_are_drawn_from_and_recorded(room: Path) -> None:
    pool.main(["--out", str(room / "more"), "--count", "64", "--cells", "16", "--seed", "1"])
    settings = config(room, "several", dims=3, steps=1, pool=[str(room / "pool"), str(room / "more")])
    train.main([str(settings), "--out", str(room / "several"), "--device", "cpu"])
    data = json.loads((room / "several" / "run.json").read_text())["data"]
    assert data["pool"] == "pool and more"
    assert data["patches"] == 16 + 64
    assert [part["pool_seed"] for part in data["pools"]] == [0, 1]


def test_a_training_of_older_scripts_gets_its_record_from_its_log(room: Path) -> None:
    settings = config(room, "older", dims=2, steps=2)
    out = room / "older"
    train.main([str(settings), "--out", str(out), "--device", "cpu"])
    before = state_of(out)
    torch.save({key: value for key, value in before.items() if key != "dice"}, out / "checkpoint.pt")
    (out / "run.json").unlink()
    lines = [{"step": 50, "seconds": 600}, {"step": 100, "seconds": 1200}, {"step": 120, "seconds": 2400}]
    lines.append({"step": 150, "seconds": 1800})  # started again
    (out / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    train.main([str(settings), "--out", str(out), "--device", "cpu"])
    record = json.loads((out / "run.json").read_text())
    assert record["steps"] == 2
    assert sum(record["hours"].values()) == pytest.approx((2400 + 1800) / 3600)
    for name, value in before["ema"].items():
        assert torch.equal(value, state_of(out)["ema"][name])


def test_settings_that_fit_nothing_are_refused(room: Path) -> None:
    slices_in_3d = config(room, "slices", dims=3, steps=1, pool=str(room / "flat_pool"))
    with pytest.raises(SystemExit, match="holds slices"):
        train.main([str(slices_in_3d), "--out", str(room / "refused"), "--device", "cpu"])
    with pytest.raises(SystemExit, match="no such setting: batches"):
        train.main([str(config(room, "unknown", dims=3, batches=3)), "--out", str(room / "refused")])
    with pytest.raises(SystemExit, match="holds no patches"):
        train.main([str(config(room, "empty", dims=3, pool=str(room))), "--out", str(room / "refused")])
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit, match="no CUDA device"):
            train.main([str(slices_in_3d), "--out", str(room / "refused"), "--device", "cuda"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_training_moves_between_a_gpu_and_the_cpu(room: Path) -> None:
    out = room / "moved"
    train.main([str(config(room, "moved", dims=3, steps=2)), "--out", str(out), "--device", "cuda"])
    train.main([str(config(room, "moved", dims=3, steps=4)), "--out", str(out), "--device", "cpu"])
    assert state_of(out)["done"] == 4
    assert len(json.loads((out / "run.json").read_text())["hours"]) == 2
