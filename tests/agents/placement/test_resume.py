"""A run that was stopped and resumed is, bit for bit, the run that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optree
import pytest
import torch

from agents.config import Config, PPOConfig
from agents.placement.local import Training, train
from agents.runs import checkpoint
from agents.runs.callbacks import Silent
from envs import registry
from perceiver_policy.policy.config import PolicyConfig

POLICY = PolicyConfig(token_width=16, latents=3, latent_width=16, heads=2, memory="latents")


class Recorder(Silent):
    """The report's interface, remembering what it is told."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.metrics: list[dict[str, float]] = []
        self.stop_after = stop_after

    @property
    def stop_requested(self) -> bool:
        return len(self.metrics) >= self.stop_after

    def start(self, step: int, total_steps: int, parameters: int) -> None:
        self.started_at = step

    def update(self, step: int, metrics: dict[str, float]) -> None:
        kept = {name: value for name, value in metrics.items() if not name.startswith("time/")}
        self.metrics.append({"step": step, **kept})


def experiment(env: str, **options: Any) -> Config:
    return Config(
        env=env,
        num_envs=4,
        total_steps=6 * 4 * 8,
        threads=1,
        seed=3,
        env_options=options,
        policy=POLICY,
        ppo=PPOConfig(unroll=8, minibatch=16, epochs=2),
    )


def assert_same(a: Any, b: Any) -> None:
    assert optree.tree_structure(a) == optree.tree_structure(b)
    for x, y in zip(optree.tree_leaves(a), optree.tree_leaves(b), strict=True):
        if isinstance(x, torch.Tensor | np.ndarray):
            assert np.array_equal(np.asarray(x), np.asarray(y))
        else:
            assert x == y


@pytest.mark.parametrize(
    ("env", "options"),
    [("CartPole-v1", {}), ("sim/MoveToBeacon", {"max_loops": 80})],
)
def test_resumed_is_uninterrupted(env: str, options: dict[str, Any], tmp_path: Path) -> None:
    config = experiment(env, **options)
    whole = Recorder()
    train(config, tmp_path / "whole", whole, resume=False)
    before, after = Recorder(stop_after=3), Recorder()
    train(config, tmp_path / "parts", before, resume=False)
    torch.manual_seed(12345)  # whatever happened in between must not matter
    train(config, tmp_path / "parts", after, resume=True)  # type: ignore[arg-type]
    assert after.started_at == 3 * 4 * 8
    assert before.metrics + after.metrics == whole.metrics
    assert len(whole.metrics) == 6
    assert whole.metrics[-1]["episode/count"] > 0
    states = [checkpoint.load(checkpoint.latest(tmp_path / name)) for name in ("whole", "parts")]
    pickles = [state["rollout"]["environments"].pop("pickle", None) for state in states]
    assert (pickles[0] is None) == (env != "CartPole-v1")  # pickles of equal environments may differ in their bytes
    assert_same(*states)
    assert "exp_avg" in states[0]["learner"]["optimizer"]["state"][0]


def test_the_seed_decides_the_run(tmp_path: Path) -> None:
    runs = []
    for i, seed in enumerate((0, 0, 1)):
        recorder = Recorder(stop_after=2)
        config = experiment("CartPole-v1").model_copy(update={"seed": seed})
        train(config, tmp_path / str(i), recorder, resume=False)
        runs.append(recorder.metrics)
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    config = experiment("CartPole-v1")
    train(config, tmp_path, Recorder(), resume=False)
    again = Recorder()
    train(config, tmp_path, again, resume=True)  # type: ignore[arg-type]
    assert again.metrics == []


def test_checkpoints_come_at_their_interval_and_the_oldest_go(tmp_path: Path) -> None:
    config = experiment("CartPole-v1").model_copy(update={"checkpoint_interval": 64, "keep_checkpoints": 2})
    train(config, tmp_path, Recorder(), resume=False)
    found = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert found == ["step-000000000128", "step-000000000192"]


def test_training_state_holds_all_random_state() -> None:
    config = experiment("CartPole-v1")
    env = registry.make(config.env, config.num_envs)
    state = Training(config, env, torch.device("cpu")).state_dict()
    assert {"generator"} <= set(state["learner"]) & set(state["rollout"])
    assert "torch" in state
