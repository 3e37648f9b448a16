"""Train the bundled network, in 2D on slices of the patches or in 3D on whole patches.

    python benchmarks/model/train.py benchmarks/model/configs/flat.json --out runs/flat
    python benchmarks/model/train.py benchmarks/model/configs/deep.json --out runs/deep --start runs/flat

A call to a folder with a checkpoint resumes it: every draw depends on the seed and the step alone and the checkpoint
holds everything else, so a killed training goes on as if it had never stopped. Several processes share each batch,
which also spreads the work of the simulated users over the cores beside a GPU (without its two dashes torchrun takes
--start for an option of its own):

    torchrun --nproc-per-node 2 -- benchmarks/model/train.py benchmarks/model/configs/deep.json --out runs/deep

On a processor with bfloat16 (AVX512_BF16, AMX) one such process a core and --bf16 train twice as fast as one process.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from batches import Batch, Pool, batch_of
from config import Config
from group_norm import quicken
from numpy.random import default_rng
from record import averaged, machine_name, open_record, save_record
from torch import Tensor, distributed, nn
from torch.nn import functional
from users import SimulatedUser

from napari_medsam.engine.io import write_aside
from napari_medsam.engine.segmenters.compact.channels import PatchPrompts, build_channels
from napari_medsam.engine.segmenters.compact.network import PromptUNet, inflate

LOG_EVERY = 50  # steps


@dataclass(frozen=True)
class Team:
    """The processes that train together, as ``torchrun`` starts them; one alone otherwise."""

    rank: int
    size: int

    @classmethod
    def join(cls) -> "Team":
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls(0, 1)
        # gloo, not nccl: the gradients are a few megabytes, and several processes may share one GPU.
        distributed.init_process_group("gloo")
        return cls(distributed.get_rank(), distributed.get_world_size())

    def device(self, wanted: str) -> torch.device:
        """The device of this process; ``auto`` is a GPU where there is one."""
        if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
            return torch.device("cpu")
        if not torch.cuda.is_available():
            raise SystemExit("There is no CUDA device here; train with --device cpu.")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())

    def total(self, values: Tensor) -> Tensor:
        """Sum over all processes, on the CPU and the same to the bit on each."""
        values = values.cpu()
        if self.size > 1:
            distributed.all_reduce(values)
        return values


def soft_dice(logits: Tensor, truth: Tensor) -> Tensor:
    """Dice of each sample, ``(n,)``."""
    p = torch.sigmoid(logits)
    axes = (1, 2, 3, 4)
    return (2 * (p * truth).sum(axes) + 1) / (p.sum(axes) + truth.sum(axes) + 1)


def learn(
    net: nn.Module, batch: Batch, config: Config, rounds: int, device: torch.device, half: bool = False
) -> list[float]:
    """Add up the gradients of all samples over some rounds of prompts; the sum of their Dice after each round.

    With ``half`` the network reckons in bfloat16; weights, gradients and loss stay float32.
    """
    image, truth = batch.image.to(device), batch.truth.to(device)
    user = SimulatedUser(batch.rngs, batch.truth, batch.boxes, batch.field, config.users)
    scores = []
    for k in range(rounds):
        prompts = PatchPrompts.stacked([user.prompts], device)
        channels = build_channels(image, prompts).contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = net(channels).float()
        entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((1, 2, 3, 4))
        loss = (entropy + 1 - soft_dice(logits, truth)).sum()
        (loss / rounds).backward()
        scores.append(float(soft_dice(50 * logits.detach(), truth).sum()))
        if k + 1 < rounds:
            user.look(logits)
    return scores


def rounds_at(config: Config, done: int) -> int:
    """Prompts in a row of the step after ``done``, the same in all processes."""
    rng = default_rng([config.seed, done])
    rounds = int(rng.integers(1, config.rounds + 1))
    return 1 if rng.random() < config.alone else rounds


def share(net: nn.Module, team: Team, count: int, scores: Sequence[float]) -> list[float]:
    """Turn each process's sums over ``count`` samples into means over the whole batch, gradients and scores alike."""
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    sums = torch.tensor([count, *scores], device=gradients[0].device)
    flat = team.total(torch.cat([*(g.flatten() for g in gradients), sums]))
    flat /= flat[-len(sums)].clone()
    for gradient, part in zip(gradients, flat.split([*(g.numel() for g in gradients), len(sums)]), strict=False):
        gradient.copy_(part.view_as(gradient))
    means: list[float] = flat[-len(scores) :].tolist()
    return means


