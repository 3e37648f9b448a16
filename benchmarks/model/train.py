"""Train the bundled network, in 2D on slices of the patches or in 3D on whole patches.

    python benchmarks/model/train.py benchmarks/model/configs/flat.json --out runs/flat
    python benchmarks/model/train.py benchmarks/model/configs/deep.json --out runs/deep --start runs/flat

Every draw depends on the seed and the step alone, and the checkpoint holds everything else, so a killed training goes
on from its last checkpoint as if it had never stopped. One call to a folder with a checkpoint resumes it.
"""

import argparse
import json
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from augment import degrade, recolour
from torch import Tensor, nn
from torch.nn import functional
from users import SimulatedUser, UserMix

from napari_medsam.engine.segmenters.compact.channels import build_channels
from napari_medsam.engine.segmenters.compact.network import WIDTHS, PromptUNet, inflate


@dataclass
class Config:
    """One training; every key of the JSON file is one of these."""

    dims: int = 3
    widths: tuple[int, ...] = WIDTHS
    steps: int = 1000
    batch: int = 4
    slices: int = 8  # 2D: slices drawn from each patch
    cells: int = 64  # side the patches are shrunk to: early training on fewer cells costs much less
    rounds: int = 3  # prompts in a row, at most
    rate: float = 1e-3
    warm_up: int = 50
    decay_from: float = 0.6  # share of the steps after which the rate falls linearly to zero
    weight_decay: float = 1e-3
    ema: float = 0.995
    seed: int = 0
    pool: str = "runs/pool"
    users: UserMix = field(default_factory=UserMix)

    @classmethod
    def read(cls, path: Path) -> "Config":
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise SystemExit(f"{path}: no such setting: {', '.join(sorted(unknown))}")
        if "users" in values:
            values["users"] = UserMix(**values["users"])
        return cls(**values)


class Pool:
    """Patches on disk, held in memory as they are stored (one byte a voxel)."""

    def __init__(self, folder: Path) -> None:
        shards = [np.load(path) for path in sorted(folder.glob("*-*.npz")) if ".tmp" not in path.name]
        if not shards:
            raise SystemExit(f"{folder} holds no patches; make some with pool.py")
        self.images, self.masks, self.boxes = (
            np.concatenate([shard[key] for shard in shards]) for key in ("images", "masks", "boxes")
        )

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One patch in a random orientation: image uint8, mask bool, box ``(2, 3)``."""
        i = rng.integers(len(self.images))
        image = self.images[i]
        mask = np.unpackbits(self.masks[i], count=image.size).reshape(image.shape).astype(bool)
        order = rng.permutation(3)
        flips = rng.random(3) < 0.5
        box = self.boxes[i][:, order]
        sides = np.array(image.shape)[order]
        box = np.where(flips, sides - box[::-1], box)
        image, mask = (np.flip(a.transpose(order), np.flatnonzero(flips)) for a in (image, mask))
        return image, mask, box


def batch_of(pool: Pool, config: Config, rng: np.random.Generator) -> tuple[Tensor, Tensor, np.ndarray]:
    """Images and masks ``(n, 1, z, y, x)`` float32 and boxes ``(n, 2, 3)``."""
    images, masks, boxes = [], [], []
    for _ in range(config.batch):
        image, mask, box = pool.draw(rng)
        picture = recolour(rng, image)
        if config.dims == 3:
            images.append(picture)
            masks.append(mask)
            boxes.append(box)
            continue
        levels = np.flatnonzero(mask.sum(axis=(1, 2)) > 12)
        for z in rng.choice(levels, min(config.slices, len(levels)), replace=False) if len(levels) else []:
            images.append(picture[z : z + 1])
            masks.append(mask[z : z + 1])
            boxes.append(_slice_box(rng, mask[z], box))
    image, truth, edges = (
        torch.from_numpy(np.stack(images))[:, None],
        torch.from_numpy(np.stack(masks)).float()[:, None],
        np.stack(boxes),
    )
    if config.dims == 3 and config.cells != image.shape[-1]:
        edges = edges * (config.cells / image.shape[-1])
        size = (config.cells,) * 3
        image, truth = (functional.interpolate(part, size=size, mode="area") for part in (image, truth))
        truth = (truth > 0.5).float()
    return degrade(rng, image), truth, edges


def _slice_box(rng: np.random.Generator, mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The box in one slice: half the time the 3D box, else one drawn round the slice's own outline."""
    if np.isfinite(box).all() and rng.random() < 0.5:
        return np.array([[0, *box[0, 1:]], [1, *box[1, 1:]]])
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    low = np.array([rows[0], columns[0]], dtype=float)
    high = np.array([rows[-1] + 1, columns[-1] + 1], dtype=float)
    room = rng.choice([0.0, 0.1, 0.4], p=[0.4, 0.4, 0.2]) * (high - low)
    low, high = low - rng.random(2) * room, high + rng.random(2) * room
    return np.array([[0, *low], [1, *high]])


