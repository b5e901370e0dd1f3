"""Learning, one ability at a time, on environments with a known answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agents.config import Config, PPOConfig
from agents.local import Training
from agents.player import PolicyPlayer
from envs import registry
from perceiver_policy.config import PolicyConfig
from tests.agents.test_resume import Recorder

TINY = PolicyConfig(token_width=16, latents=2, latent_width=16, heads=2, position_bands=2)


def learn(probe: str, steps: int, *, memory: str = "none", episodes: int = 200, **options: float) -> float:
    """The mean return of greedy play after training."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ppo = {"unroll": 16, "minibatch": 128, "epochs": 4, "learning_rate": 3e-3, "gamma": 0.95, **options}
    config = Config(
        env=f"tests.agents.probes:{probe}",
        num_envs=32,
        total_steps=steps,
        policy=TINY.model_copy(update={"memory": memory}),
        ppo=PPOConfig.model_validate(ppo),
    )
    env = registry.make(config.env, 32)
    training = Training(config, env, Path("unused"), Recorder(), torch.device("cpu"))  # type: ignore[arg-type]
    while training.learner.steps < steps:
        training.step()
    env = registry.make(config.env, 20)
    player = PolicyPlayer(training.policy, device=torch.device("cpu"), greedy=True, seed=0)
    observation, _ = env.reset(seed=99)
    first, totals = np.ones(20, bool), []
    while len(totals) < episodes:
        observation, reward, terminated, truncated, _ = env.step(player.act(observation, first))
        first = terminated | truncated
        totals += reward[first].tolist()
    return float(np.mean(totals))


def test_bandit() -> None:
    assert learn("Bandit", 4_000) == 1


def test_two_step_credit() -> None:
    assert learn("TwoStepCredit", 4_000) == 1


@pytest.mark.parametrize(("memory", "low", "high"), [("latents", 0.99, 1), ("none", 0.3, 0.7)])
def test_recall_after_a_delay_takes_memory(memory: str, low: float, high: float) -> None:
    steps = 12_000 if memory == "latents" else 3_000
    assert low <= learn("Recall", steps, memory=memory, unroll=12) <= high


def test_masked_actions() -> None:
    assert learn("Masked", 8_000, episodes=1000) > 0.68


def test_pick_the_marked_unit() -> None:
    assert learn("PickTheMarked", 10_000) > 0.97


def test_aim_with_a_continuous_action() -> None:
    assert learn("Aim", 12_000, unroll=8, minibatch=64, entropy_coefficient=0) > 0.85
