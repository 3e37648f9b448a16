"""What a training folder holds beside the weights: ``run.json``, which says where they come from.

The record of the training it started from lies inside it under ``start``, so one file tells the whole lineage.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from config import Config

from napari_medsam.engine.io import write_aside
from napari_medsam.engine.segmenters.compact.network import PromptUNet, deeper_of

Record = dict[str, Any]


def averaged(folder: Path) -> PromptUNet:
    """The averaged network of a training folder."""
    state = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    widths = [state["ema"][f"down.{k}.first.weight"].shape[0] for k in range(4)]
    network = PromptUNet(state["dims"], widths, deeper_of(state["ema"]))
    network.load_state_dict(state["ema"])
    return network


def save_averaged(folder: Path, network: PromptUNet, record: Record) -> None:
    """A training folder that holds nothing but an averaged network and its record: others can start from it.

    Raises
    ------
    SystemExit
        If the folder is there already.
    """
    if folder.exists():
        raise SystemExit(f"{folder} is there already.")
    folder.mkdir(parents=True)
    torch.save({"ema": network.state_dict(), "dims": network.dims}, folder / "checkpoint.pt")
    save_record(folder, record)


def read_record(folder: Path) -> Record:
    """The record of a training folder.

    Raises
    ------
    SystemExit
        If there is none.
    """
    path = folder / "run.json"
    if not path.exists():
        raise SystemExit(f"{path} is missing: call train.py once more as {folder.name} was trained, which writes it.")
    record: Record = json.loads(path.read_text(encoding="utf-8"))
    return record


def open_record(folder: Path, config: Config, start: Path | None, machine: str) -> Record:
    """The record of a training that begins, or goes on, in ``folder``."""
    old = read_record(folder) if (folder / "run.json").exists() else {"hours": {machine: _logged_hours(folder)}}
    origin = old.get("start")
    if start:
        origin = read_record(start) if (start / "run.json").exists() else {"name": start.resolve().name}
    return {
        "name": folder.resolve().name,
        "config": asdict(config),
        "seed": config.seed,
        "start": origin,
        "data": _pools(config.pool),
        "steps": old.get("steps", 0),
        "hours": {machine: 0.0, **old["hours"]},
    }


def save_record(folder: Path, record: Record) -> None:
    """Write ``run.json``."""
    with write_aside(folder / "run.json") as aside:
        aside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def machine_name(device: torch.device, processes: int) -> str:
    """Graphics cards in use, or the processor with its cores."""
    if device.type == "cuda":
        return f"{min(processes, torch.cuda.device_count())} x {torch.cuda.get_device_name(device)}"
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line[:10] == "model name"]
        name = found[0] if found else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{name}, {cores} cores"


def _pools(folders: Sequence[str]) -> dict[str, Any]:
    """What ``pool.json`` says of one pool; of several each by itself, and their sources together."""
    each = []
    for folder in map(Path, folders):
        about = folder / "pool.json"
        each.append({"pool": folder.name, **(json.loads(about.read_text(encoding="utf-8")) if about.exists() else {})})
    if len(each) == 1:
        return each[0]
    sources = joined_sources(each)
    for pool in each:
        pool.pop("sources", None)
    return {
        "pool": " and ".join(pool["pool"] for pool in each),
        "patches": sum(pool.get("patches", 0) for pool in each),
        "cells": max(pool.get("cells", 0) for pool in each),
        "pools": each,
        "sources": sources,
    }


def joined_sources(pools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The sources of several pools, each once."""
    return list({(s["source"], s["licence"]): s for pool in pools for s in pool.get("sources", [])}.values())


def _logged_hours(folder: Path) -> float:
    """Hours in the log of a training that kept no record; each start counts its seconds from zero."""
    log = folder / "log.jsonl"
    if not log.exists():
        return 0.0
    seconds = [json.loads(line)["seconds"] for line in log.read_text(encoding="utf-8").splitlines()]
    ends = [a for a, b in zip(seconds, [*seconds[1:], -1], strict=True) if b < a]
    return sum(ends) / 3600
