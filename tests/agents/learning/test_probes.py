"""Learning, one ability at a time, on environments with a known answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.acting.player import PolicyPlayer
from agents.commands.cli import run
from agents.config import Config
from agents.placement.local import Training
from envs import registry
from perceiver_policy.policy.config import PolicyConfig

TINY = PolicyConfig(token_width=16, latents=2, latent_width=16, heads=2, position_bands=2)


SETTINGS = {
    "ppo": {"unroll": 16, "minibatch": 128, "epochs": 4, "learning_rate": 3e-3, "gamma": 0.95},
    "appo": {"unroll": 16, "minibatch": 128, "epochs": 4, "learning_rate": 3e-3, "gamma": 0.95},
    "impala": {"unroll": 8, "minibatch": 128, "epochs": 2, "learning_rate": 5e-3, "gamma": 0.95},
}
algorithms = pytest.mark.parametrize("algorithm", SETTINGS)


def learn(
    algorithm: str,
    probe: str,
    steps: int,
    *,
    memory: str = "none",
    window: int = 16,
    env_options: Any = None,
    episodes: int = 200,
    greedy: bool = True,
    **options: float,
) -> float:
    """The mean return of play after training."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = {"algorithm": algorithm, algorithm: SETTINGS[algorithm] | options, "num_envs": 32, "total_steps": steps}
    policy = TINY.model_copy(update={"memory": memory, "window": window})
    data |= {"env": f"tests.agents.probes:{probe}", "policy": policy, "env_options": env_options or {}}
    config = Config.model_validate(data)
    env = registry.make(config.env, 32, **config.env_options)
    training = Training(config, env, torch.device("cpu"))
    while training.learner.steps < steps:
        training.step()
    env = registry.make(config.env, 20, **config.env_options)
    player = PolicyPlayer(training.policy, device=torch.device("cpu"), greedy=greedy, seed=0)
    observation, _ = env.reset(seed=99)
    first, totals = np.ones(20, bool), []
    while len(totals) < episodes:
        observation, reward, terminated, truncated, _ = env.step(player.act(observation, first))
        first = terminated | truncated
        totals += reward[first].tolist()
    return float(np.mean(totals))


@algorithms
def test_bandit(algorithm: str) -> None:
    assert learn(algorithm, "Bandit", 4_000) == 1


@algorithms
def test_two_step_credit(algorithm: str) -> None:
    assert learn(algorithm, "TwoStepCredit", 4_000) == 1


@algorithms
def test_recall_after_a_delay(algorithm: str) -> None:
    assert learn(algorithm, "Recall", 12_000, memory="latents", unroll=12) > 0.99


@pytest.mark.parametrize("memory", ["lstm", "window"])
def test_recall_by_every_memory(memory: str) -> None:
    assert learn("ppo", "Recall", 12_000, memory=memory, unroll=12) > 0.99


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("delay", [10, 100, 1000])
@pytest.mark.parametrize("memory", ["latents", "lstm", "window"])
def test_recall_after_growing_delays(memory: str, delay: int) -> None:
    """Episodes of delay + 2 steps, a thousand of them a game and more; an unroll holds one."""
    steps = 32 * (delay + 2) * {10: 60, 100: 60, 1000: 30}[delay]
    options = {"unroll": delay + 2, "minibatch": 8 * (delay + 2), "gamma": 1 - 0.2 / (delay + 2)}
    found = learn(
        "ppo", "Recall", steps, memory=memory, window=delay + 2, env_options={"delay": delay}, episodes=60, **options
    )
    assert found > 0.99


def test_recall_takes_memory() -> None:
    assert 0.3 < learn("ppo", "Recall", 3_000) < 0.7


@algorithms
def test_masked_actions(algorithm: str) -> None:
    assert learn(algorithm, "Masked", 8_000, episodes=1000) > 0.68


@algorithms
def test_pick_the_marked_unit(algorithm: str) -> None:
    assert learn(algorithm, "PickTheMarked", 10_000) > 0.97


@algorithms
def test_select_exactly_one_of_two_that_look_alike(algorithm: str) -> None:
    assert learn(algorithm, "ExactlyOne", 4_000, greedy=False) > 0.95


def test_aim_with_a_continuous_action() -> None:
    assert learn("ppo", "Aim", 12_000, unroll=8, minibatch=64, entropy_coefficient=0) > 0.85


@algorithms
def test_every_unit_gets_its_own_order_at_once(algorithm: str) -> None:
    assert learn(algorithm, "Squad", 12_000) > 0.95


@pytest.mark.slow
def test_which_quarter_of_a_picture() -> None:
    """Read as a picture by itself: 64 tokens."""
    assert learn("ppo", "Quadrant", 20_000, unroll=8, minibatch=64) > 0.95


@pytest.mark.slow
def test_a_picture_is_learned_by_the_defaults(tmp_path: Path) -> None:
    argv = ["--env", "tests.agents.probes:Quadrant", "--total-steps", "20000", "--seed", "1"]
    assert run(["train", *argv, "--run-dir", str(tmp_path / "run")]) == 0
    told = json.loads((tmp_path / "run/evaluation.json").read_text(encoding="utf-8"))
    assert told[0]["return"]["mean"] > 0.95


@pytest.mark.slow
def test_shoot_the_weakest_of_a_padded_table() -> None:
    """Read as rows by itself: 6 tokens."""
    assert learn("ppo", "ShootTheWeakest", 40_000, unroll=8, minibatch=64) > 3.2
