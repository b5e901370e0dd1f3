"""Asynchronous PPO: what it learns from data that an older policy collected, and that without lag it is PPO."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.acting.rollout import Rollout, Trajectory
from agents.learning import appo, ppo
from envs import registry
from envs.gym import GymVectorEnv
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.agents.acting.test_rollout import Counter
from tests.agents.learning.test_impala import CPU, TWO_STEPS, collected, learner_of, reevaluated
from tests.policies import SMALL, perturbed


def lagged(truncates: bool) -> tuple[PerceiverPolicy, Trajectory]:
    """A policy, and what another one did: episodes of three steps."""
    env = GymVectorEnv(lambda: Counter(3, truncates), 4)
    spaces = env.single_observation_space, env.single_action_space
    trajectory, _ = Rollout(env, perturbed(*spaces, SMALL, seed=1), 7, seed=0, device=torch.device("cpu")).collect()
    return perturbed(*spaces, SMALL, seed=2), trajectory


@pytest.mark.parametrize("truncates", [False, True])
def test_targets_and_advantages_are_those_of_the_policy_that_learns(
    truncates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, trajectory = lagged(truncates)
    given: list[Any] = []
    monkeypatch.setattr(ppo, "improve", lambda *arguments: given.extend(arguments) or {})
    gamma, lam, rho_bar, c_bar = 0.9, 0.8, 1.2, 0.7
    learner = learner_of(policy, "appo", gamma=gamma, gae_lambda=lam, rho_clip=rho_bar, c_clip=c_bar)
    metrics = appo.update(learner, trajectory)
    log_pi, values, _ = (np.stack(x) for x in zip(*reevaluated(policy, trajectory), strict=True))
    log_pi = log_pi[:-1]
    reward, end = trajectory.reward.numpy(), trajectory.end.numpy()
    assert not np.allclose(values[:-1], trajectory.value.numpy(), atol=0.01)
    ratio = np.exp(log_pi - trajectory.log_prob.numpy())
    rho, c = np.minimum(rho_bar, ratio), lam * np.minimum(c_bar, ratio)
    assert 0 < (rho < ratio).mean() < 1
    # a truncated episode's final observation is not kept: what the acting policy made of it stands for it
    after = np.where(end, trajectory.next_value.numpy(), values[1:])
    steps, batch = reward.shape
    target, advantage = np.zeros((2, steps, batch))
    for b in range(batch):
        for t in reversed(range(steps)):
            alone = end[t, b] or t == steps - 1
            above = 0.0 if alone else target[t + 1, b] - values[t + 1, b]
            delta = rho[t, b] * (reward[t, b] + gamma * after[t, b] - values[t, b])
            target[t, b] = values[t, b] + delta + gamma * c[t, b] * above
            advantage[t, b] = rho[t, b] * (reward[t, b] + gamma * (after[t, b] + lam * above) - values[t, b])
    *_, log_prob, value, found_advantage, found_target = given
    np.testing.assert_allclose(log_prob, log_pi, atol=1e-5)
    np.testing.assert_allclose(value, values[:-1], atol=1e-5)
    np.testing.assert_allclose(found_target, target, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(found_advantage, advantage, atol=1e-4, rtol=1e-4)
    assert metrics["learner/rho"] == pytest.approx(rho.mean(), rel=1e-4)


@pytest.mark.parametrize("memory", ["none", "latents"])
def test_asynchronous_ppo_without_lag_is_ppo(memory: str) -> None:
    group = {"unroll": 7, "epochs": 3, "minibatch": 14, "gae_lambda": 0.8, "learning_rate": 1e-3}
    states = []
    for algorithm in ("ppo", "appo"):
        policy, _ = collected(memory)
        env = registry.make(TWO_STEPS, 5)
        learner = learner_of(policy, algorithm, **group)
        metrics = learner.update(Rollout(env, policy, 7, seed=0, device=CPU).collect()[0])
        states.append(
            {**learner.policy.state_dict(), **{k: torch.tensor(metrics[k]) for k in ("loss/total", "learner/kl")}}
        )
    torch.testing.assert_close(states[0], states[1], atol=1e-5, rtol=1e-5)


def test_asynchronous_ppo_bounds_its_own_step_however_old_the_data() -> None:
    """With old data PPO's clip is used up before it starts; here every ratio starts at 1."""
    clipped = {}
    for algorithm in ("ppo", "appo"):
        policy, trajectory = collected()
        metrics = learner_of(policy, algorithm, epochs=1, minibatch=999, clip=0.1).update(trajectory)
        clipped[algorithm] = metrics["learner/clip_fraction"]
    assert clipped["appo"] == 0
    assert clipped["ppo"] > 0.5


def test_how_old_the_data_are_is_told() -> None:
    """Updates between the policy that acted and the one that learns: the mean of all unrolls, and the most."""
    policy, trajectory = lagged(True)
    learner = learner_of(policy, "appo", epochs=1, minibatch=999)
    learner.version = 9
    trajectory.version = torch.tensor([9, 8, 4, 7])
    metrics = learner.update(trajectory)
    assert (metrics["learner/lag"], metrics["learner/lag_max"]) == (2, 5)
    assert learner.version == 10
    assert learner.steps == 4 * 7
