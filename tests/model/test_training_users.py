"""Simulated users: what they mark."""

import numpy as np
import torch
from users import SimulatedUser, UserMix


def test_users_without_a_box_may_mark_inside_and_outside_at_once() -> None:
    side = 32
    _, y, x = np.indices((1, side, side))
    disc = (y - 14) ** 2 + (x - 18) ** 2 < 8**2
    truth = torch.from_numpy(disc[None, None].repeat(6, axis=0)).float()
    boxes = np.full((6, 2, 3), np.nan)

    def marks(outside: float) -> tuple[torch.Tensor, torch.Tensor]:
        rngs = np.random.default_rng(0).spawn(6)
        mix = UserMix(scribble=0.5, lasso=0.0, first_mask=0.0, outside=outside)
        prompts = SimulatedUser(rngs, truth, boxes, torch.ones_like(truth), mix).prompts
        return prompts.positive, prompts.negative

    positive, negative = marks(1.0)
    assert ((positive == 1) & (truth > 0)).flatten(1).any(dim=1).all()
    assert ((negative == 1) & (truth == 0)).flatten(1).any(dim=1).all()
    assert not ((negative == 1) & (truth > 0)).any()
    assert not marks(0.0)[1].any()
