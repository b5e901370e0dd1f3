"""Entropy and the divergence from a reference, from the probabilities of every action."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from agents.config import ImpalaConfig, PPOConfig
from agents.learning.regularization import evaluate_by, regularize
from perceiver_policy.policy.policy import PerceiverPolicy
from tests.policies import SMALL, perturbed

SEEN, CHOSEN = spaces.Box(0, 1, (3,)), spaces.Discrete(4)
STEPS, BATCH = 3, 5


def chances(policy: PerceiverPolicy, observation: torch.Tensor, first: torch.Tensor) -> Any:
    """[T * B, 4], of each action in turn."""
    with torch.no_grad():
        each = [
            policy.evaluate_actions(observation, torch.full((STEPS, BATCH), a), policy.initial_memory(BATCH), first)
            for a in range(4)
        ]
    return np.stack([one.log_prob.double().exp().numpy().ravel() for one in each], 1)


def test_the_divergence_is_of_the_reference_from_the_policy() -> None:
    """KL(reference || policy), which is large where the reference does what the policy does not; not the reverse."""
    policy, reference = (perturbed(SEEN, CHOSEN, seed=seed) for seed in (1, 2))
    with torch.no_grad():
        for parameter in reference.outputs.heads.parameters():
            parameter *= 6  # surer of what it does
    observation = torch.rand(STEPS, BATCH, 3)
    action, first = torch.randint(4, (STEPS, BATCH)), torch.ones(STEPS, BATCH, dtype=torch.bool)
    p, q = (chances(one, observation, first) for one in (policy, reference))
    forward, reverse = ((a * np.log(a / b)).sum(1).mean() for a, b in ((q, p), (p, q)))
    entropy = -(p * np.log(p)).sum(1).mean()
    assert abs(forward - reverse) > 0.1 * forward
    evaluated = policy.evaluate_actions(observation, action, policy.initial_memory(BATCH), first)
    known = evaluate_by(reference, observation, action, first)
    assert known is not None
    assert not known.log_prob.requires_grad
    config = PPOConfig(entropy_coefficient=0.3, reference_coefficient=0.7)
    drawn = evaluated.log_prob
    loss, terms = regularize(evaluated, drawn, known, config, lambda x: x.sum() / (STEPS * BATCH))
    assert float(terms["learner/reference_kl"].detach()) == pytest.approx(forward, rel=1e-4)
    assert float(terms["loss/entropy"].detach()) == pytest.approx(entropy, rel=1e-4)
    assert float(loss.detach()) == pytest.approx(0.7 * forward - 0.3 * entropy, rel=1e-4)


def test_without_a_reference_there_is_the_entropy_alone() -> None:
    policy = perturbed(SEEN, CHOSEN)
    observation, first = torch.rand(1, BATCH, 3), torch.ones(1, BATCH, dtype=torch.bool)
    action = torch.zeros(1, BATCH, dtype=torch.long)
    evaluated = policy.evaluate_actions(observation, action, policy.initial_memory(BATCH), first)
    assert evaluate_by(None, observation, action, first) is None
    loss, terms = regularize(evaluated, evaluated.log_prob, None, ImpalaConfig(entropy_coefficient=2), torch.mean)
    assert set(terms) == {"loss/entropy"}
    assert float(loss.detach()) == pytest.approx(-2 * float(terms["loss/entropy"].detach()))


def test_a_reference_with_memory_starts_with_none() -> None:
    config = SMALL.model_copy(update={"memory": "latents"})
    reference = perturbed(SEEN, CHOSEN, config)
    observation, action = torch.rand(STEPS, BATCH, 3), torch.zeros(STEPS, BATCH, dtype=torch.long)
    goes_on = torch.zeros(STEPS, BATCH, dtype=torch.bool)
    begins = goes_on.clone()
    begins[0] = True
    found = [evaluate_by(reference, observation, action, first) for first in (goes_on, begins)]
    assert found[0] is not None
    assert found[1] is not None
    torch.testing.assert_close(found[0].log_prob, found[1].log_prob)


def test_an_entropy_without_weight_is_told_by_what_was_drawn() -> None:
    policy = perturbed(SEEN, CHOSEN)
    observation, first = torch.rand(1, 1, 3).expand(1, 40_000, 3), torch.ones(1, 40_000, dtype=torch.bool)
    memory = policy.initial_memory(40_000)
    with torch.no_grad():
        decision, _ = policy.act(observation[0], memory, first[0], generator=torch.Generator().manual_seed(0))
        action = decision.action[None]
        evaluated = policy.evaluate_actions(observation, action, memory, first, entropy=False)
    loss, terms = regularize(evaluated, evaluated.log_prob, None, PPOConfig(entropy_coefficient=0), torch.mean)
    p = chances(policy, observation[:, :BATCH].expand(STEPS, BATCH, 3), torch.ones(STEPS, BATCH, dtype=torch.bool))[0]
    assert float(loss) == 0
    assert float(terms["loss/entropy"]) == pytest.approx(-(p * np.log(p)).sum(), rel=0.02)
