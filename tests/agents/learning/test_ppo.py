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


def updated(**options: Any) -> dict[str, float]:
    """What an update of always the same policy from always the same unroll measures."""
    env = registry.make("CartPole-v1", 4)
    torch.manual_seed(0)
    policy = perturbed(env.single_observation_space, env.single_action_space)
    config = PPOConfig(unroll=8, minibatch=16, learning_rate=3e-3, **options)
    learner = Learner(policy, Config(ppo=config), device=CPU)
    return learner.update(Rollout(env, policy, 8, seed=1, device=CPU).collect()[0])


def test_a_state_from_a_gpu_goes_on_here() -> None:
    """Recording wants an optimizer that is `capturable`; only a GPU's is."""
    env = registry.make("CartPole-v1", 4)
    learner = Learner(perturbed(env.single_observation_space, env.single_action_space), Config(), device=CPU)
    state = learner.state_dict()
    for group in state["optimizer"]["param_groups"]:
        group["capturable"] = True
    learner.load_state_dict(state)
    assert not any(group["capturable"] for group in learner.optimizer.param_groups)


def test_a_state_of_fewer_weights_is_refused_before_it_changes_any() -> None:
    env = registry.make("CartPole-v1", 4)
    learner = Learner(perturbed(env.single_observation_space, env.single_action_space), Config(), device=CPU)
    state = learner.state_dict()
    state["optimizer"]["param_groups"][0]["params"].pop()
    state["policy"] = {name: torch.zeros_like(value) for name, value in state["policy"].items()}
    with pytest.raises(UserError, match="begun by an older version"):
        learner.load_state_dict(state)
    assert any(parameter.any() for parameter in learner.policy.parameters())


def test_early_stop_on_kl() -> None:
    """After the first pass whose mean divergence is above one and a half times the target, as Spinning Up has it."""
    means = [updated(epochs=n)["learner/kl"] for n in (1, 2, 3, 4)]
    each = np.diff([n * mean for n, mean in enumerate([0.0, *means])])
    assert each[0] < each[1] < each[2]
    for which in (1, 2):
        for target, passes in ((1.02, which + 2), (0.98, which + 1)):
            metrics = updated(epochs=which + 2, target_kl=each[which] / 1.5 * target)
            assert metrics["learner/epochs"] == passes


def test_scales_are_learned_from_what_was_acted_on_after_the_update() -> None:
    env = registry.make("CartPole-v1", 6)
    policy = perturbed(env.single_observation_space, env.single_action_space)
    learner = Learner(policy, Config(ppo=PPOConfig(unroll=5)), device=CPU)
    trajectory, _ = Rollout(env, policy, 5, seed=0, device=CPU).collect()
    seen = trajectory.observation[:-1].flatten(0, 1).double().clone()  # the last one is the next unroll's first
    learner.update(trajectory)
    scale = policy.inputs.embedders[0].scale
    assert float(scale.count) == 30
    torch.testing.assert_close(scale.mean, seen.mean(0))
    torch.testing.assert_close(scale.second, (seen - seen.mean(0)).square().sum(0))


def test_each_unroll_starts_from_the_memory_that_it_began_with() -> None:
    """Minibatches are of some columns, shuffled: while the policy stays what it is, nothing has changed for them."""
    env = registry.make("CartPole-v1", 6)
    config = SMALL.model_copy(update={"memory": "latents"})
    policy = perturbed(env.single_observation_space, env.single_action_space, config)
    options = PPOConfig(unroll=5, epochs=1, minibatch=10, learning_rate=1e-12)
    learner = Learner(policy, Config(ppo=options, policy=config), device=CPU)
    rollout = Rollout(env, policy, 5, seed=0, device=CPU)
    rollout.collect()
    trajectory, _ = rollout.collect()
    assert trajectory.memory.std(0).max() > 0.05
    assert learner.update(trajectory)["learner/kl"] < 1e-7


@pytest.mark.parametrize(("normalize_returns", "floor"), [(True, 0.0), (False, 0.0), (True, 4.0), (False, 1e-3)])
def test_what_the_passes_learn_from(normalize_returns: bool, floor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda-returns for the value, in units of their mean and deviation; advantages, normalized over all steps, but
    never by less than the floor."""
    env = registry.make("CartPole-v1", 6)
    policy = perturbed(env.single_observation_space, env.single_action_space)
    config = PPOConfig(
        unroll=20,
        epochs=1,
        minibatch=999,
        gamma=0.9,
        gae_lambda=0.7,
        normalize_returns=normalize_returns,
        advantage_floor=floor,
    )
    learner = Learner(policy, Config(ppo=config), device=CPU)
    trajectory, _ = Rollout(env, policy, 20, seed=0, device=CPU).collect()
    value, next_value, reward, end = (
        getattr(trajectory, name).double().numpy() for name in ("value", "next_value", "reward", "end")
    )
    assert 0 < end.sum() < end.size / 4
    given: dict[str, Any] = {}
    real = ppo.loss_terms
    monkeypatch.setattr(
        ppo, "loss_terms", lambda policy, batch, *rest: given.update(batch) or real(policy, batch, *rest)
    )
    metrics = learner.update(trajectory)
    advantage = np.zeros((21, 6))
    for t in reversed(range(20)):
        delta = reward[t] + 0.9 * next_value[t] - value[t]
        advantage[t] = delta + 0.9 * 0.7 * (1 - end[t]) * advantage[t + 1]
    target, advantage = value + advantage[:-1], advantage[:-1]
    mean, deviation = (target.mean(), target.std()) if normalize_returns else (0, 1)
    expected = {
        "log_prob": trajectory.log_prob.numpy(),
        "value": (value - mean) / deviation,
        "target": (target - mean) / deviation,
        "advantage": (advantage - advantage.mean()) / max(advantage.std(ddof=1), floor * deviation),
    }
    seen = given["observation"][0, :, 2], trajectory.observation[:-1, ..., 2].flatten()
    order = [angles.argsort().numpy() for angles in seen]  # the minibatch is shuffled
    for name, numbers in expected.items():
        np.testing.assert_allclose(given[name][0].numpy()[order[0]], numbers.ravel()[order[1]], atol=2e-4, err_msg=name)
    assert metrics["learner/explained_variance"] == pytest.approx(1 - advantage.var() / target.var(), rel=1e-3)


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
    for learner.steps in (0, 50, 200, 230):  # an update may reach beyond the end
        rates.append(learner.learning_rate())
    assert rates == pytest.approx([1e-3, 0.75e-3, 0, 0])
