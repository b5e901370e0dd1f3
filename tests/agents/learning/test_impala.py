"""IMPALA's loss against numpy and slow loops, and what it shares with the others."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.acting.rollout import Rollout, Trajectory
from agents.config import Config, ImpalaConfig
from agents.errors import UserError
from agents.learning import impala
from agents.learning.learner import Learner
from agents.runs import checkpoint, experiment
from envs import registry
from envs.spaces import describe_spaces
from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.agents.learning.test_returns import Steps as Known
from tests.agents.learning.test_returns import paper_vtrace
from tests.policies import SMALL, perturbed

CPU = torch.device("cpu")


TWO_STEPS, PICK = "tests.agents.probes:TwoStepCredit", "tests.agents.probes:PickTheMarked"


def collected(memory: str = "none", env_id: str = TWO_STEPS) -> tuple[PerceiverPolicy, Trajectory]:
    """A policy, and what another one did: episodes end inside the unrolls."""
    env = registry.make(env_id, 5)
    config = SMALL.model_copy(update={"memory": memory})
    spaces = env.single_observation_space, env.single_action_space
    acting = perturbed(*spaces, config, seed=1)
    trajectory, _ = Rollout(env, acting, 7, seed=0, device=CPU).collect()
    return perturbed(*spaces, config, seed=2), trajectory


def reevaluated(policy: PerceiverPolicy, trajectory: Trajectory) -> list[tuple[float, float, float]]:
    """Log-probability, value and entropy of every step, one at a time: no scan, no batch over time."""
    memory = trajectory.memory
    found = []
    for t in range(len(trajectory.first)):
        step = lambda x: x[t : t + 1]  # noqa: B023, E731
        last = t == len(trajectory.reward)
        action = trajectory.action[:1] if last else step(trajectory.action)
        evaluated = policy.evaluate_actions(step(trajectory.observation), action, memory, trajectory.first[t : t + 1])
        found.append([x.detach().numpy()[0] for x in (evaluated.log_prob, evaluated.value, evaluated.entropy)])
        _, memory = policy.act(trajectory.observation[t], memory, trajectory.first[t])
    return found


@pytest.mark.parametrize("memory", ["none", "latents"])
@pytest.mark.parametrize("critic", ["vtrace", "td_lambda"])
def test_the_loss_is_the_papers(memory: str, critic: str) -> None:
    policy, trajectory = collected(memory)
    policy.outputs.value_head.set_units(torch.tensor(0.3), torch.tensor(1.7))
    weights = {"upgo_coefficient": 0.4, "entropy_coefficient": 0.02}
    config = ImpalaConfig(critic=critic, td_lambda=0.7, gamma=0.9, rho_clip=0.9, c_clip=1.1, **weights)
    found, _ = impala.loss_terms(policy, trajectory, config, trajectory.steps)
    terms = {name: float(value.detach()) for name, value in found.items()}
    log_pi, values, entropy = (np.stack(x) for x in zip(*reevaluated(policy, trajectory), strict=True))
    log_pi, entropy = log_pi[:-1], entropy[:-1]
    rewards, ended, mu = (x.numpy() for x in (trajectory.reward, trajectory.end, trajectory.log_prob))
    next_values = np.where(ended, 0, values[1:])
    known = Known(rewards, values[:-1], next_values, ended, ended, log_pi, mu)
    targets, advantages = paper_vtrace(known, 0.9, 1.0, 0.9, 1.1)
    assert ended[:-1].any()
    assert not np.allclose(log_pi, mu, atol=0.1)
    upward, lambdas = np.zeros((2, *rewards.shape))
    for t in reversed(range(len(rewards))):
        for b in range(rewards.shape[1]):
            lone = ended[t, b] or t + 1 == len(rewards)
            foreseen = lone or rewards[t + 1, b] + 0.9 * next_values[t + 1, b] < values[t + 1, b]
            upward[t, b] = rewards[t, b] + 0.9 * (next_values[t, b] if foreseen else upward[t + 1, b])
            after = next_values[t, b] if lone else 0.3 * next_values[t, b] + 0.7 * lambdas[t + 1, b]
            lambdas[t, b] = rewards[t, b] + 0.9 * after
    advantages = advantages + 0.4 * np.minimum(0.9, np.exp(log_pi - mu)) * (upward - values[:-1])
    if critic == "td_lambda":
        targets = lambdas
    policy_loss = -np.mean(log_pi * advantages / 1.7)
    value_loss = 0.5 * np.mean(((values[:-1] - targets) / 1.7) ** 2)
    assert terms["loss/policy"] == pytest.approx(policy_loss, rel=1e-4)
    assert terms["loss/value"] == pytest.approx(value_loss, rel=1e-4)
    assert terms["loss/total"] == pytest.approx(policy_loss + 0.5 * value_loss - 0.02 * entropy.mean(), rel=1e-4)
    assert terms["learner/rho"] == pytest.approx(np.minimum(0.9, np.exp(log_pi - mu)).mean(), rel=1e-4)


def test_targets_and_weights_have_no_gradient() -> None:
    """The gradient is that of log pi times a number, and of the value alone, as in section 4.2."""
    policy, trajectory = collected()
    terms, _ = impala.loss_terms(policy, trajectory, ImpalaConfig(), trajectory.steps)
    terms["loss/policy"].backward()
    assert policy.outputs.value_head.layer.weight.grad is None


def learner_of(policy: PerceiverPolicy, algorithm: str, **group: Any) -> Learner:
    return Learner(policy, Config.model_validate({"algorithm": algorithm, algorithm: group}), device=CPU)


def test_each_head_has_its_own_entropy_coefficient() -> None:
    gradients = {}
    for coefficients in ({}, {"unit": 0.0}, {"function": 0.0, "unit": 0.0}):
        policy, trajectory = collected(env_id=PICK)
        config = ImpalaConfig(entropy_coefficient=0.5, entropy_coefficients=coefficients)
        terms, _ = impala.loss_terms(policy, trajectory, config, trajectory.steps)
        rest = terms["loss/total"] - terms["loss/policy"] - 0.5 * terms["loss/value"]
        gradients[len(coefficients)] = float(rest.detach())
        heads = {name: float(terms[f"entropy/{name}"].detach()) for name in ("function", "unit")}
    assert gradients[0] == pytest.approx(-0.5 * (heads["function"] + heads["unit"]), rel=1e-4)
    assert gradients[1] == pytest.approx(-0.5 * heads["function"], rel=1e-4)
    assert gradients[2] == pytest.approx(0, abs=1e-5)


def test_an_entropy_coefficient_of_no_head_is_refused() -> None:
    policy, _ = collected(env_id=PICK)
    with pytest.raises(UserError, match="no head 'units'; did you mean 'unit'"):
        learner_of(policy, "impala", entropy_coefficients={"units": 0.1})


def saved_run(folder: Path, policy: PerceiverPolicy, env: Any, config: PolicyConfig) -> Path:
    folder.mkdir()
    experiment.write_config(Config(policy=config), folder / "config.yaml")
    state = {"learner": {"policy": policy.state_dict()}}
    checkpoint.save(folder, 0, state, spaces=describe_spaces(env), keep=1)
    return folder


@pytest.mark.parametrize("algorithm", ["ppo", "appo", "impala"])
def test_a_policy_is_drawn_to_its_reference(algorithm: str, tmp_path: Path) -> None:
    policy, trajectory = collected(env_id=PICK)
    env = registry.make(PICK, 5)
    wider = SMALL.model_copy(update={"token_width": 32})  # another network will do
    reference = perturbed(env.single_observation_space, env.single_action_space, wider, seed=5)
    run = saved_run(tmp_path / "run", reference, env, wider)
    learner = learner_of(policy, algorithm, reference=str(run), reference_coefficient=10, learning_rate=3e-3, gamma=0)
    distances = [learner.update(trajectory)["learner/reference_kl"] for _ in range(40)]
    assert distances[-1] < 0.2 * distances[0]
    assert all(torch.equal(a, b) for a, b in zip(learner.reference.parameters(), reference.parameters(), strict=True))


def test_a_reference_that_cannot_be_had_is_refused(tmp_path: Path) -> None:
    policy, _ = collected()
    with pytest.raises(UserError, match="no run folder"):
        learner_of(policy, "impala", reference=str(tmp_path / "none"))
    env = registry.make(TWO_STEPS, 1)
    remembering = SMALL.model_copy(update={"memory": "latents"})
    other = PerceiverPolicy(env.single_observation_space, env.single_action_space, remembering)
    with pytest.raises(UserError, match="has memory"):
        learner_of(policy, "impala", reference=str(saved_run(tmp_path / "a", other, env, remembering)))
    bandit = registry.make("tests.agents.probes:Bandit", 1)
    stranger = PerceiverPolicy(bandit.single_observation_space, bandit.single_action_space, SMALL)
    with pytest.raises(UserError, match="was trained with the observation space"):
        learner_of(policy, "impala", reference=str(saved_run(tmp_path / "b", stranger, bandit, SMALL)))


def test_rmsprop_is_the_papers() -> None:
    """One step: the first gradient's square has weight 0.01, its root divides."""
    policy, trajectory = collected()
    learner = learner_of(policy, "impala", optimizer="rmsprop", learning_rate=1e-3, max_gradient_norm=1e9, epsilon=0.1)
    terms, _ = impala.loss_terms(policy, trajectory, learner.options, trajectory.steps)
    gradient = torch.autograd.grad(terms["loss/total"], policy.outputs.value_query)[0]
    before = policy.outputs.value_query.detach().clone()
    learner.update(trajectory)
    expected = before - 1e-3 * gradient / (gradient.square() * 0.01).sqrt().add(0.1)
    torch.testing.assert_close(policy.outputs.value_query.detach(), expected, atol=1e-7, rtol=1e-5)
    assert math.isclose(learner.optimizer.param_groups[0]["alpha"], 0.99)