def first_network(config: Config, start: Path | None) -> PromptUNet:
    """New weights, or those of another training; 2D ones are inflated for a 3D training."""
    torch.manual_seed(config.seed)
    network = PromptUNet(config.dims, config.widths, config.deeper)
    if start is not None:
        earlier = averaged(start)
        earlier = earlier if earlier.dims == config.dims else inflate(earlier)
        missing, unexpected = network.load_state_dict(earlier.state_dict(), strict=False)
        if unexpected or not all(key.startswith("deeper.") for key in missing):
            raise SystemExit(f"{start} holds a network of other layers than the config asks for.")
    return network


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="training folder to start from; a 2D one is inflated")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if there is one")
    parser.add_argument("--save-every", type=float, default=120, metavar="S", help="seconds between checkpoints")
    parser.add_argument(
        "--bf16", action="store_true", help="reckon in bfloat16, where the machine can and is faster so"
    )
    args = parser.parse_args(argv)
    config = Config.read(args.config)
    team = Team.join()
    try:
        train(config, team, team.device(args.device), args.out, args.start, args.save_every, args.bf16)
    finally:
        if team.size > 1:
            distributed.destroy_process_group()


def train(
    config: Config,
    team: Team,
    device: torch.device,
    out: Path,
    start: Path | None,
    save_every: float,
    half: bool = False,
) -> None:
    """Train until the last step; checkpoints, log and record are written by the first process."""
    if team.size > config.batch:
        raise SystemExit(f"A batch of {config.batch} cannot be shared by {team.size} processes.")
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    machine = machine_name(device, team.size)
    record = open_record(out, config, start, machine)
    state = torch.load(checkpoint, map_location="cpu", weights_only=True) if checkpoint.exists() else None
    net = PromptUNet(config.dims, config.widths, config.deeper) if state else first_network(config, start)
    if state:
        net.load_state_dict(state["net"])
    net = net.to(device, memory_format=torch.channels_last_3d)
    if device.type == "cpu":
        quicken(net)
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.rate, weight_decay=config.weight_decay)
    average = {key: value.clone() for key, value in net.state_dict().items()}
    first, running = 0, [0.0] * config.rounds
    if state:
        optimiser.load_state_dict(state["optimiser"])
        average = {key: value.to(device) for key, value in state["ema"].items()}
        first, running = state["done"], state.get("dice", running)
    if first >= config.steps:
        save_record(out, {**record, "steps": first})
        return
    pool = Pool(*map(Path, config.pool))
    if pool.is_flat and config.dims == 3:
        raise SystemExit(f"{', '.join(config.pool)} holds slices; a 3D training needs patches.")
    hours = record["hours"][machine]
    saved = started = time.monotonic()
    for done in range(first, config.steps):
        for group in optimiser.param_groups:
            group["lr"] = config.rate_at(done)
        optimiser.zero_grad()
        rounds = rounds_at(config, done)
        batch = batch_of(pool, config, done, range(team.rank, config.batch, team.size))
        scores = share(net, team, len(batch.rngs), learn(net, batch, config, rounds, device, half))
        for k, score in enumerate(scores):
            running[k] = 0.98 * running[k] + 0.02 * score if running[k] else score
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        keep = min(config.ema, (done + 1) / (done + 10))
        for key, value in net.state_dict().items():
            average[key].lerp_(value, 1 - keep)
        if team.rank:
            continue
        now = time.monotonic()
        if (done + 1) % LOG_EVERY == 0:
            line = {"step": done + 1, "seconds": round(now - started), "dice": [round(r, 4) for r in running]}
            with (out / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        if now - saved >= save_every or done + 1 == config.steps:
            state = {
                "net": net.state_dict(),
                "ema": average,
                "optimiser": optimiser.state_dict(),
                "done": done + 1,
                "dims": config.dims,
                "dice": running,
            }
            with write_aside(checkpoint) as aside:
                torch.save(state, aside)
            record["hours"][machine] = hours + (now - started) / 3600
            save_record(out, {**record, "steps": done + 1})
            saved = now


if __name__ == "__main__":
    main()
