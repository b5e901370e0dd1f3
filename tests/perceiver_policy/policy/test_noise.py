"""Noise that lasts: normal at every step, alike from step to step, anew in each episode; nothing else changes."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.acting.rollout import Rollout
from envs import registry
from perceiver_policy.policy.noise import LastingNoise
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.policies import SMALL, perturbed

SPACE = spaces.Dict({"push": spaces.Box(-1, 1, (2,)), "gear": spaces.Discrete(3), "turn": spaces.Box(-1, 1, (1,))})
SEEN = spaces.Box(-np.inf, np.inf, (3,), np.float32)


def test_it_is_normal_and_as_alike_from_step_to_step_as_is_said() -> None:
    noise, generator = LastingNoise(2, 0.8), torch.Generator().manual_seed(0)
    now, course = torch.zeros(5000, 2), []
    for t in range(12):
        now = noise.next(now, torch.full((5000,), t == 0), generator)
        course.append(now)
    for lag, expected in ((0, 1.0), (1, 0.8), (3, 0.8**3)):
        assert float((course[4] * course[4 + lag]).mean()) == pytest.approx(expected, abs=0.04)
    assert float((course[4][:, 0] * course[4][:, 1]).mean()) == pytest.approx(0, abs=0.04)
    first = torch.arange(5000) < 2500
    following = noise.next(now, first, generator)
    assert float((now * following)[first].mean()) == pytest.approx(0, abs=0.05)
    assert float((now * following)[~first].mean()) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("bounds", ["clip", "squash"])
@pytest.mark.parametrize("memory", ["none", "latents", "lstm"])
def test_log_probabilities_and_memory_are_what_they_are_without_it(memory: str, bounds: str) -> None:
    config = SMALL.model_copy(update={"memory": memory, "bounds": bounds, "noise_correlation": 0.9})
    policy = perturbed(SEEN, SPACE, config)
    plain = PerceiverPolicy(SEEN, SPACE, config.model_copy(update={"noise_correlation": 0.0}))
    plain.load_state_dict(policy.state_dict())
    observation, first = torch.randn(6, 4, 3), torch.rand(6, 4) < 0.3
    first[0] = True
    carried, known = policy.initial_memory(4), plain.initial_memory(4)
    for seen, begun in zip(observation, first, strict=True):
        decision, carried = policy.act(seen, carried, begun, generator=torch.Generator().manual_seed(1))
        before = known
        _, known = plain.act(seen, known, begun, generator=torch.Generator().manual_seed(1))
        told = plain.evaluate_actions(seen[None], {k: v[None] for k, v in decision.action.items()}, before, begun[None])
        torch.testing.assert_close(decision.log_prob, told.log_prob[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(decision.value, told.value[0])
        torch.testing.assert_close(carried[:, :-3].reshape(known.shape), known)
        greedy = [p.act(seen, m, begun, greedy=True)[0] for p, m in ((policy, carried), (plain, known))]
        torch.testing.assert_close(greedy[0].action, greedy[1].action)


class Still(gymnasium.Env[np.ndarray, np.ndarray]):
    """Always the same."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: object = None) -> tuple[np.ndarray, dict[str, object]]:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, object]]:
        return np.zeros(1, np.float32), 0.0, False, False, {}


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_actions_of_a_rollout_are_alike_as_is_said_across_unrolls(correlation: float) -> None:
    env = registry.make("tests.perceiver_policy.policy.test_noise:Still", 512)
    config = SMALL.model_copy(update={"noise_correlation": correlation})
    policy = perturbed(env.single_observation_space, env.single_action_space, config)
    rollout = Rollout(env, policy, 4, seed=0, device=torch.device("cpu"))
    actions = torch.cat([rollout.collect()[0].action.clone() for _ in range(2)])[:, :, 0].numpy()
    found = [np.corrcoef(actions[t], actions[t + 1])[0, 1] for t in range(7)]
    np.testing.assert_allclose(found, correlation, atol=0.15)
    env.close()
