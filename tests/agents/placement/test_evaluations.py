"""Evaluation during training: what it tells, what it keeps, and that training does not notice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agents.acting.evaluate import FRESH_SEED, games_for, play
from agents.acting.player import load_player
from agents.commands.cli import run as typed
from agents.placement.local import train
from agents.runs import checkpoint
from agents.runs.experiment import read_run_config
from envs import registry
from tests.agents.placement.test_resume import Recorder, assert_same, experiment


class Listener(Recorder):
    def __init__(self, stop_after: int = 10**9) -> None:
        super().__init__(stop_after)
        self.evaluations: dict[int, float] = {}

    def evaluation(self, step: int, metrics: dict[str, float]) -> None:
        self.evaluations[step] = metrics["evaluation/return"]


def test_the_best_is_kept_and_training_does_not_notice(tmp_path: Path) -> None:
    plain = experiment("CartPole-v1")
    config = plain.model_copy(update={"eval_interval": 32, "eval_episodes": 6, "evaluation_sampled": True})
    heard, quiet = Listener(), Listener()
    train(config, tmp_path / "told", heard, resume=False)
    train(plain, tmp_path / "quiet", quiet, resume=False)
    assert heard.metrics == quiet.metrics
    told, silent = (checkpoint.load(checkpoint.latest(tmp_path / name)) for name in ("told", "quiet"))
    assert told.pop("best") == max(heard.evaluations.values())
    assert silent.pop("best") == -np.inf
    for state in (told, silent):
        state["rollout"]["environments"].pop("pickle")
    assert_same(told, silent)

    assert list(heard.evaluations) == [32 * k for k in range(1, 7)]
    best = tmp_path / "told" / "best"
    step = checkpoint.manifest(checkpoint.latest(best))["step"]
    assert heard.evaluations[step] == max(heard.evaluations.values())
    shown, chosen = checkpoint.spaces_of(checkpoint.latest(best)) or (None, None)
    kept = read_run_config(best)
    env = registry.make(kept.env, games_for(6), **kept.env_arguments)
    assert (shown, chosen) == (env.single_observation_space, env.single_action_space)
    player = load_player(best, kept, env, greedy=False, seed=FRESH_SEED)
    assert np.mean(play(player, env, 6, FRESH_SEED).returns) == heard.evaluations[step]


def test_a_resumed_run_knows_its_best(tmp_path: Path) -> None:
    config = experiment("CartPole-v1").model_copy(update={"eval_interval": 32, "eval_episodes": 4})
    whole, before, after = Listener(), Listener(stop_after=3), Listener()
    train(config, tmp_path / "whole", whole, resume=False)
    train(config, tmp_path / "parts", before, resume=False)
    train(config, tmp_path / "parts", after, resume=True)
    assert before.evaluations | after.evaluations == whole.evaluations
    bests = [checkpoint.latest(tmp_path / name / "best").name for name in ("whole", "parts")]
    assert bests[0] == bests[1]


def test_the_command_tells_and_the_best_is_evaluated_as_a_run(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run"
    small = ["--total-steps", "128", "--num-envs", "4", "--ppo.unroll", "16", "--ppo.minibatch", "32"]
    options = ["--evaluation-episodes", "0", "--eval-interval", "64", "--eval-episodes", "2"]
    assert typed(["train", "--env", "CartPole-v1", "--run-dir", str(run), *small, *options]) == 0
    told = capsys.readouterr().out
    assert "evaluation at step 64: return" in told
    assert f"the best     {run / 'best'}" in told
    recorded = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in recorded if "evaluation/return" in line] == [64, 128]
    assert typed(["evaluate", str(run / "best"), "--episodes", "2"]) == 0
    assert "CartPole-v1" in capsys.readouterr().out


@pytest.mark.slow
def test_with_workers(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run"
    small = ["--total-steps", "256", "--num-envs", "4", "--ppo.unroll", "16", "--ppo.minibatch", "32"]
    options = ["--evaluation-episodes", "0", "--eval-interval", "64", "--eval-episodes", "2", "--workers", "2"]
    assert typed(["train", "--env", "CartPole-v1", "--run-dir", str(run), *small, *options]) == 0
    assert "evaluation at step" in capsys.readouterr().out
    assert checkpoint.latest(run / "best")
