"""What an environment tells of its episodes reaches the curves, the table and the evaluation."""

from __future__ import annotations

import numpy as np
import torch

from agents.acting.episodes import EpisodeLog
from agents.acting.evaluate import Evaluation, RandomPlayer, play, table
from agents.config import Config
from agents.placement.local import Training
from agents.runs.report import figures
from envs import registry

WALK = "tests.envs.vector.made:Walk"


def test_metrics_of_info_are_in_the_curves_and_go_on_when_a_run_does() -> None:
    policy = {"token_width": 8, "latents": 2, "latent_width": 8, "heads": 2}
    ppo = {"unroll": 40, "minibatch": 160, "epochs": 1}
    config = Config.model_validate(
        {"env": WALK, "num_envs": 4, "env_metrics": ["is_success"], "ppo": ppo, "policy": policy}
    )
    training = Training(config, registry.make(config.env, 4, **config.env_arguments), torch.device("cpu"))
    metrics = training.step()
    told = [episode.metrics["is_success"] for episodes in training.episodes.recent.values() for episode in episodes]
    assert len(told) == metrics["episode/count"] > 0
    assert set(told) <= {0.0, 1.0}
    assert metrics["episode/is_success"] == sum(told) / len(told)
    assert ("is_success", f"{metrics['episode/is_success']:.4g}") in figures(metrics)
    again = EpisodeLog()
    again.load_state_dict(training.episodes.state_dict())
    assert again.metrics() == training.episodes.metrics()


def test_an_evaluation_tells_their_means() -> None:
    env = registry.make(WALK, 3, env_metrics=["is_success", "score/far"])
    played = play(RandomPlayer(env.single_action_space, 0), env, 12, 0)
    assert [len(told) for told in played.metrics.values()] == [12, 12]
    assert played.metrics["score/far"] == [float(n) for n in played.lengths]
    evaluation = Evaluation("Walk", "random", 0, played)
    mean = float(np.mean(played.metrics["is_success"]))
    assert evaluation.as_dict()["metrics"]["is_success"]["mean"] == mean
    assert f"is_success: {mean:.2f}" in str(table([evaluation]))
