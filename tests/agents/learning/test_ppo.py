"""The loss against numpy, the minibatches against what they must cover, and one real collection and update."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.acting.rollout import Rollout
from agents.config import Config, PPOConfig
from agents.errors import UserError
from agents.learning import ppo
from agents.learning.gradient import check_finite
from agents.learning.learner import Learner
from envs import registry
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.policies import SMALL, perturbed

CPU = torch.device("cpu")


def batch_for(policy: PerceiverPolicy, seed: int) -> dict[str, Any]:
    random = torch.Generator().manual_seed(seed)
    return {
        "observation": torch.rand(1, 40, 3, generator=random),
        "action": torch.randint(4, (1, 40), generator=random),
        "first": torch.ones(1, 40, dtype=torch.bool),
        **{name: torch.randn(1, 40, generator=random) for name in ("log_prob", "value", "advantage", "target")},
    }


@pytest.mark.parametrize("value_clip", [None, 0.3])
def test_the_loss_is_equation_seven(value_clip: float | None) -> None:
    policy = perturbed(spaces.Box(0, 1, (3,)), spaces.Discrete(4))
    config = PPOConfig(clip=0.2, value_clip=value_clip, value_coefficient=0.7, entropy_coefficient=0.01)
    batch = batch_for(policy, 0)
    batch["log_prob"] = batch["log_prob"] * 0.2 - math.log(4)
    terms = {
        k: float(v.detach()) for k, v in ppo.loss_terms(policy, batch, policy.initial_memory(40), config, 40).items()
    }
    evaluated = policy.evaluate_actions(
        batch["observation"], batch["action"], policy.initial_memory(40), batch["first"]
    )
    new, value, entropy = (
        x.detach().numpy()[0] for x in (evaluated.log_prob, evaluated.normalized_value, evaluated.entropy)
    )
    old, old_value, advantage, target = (batch[k].numpy()[0] for k in ("log_prob", "value", "advantage", "target"))
    objective, errors = [], []
    for i in range(40):
        ratio = math.exp(new[i] - old[i])
        objective.append(min(ratio * advantage[i], max(0.8, min(1.2, ratio)) * advantage[i]))
        error = (value[i] - target[i]) ** 2
        if value_clip is not None:
            near = old_value[i] + max(-value_clip, min(value_clip, value[i] - old_value[i]))
            error = max(error, (near - target[i]) ** 2)
        errors.append(error)
    assert terms["loss/policy"] == pytest.approx(-np.mean(objective), rel=1e-4)
    assert terms["loss/value"] == pytest.approx(0.5 * np.mean(errors), rel=1e-4)
    total = -np.mean(objective) + 0.7 * 0.5 * np.mean(errors) - 0.01 * np.mean(entropy)
    assert terms["loss/total"] == pytest.approx(total, rel=1e-4)
    assert terms["learner/clip_fraction"] == pytest.approx(np.mean(np.abs(np.exp(new - old) - 1) > 0.2))
    assert 0 < terms["learner/clip_fraction"] < 1


@pytest.mark.parametrize("memory", ["none", "latents"])
def test_log_probabilities_at_update_are_those_of_the_collection(memory: str) -> None:
    """On the stand-in's MoveToBeacon: masks, padding, arguments, and episodes that end inside the unroll."""
    env = registry.make("sim/MoveToBeacon", 6, max_loops=72)
    torch.manual_seed(0)
    config = SMALL.model_copy(update={"memory": memory})
    policy = PerceiverPolicy(env.single_observation_space, env.single_action_space, config)
    learner = Learner(policy, Config(ppo=PPOConfig(unroll=12, minibatch=24)), device=CPU)
    rollout = Rollout(env, policy, 12, seed=0, device=CPU)
    for _ in range(3):  # also after updates, and with a memory that is not the first one
        trajectory, _ = rollout.collect()
        evaluated = policy.evaluate_actions(
            trajectory.observation, trajectory.action, trajectory.memory, trajectory.first
        )
        torch.testing.assert_close(evaluated.log_prob, trajectory.log_prob, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(evaluated.value[:-1], trajectory.value, atol=1e-5, rtol=1e-5)
        next_value = trajectory.next_values(evaluated.value)
        torch.testing.assert_close(next_value, trajectory.next_value, atol=1e-5, rtol=1e-5)
        learner.update(trajectory)
    assert trajectory.end.any()
    assert len(trajectory.action["function"].unique()) > 2


def test_an_update_with_a_good_choice_makes_it_likelier() -> None:
    torch.manual_seed(0)
    policy = PerceiverPolicy(spaces.Box(0, 1, (3,)), spaces.Discrete(4), SMALL)
    optimizer = torch.optim.Adam(policy.parameters(), 1e-3)
    batch = batch_for(policy, 0)

    def now():
        return policy.evaluate_actions(batch["observation"], batch["action"], policy.initial_memory(40), batch["first"])

    before = now().log_prob.detach()
    batch["log_prob"], batch["advantage"] = before, (batch["action"] == 2).float() - 0.25
    for _ in range(20):
        optimizer.zero_grad()
        ppo.loss_terms(policy, batch, policy.initial_memory(40), PPOConfig(), 40)["loss/total"].backward()
        optimizer.step()
    change = now().log_prob.detach() - before
    assert change[batch["action"] == 2].mean() > 0.05
    assert change[batch["action"] != 2].mean() < 0


def test_early_stop_on_kl() -> None:
    env = registry.make("CartPole-v1", 4)
    passes = {}
    for target in (None, 1e-7):
        torch.manual_seed(0)
        policy = PerceiverPolicy(env.single_observation_space, env.single_action_space, SMALL)
        config = PPOConfig(unroll=8, epochs=5, target_kl=target)
        learner = Learner(policy, Config(ppo=config), device=CPU)
        passes[target] = learner.update(Rollout(env, policy, 8, seed=0, device=CPU).collect()[0])["learner/epochs"]
    assert passes[None] == 5
    assert passes[1e-7] < 5


@pytest.mark.parametrize(("poisoned", "term"), [("advantage", "loss/policy"), ("target", "loss/value")])
def test_a_loss_that_is_not_finite_is_named(poisoned: str, term: str) -> None:
    policy = perturbed(spaces.Box(0, 1, (3,)), spaces.Discrete(4))
    batch = batch_for(policy, 0)
    batch[poisoned][0, 3] = math.nan
    terms = ppo.loss_terms(policy, batch, policy.initial_memory(40), PPOConfig(), 40)
    with pytest.raises(UserError, match=f"{term} is nan"):
        check_finite({name: float(value.detach()) for name, value in terms.items()})


def test_the_schedule_is_linear_to_zero() -> None:
    policy = perturbed(spaces.Box(0, 1, (3,)), spaces.Discrete(4))
    learner = Learner(policy, Config(total_steps=200, ppo=PPOConfig(learning_rate=1e-3)), device=CPU)
    rates = []
    for learner.steps in (0, 50, 200):
        rates.append(learner.learning_rate())
    assert rates == pytest.approx([1e-3, 0.75e-3, 0])