def soft_dice(logits: Tensor, truth: Tensor) -> Tensor:
    p = torch.sigmoid(logits)
    axes = (1, 2, 3, 4)
    return (2 * (p * truth).sum(axes) + 1) / (p.sum(axes) + truth.sum(axes) + 1)


def step(net: nn.Module, pool: Pool, config: Config, rng: np.random.Generator) -> list[float]:
    """Gradients of one batch over several rounds of prompts; the Dice after each."""
    image, truth, boxes = batch_of(pool, config, rng)
    user = SimulatedUser(rng, truth, boxes, config.users)
    rounds = int(rng.integers(1, config.rounds + 1))
    scores = []
    for k in range(rounds):
        channels = build_channels(image, user.prompts).contiguous(memory_format=torch.channels_last_3d)
        logits = net(channels)
        dice = soft_dice(logits, truth)
        loss = functional.binary_cross_entropy_with_logits(logits, truth) + 1 - dice.mean()
        (loss / rounds).backward()
        scores.append(float(soft_dice(50 * logits.detach(), truth).mean()))
        if k + 1 < rounds:
            user.look(logits)
    return scores


def rate_at(config: Config, done: int) -> float:
    decay = max(1.0, config.steps * (1 - config.decay_from))
    return config.rate * min(1.0, (done + 1) / config.warm_up, max(0.01, (config.steps - done) / decay))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="training folder to start from; a 2D one is inflated")
    args = parser.parse_args()
    config = Config.read(args.config)
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint = args.out / "checkpoint.pt"
    torch.manual_seed(config.seed)
    net = PromptUNet(config.dims, config.widths)
    if args.start and not checkpoint.exists():
        state = torch.load(args.start / "checkpoint.pt", weights_only=True)
        if state["dims"] == config.dims:
            net.load_state_dict(state["ema"])
        else:
            flat = PromptUNet(2, config.widths)
            flat.load_state_dict(state["ema"])
            net = inflate(flat)
    net = net.to(memory_format=torch.channels_last_3d)
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.rate, weight_decay=config.weight_decay)
    average = {key: value.clone() for key, value in net.state_dict().items()}
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        average, first = state["ema"], state["done"]
    pool = Pool(Path(config.pool))
    running = [0.0] * config.rounds
    saved = started = time.monotonic()
    for done in range(first, config.steps):
        rng = np.random.default_rng([config.seed, done])
        for group in optimiser.param_groups:
            group["lr"] = rate_at(config, done)
        optimiser.zero_grad()
        for k, score in enumerate(step(net, pool, config, rng)):
            running[k] = 0.98 * running[k] + 0.02 * score if running[k] else score
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        keep = min(config.ema, (done + 1) / (done + 10))
        for key, value in net.state_dict().items():
            average[key].lerp_(value, 1 - keep)
        if (done + 1) % 50 == 0:
            line = {
                "step": done + 1,
                "seconds": round(time.monotonic() - started),
                "dice": [round(r, 4) for r in running],
            }
            with (args.out / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        if time.monotonic() - saved > 120 or done + 1 == config.steps:
            state = {
                "net": net.state_dict(),
                "ema": average,
                "optimiser": optimiser.state_dict(),
                "done": done + 1,
                "dims": config.dims,
            }
            torch.save(state, checkpoint.with_suffix(".tmp"))
            checkpoint.with_suffix(".tmp").replace(checkpoint)
            saved = time.monotonic()


if __name__ == "__main__":
    main()
