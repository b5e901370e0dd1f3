"""Proximal Policy Optimization (Schulman et al. 2017, arXiv 1707.06347): its loss and its update."""

from __future__ import annotations

from typing import Any

import optree
import torch
from torch import Tensor

from agents.acting.rollout import Trajectory
from agents.config import PPOConfig
from agents.graphs import shapes, to_device
from agents.learning.gradient import descend, mean_over, means, minibatches, moments, parts, several
from agents.learning.regularization import evaluate_by, needs_entropy, regularize
from agents.learning.returns import gae
from agents.learning.state import LearnerState
from perceiver_policy.policy.policy import PerceiverPolicy

on_policy = True


def update(learner: LearnerState, trajectory: Trajectory) -> dict[str, float]:
    """``config.epochs`` passes over the trajectory in minibatches; returns the means of what was measured on the way.

    Raises UserError, before the step that it would spoil, where a term of the loss is not finite.
    """
    config: PPOConfig = learner.options
    advantage = gae(
        trajectory.reward,
        trajectory.value,
        trajectory.next_value,
        trajectory.end,
        config.gamma,
        config.gae_lambda,
    )
    target = trajectory.value + advantage
    return improve(learner, trajectory, trajectory.log_prob, trajectory.value, advantage, target)


def improve(
    learner: LearnerState, trajectory: Trajectory, log_prob: Tensor, value: Tensor, advantage: Tensor, target: Tensor
) -> dict[str, float]:
    """The passes. ``log_prob`` and ``value`` [T, B] are the policy's before them, the other two what it learns from."""
    config: PPOConfig = learner.options
    policy, head = learner.policy, learner.policy.outputs.value_head
    _, mean, variance = moments(target)
    if config.normalize_returns:
        learner.returns.learn(mean, variance)
        head.set_units(*learner.returns.units())
    count, mean, error = moments(advantage)
    explained = float(1 - error / variance) if variance > 0 else 0.0
    if config.normalize_advantages:
        deviation = (error * count / (count - 1).clamp(min=1)).sqrt()
        if config.advantage_floor:
            deviation = torch.maximum(deviation, config.advantage_floor * head.deviation)
        advantage = ((advantage - mean) / (deviation + 1e-8)).float()
    data: Any = {
        "observation": optree.tree_map(lambda x: x[:-1], trajectory.observation),
        "action": trajectory.action,
        "log_prob": log_prob,
        "value": (value - head.mean) / head.deviation,
        "first": trajectory.first[:-1],
        "advantage": advantage,
        "target": (target - head.mean) / head.deviation,
    }
    measured: list[dict[str, Tensor]] = []
    memory, whole = trajectory.memory, policy.memory is not None
    if not whole:  # then a step is a sequence of its own
        data = optree.tree_map(lambda x: x.flatten(0, 1), data)
    data, memory = learner.graphs.keep("data", (data, memory))
    lengths = None if whole else policy.trim.lengths(data["observation"])
    only = policy.outputs.value_parameters() if learner.version < config.value_warmup else None

    def descend_on(rows: Tensor, steps: int) -> dict[str, Tensor]:
        def chosen(rows: Tensor) -> tuple[Any, Tensor]:
            batch: Any = optree.tree_map(lambda x: x[:, rows] if whole else x[rows][None], data)
            return batch, memory[rows] if whole else memory[:0]

        terms = (loss_terms(policy, *chosen(part), config, steps, learner.reference) for part in parts(rows, lengths))
        return descend(policy, learner.optimizer, terms, config.max_gradient_norm, only)

    # a reference's weight may change from update to update; other learners are waited for; a loss of one's own may ask
    free = learner.reference is not None or several() or config.losses
    alike = None if free else (shapes((data, memory)), only is None)
    passes = 0
    for _ in range(config.epochs):
        passes += 1
        divergences = []
        for rows, steps in minibatches(advantage.shape, config.minibatch, learner.generator, whole=whole):
            here = learner.graphs.keep("rows", to_device(rows, advantage.device))
            key = None if alike is None else (*alike, steps)
            found = learner.graphs(key, lambda: descend_on(here, steps))  # noqa: B023
            measured.append({name: term.clone() for name, term in found.items()})
            divergences.append(measured[-1]["learner/kl"])
        if config.target_kl is not None and float(torch.stack(divergences).mean()) > 1.5 * config.target_kl:
            break
    return means(measured) | {"learner/epochs": float(passes), "learner/explained_variance": explained}


def loss_terms(
    policy: PerceiverPolicy,
    batch: dict[str, Any],
    memory: Tensor,
    config: PPOConfig,
    steps: int,
    reference: PerceiverPolicy | None = None,
) -> dict[str, Tensor]:
    """The clipped objective (equation 7), the value loss, the entropy, and what tells how far the policy has moved.

    Each is a mean over ``steps`` steps, of which the batch may be a part.
    """
    mean = mean_over(steps)
    evaluated = policy.evaluate_actions(
        batch["observation"], batch["action"], memory, batch["first"], entropy=needs_entropy(config)
    )
    log_ratio = evaluated.log_prob - batch["log_prob"]
    ratio = log_ratio.exp()
    advantage = batch["advantage"]
    clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
    policy_loss = -mean(torch.min(ratio * advantage, clipped * advantage))
    value = evaluated.normalized_value
    error = (value - batch["target"]).square()
    if config.value_clip is not None:
        near = batch["value"] + (value - batch["value"]).clamp(-config.value_clip, config.value_clip)
        error = torch.max(error, (near - batch["target"]).square())
    value_loss = 0.5 * mean(error)
    known = evaluate_by(reference, batch["observation"], batch["action"], batch["first"])
    own = (policy, batch["observation"], batch["action"])
    regularizer, terms = regularize(evaluated, batch["log_prob"], known, config, mean, own)
    total = policy_loss + config.value_coefficient * value_loss + regularizer
    terms |= {"loss/policy": policy_loss, "loss/value": value_loss, "loss/total": total}
    with torch.no_grad():
        # the unbiased, always positive estimator k3 of KL(old || new), http://joschu.net/blog/kl-approx.html
        terms["learner/kl"] = mean(ratio - 1 - log_ratio)
        terms["learner/clip_fraction"] = mean(((ratio - 1).abs() > config.clip).float())
    return terms
