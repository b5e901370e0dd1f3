"""GAE and the scale of returns against slow loops."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.returns import ReturnScale, gae


def slow_gae(rewards, values, next_values, ends, gamma, lam):
    """The sum of (gamma * lambda)^l delta_{t+l} to the episode's end: equation 16 of arXiv 1506.02438, as it stands."""
    steps, batch = rewards.shape
    advantages = np.zeros((steps, batch))
    for b in range(batch):
        for t in range(steps):
            for l in range(steps - t):  # noqa: E741
                u = t + l
                delta = rewards[u, b] + gamma * next_values[u, b] - values[u, b]
                advantages[t, b] += (gamma * lam) ** l * delta
                if ends[u, b]:
                    break
    return advantages


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**31), st.floats(0, 1))
def test_gae_is_the_papers_sum(steps: int, batch: int, gamma: float, lam: float, seed: int, often: float) -> None:
    random = np.random.default_rng(seed)
    rewards, values, next_values = random.normal(size=(3, steps, batch))
    ends = random.random((steps, batch)) < often
    mine = gae(*(torch.as_tensor(x) for x in (rewards, values, next_values, ends)), gamma, lam)
    np.testing.assert_allclose(mine.numpy(), slow_gae(rewards, values, next_values, ends, gamma, lam), atol=1e-9)


def test_the_first_units_are_those_of_the_first_returns() -> None:
    returns = torch.as_tensor(np.random.default_rng(0).normal(40, 7, (32, 8)))
    scale = ReturnScale()
    scale.learn(returns.mean(), returns.var(correction=0))
    mean, deviation = scale.units()
    np.testing.assert_allclose([mean, deviation], [returns.mean(), returns.std(correction=0)], rtol=1e-5)


def test_units_follow_the_returns() -> None:
    scale = ReturnScale(rate=0.1)
    for _ in range(50):
        scale.learn(torch.tensor(0.0), torch.tensor(0.0))
    for _ in range(100):
        scale.learn(torch.tensor(100.0), torch.tensor(100.0))
    mean, deviation = scale.units()
    assert abs(mean - 100) < 0.1
    assert 9 < deviation < 11
