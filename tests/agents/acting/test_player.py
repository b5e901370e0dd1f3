"""A trained policy as a player."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces

from agents.acting.player import PolicyPlayer
from tests.policies import perturbed

CPU = torch.device("cpu")


def test_a_greedy_player_takes_the_likeliest_and_another_draws() -> None:
    space = spaces.Discrete(4)
    policy = perturbed(spaces.Box(0, 1, (3,)), space)
    observation, first = np.tile(np.float32([0.2, 0.5, 0.9]), (400, 1)), np.ones(400, bool)
    one = torch.as_tensor(observation[None, :1]), torch.ones(1, 1, dtype=torch.bool)
    with torch.no_grad():
        each = [
            policy.evaluate_actions(one[0], torch.tensor([[a]]), policy.initial_memory(1), one[1]).log_prob
            for a in range(4)
        ]
    chances = torch.cat(each)[:, 0].exp().numpy()
    greedy = PolicyPlayer(policy, device=CPU, greedy=True, seed=0).act(observation, first)
    assert set(greedy.tolist()) == {int(chances.argmax())}
    drawn, again, other = (
        PolicyPlayer(policy, device=CPU, greedy=False, seed=seed).act(observation, first) for seed in (1, 1, 2)
    )
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 400, chances, atol=0.1)
    assert (drawn == again).all()
    assert (drawn != other).any()
