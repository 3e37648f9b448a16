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


def test_users_deny_what_lies_in_the_box_instead_of_the_object() -> None:
    side, count = 32, 24
    distance = np.linalg.norm(np.indices((side,) * 3).T - 16, axis=-1).T
    shell, ball = (distance < 12) & (distance > 9), distance < 12
    boxes = np.tile(np.array([[4.0] * 3, [28.0] * 3]), (count, 1, 1))

    def user(truth: np.ndarray) -> SimulatedUser:
        rngs = np.random.default_rng(0).spawn(count)
        mix = UserMix(drop_box=0.0, scribble=0.0, lasso=0.0, first_mask=0.0, denied=1.0)
        many = torch.from_numpy(truth[None, None].repeat(count, axis=0)).float()
        return SimulatedUser(rngs, many, boxes, torch.ones_like(many), mix)

    denied = user(shell).prompts
    middle = denied.negative[:, 0, 14:19, 14:19, 14:19].flatten(1)
    assert (middle == 1).any(dim=1).all()
    told = denied.previous.flatten(1).any(dim=1)
    assert 3 < told.sum() < count - 3  # some are shown what was answered, some are not
    core = denied.negative.flatten(1).sum(dim=1) > 300
    assert 3 < core.sum() < count - 3  # of some more than the click is known to be outside
    assert not (told & core).any()
    assert not user(ball).prompts.negative.any()  # nothing else is in its middle

    looked = user(shell)
    looked.negative.zero_()
    looked.look(torch.from_numpy(np.where(ball, 4.0, -4.0)[None, None].repeat(count, axis=0)))
    kept = looked.previous.flatten(1).any(dim=1)
    assert 3 < kept.sum() < count - 3  # a denied answer is given up by some
