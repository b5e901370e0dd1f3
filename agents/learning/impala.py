"""IMPALA: an actor-critic on V-trace (Espeholt et al. 2018, arXiv 1802.01561): its loss and its update."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.acting.rollout import Trajectory
from agents.config import ImpalaConfig
from agents.learning.gradient import descend, mean_over, means, minibatches, moments
from agents.learning.regularization import evaluate_by, needs_entropy, regularize
from agents.learning.returns import td_lambda, upgo, vtrace
from agents.learning.state import LearnerState
from perceiver_policy.policy.policy import PerceiverPolicy

on_policy = False


def update(learner: LearnerState, trajectory: Trajectory) -> dict[str, float]:
    """``config.epochs`` passes over the trajectory in minibatches of whole unrolls; returns the means of the terms.

    Raises UserError, before the step that it would spoil, where a term of the loss is not finite.
    """
    config: ImpalaConfig = learner.options
    policy = learner.policy
    only = policy.outputs.value_parameters() if learner.version < config.value_warmup else None
    measured = []
    for _ in range(config.epochs):
        for rows, steps in minibatches(trajectory.reward.shape, config.minibatch, learner.generator, whole=True):
            terms, targets = loss_terms(policy, trajectory.columns(rows), config, steps, learner.reference)
            measured.append(descend(policy, learner.optimizer, terms, config.max_gradient_norm, only))
            if config.normalize_returns:  # from the next minibatch on: this one's graph holds the old units
                _, mean, variance = moments(targets)
                learner.returns.learn(mean, variance)
                policy.outputs.value_head.set_units(*learner.returns.units())
    return means(measured)


def loss_terms(
    policy: PerceiverPolicy,
    part: Trajectory,
    config: ImpalaConfig,
    steps: int,
    reference: PerceiverPolicy | None = None,
) -> tuple[dict[str, Tensor], Tensor]:
    """The policy gradient, the value loss, the entropy, and what tells how far the data lag; and the values' targets.

    Each term is a mean over ``steps`` steps, of which the part may be a part.
    """
    mean = mean_over(steps)
    evaluated = policy.evaluate_actions(
        part.observation, part.action, part.memory, part.first, entropy=needs_entropy(config)
    )
    with torch.no_grad():
        values = evaluated.value[:-1]
        log_ratio = evaluated.log_prob - part.log_prob
        episode = (part.reward, values, part.next_values(evaluated.value), part.end, config.gamma)
        targets, advantages = vtrace(log_ratio, *episode, config.vtrace_lambda, config.rho_clip, config.c_clip)
        rho = log_ratio.exp().clamp(max=config.rho_clip)
        if config.upgo_coefficient:
            advantages = advantages + config.upgo_coefficient * rho * (upgo(*episode) - values)
        if config.critic == "td_lambda":
            targets = td_lambda(
                part.reward, part.next_values(evaluated.value), part.end, config.gamma, config.td_lambda
            )
    head = policy.outputs.value_head
    # in units of normalized returns, so that the policy's and the value's gradients keep their proportion
    policy_loss = -mean(evaluated.log_prob * advantages / head.deviation)
    value_loss = 0.5 * mean((evaluated.normalized_value[:-1] - (targets - head.mean) / head.deviation).square())
    known = evaluate_by(reference, part.observation, part.action, part.first)
    own = (policy, part.observation, part.action)
    regularizer, terms = regularize(evaluated, part.log_prob, known, config, mean, own)
    total = policy_loss + config.value_coefficient * value_loss + regularizer
    terms |= {"loss/policy": policy_loss, "loss/value": value_loss, "loss/total": total}
    with torch.no_grad():
        terms["learner/kl"] = mean(log_ratio.exp() - 1 - log_ratio)
        terms["learner/rho"] = mean(rho)
    return terms, targets
