"""Proximal Policy Optimization (Schulman et al. 2017, arXiv 1707.06347): its loss and its update."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import optree
import torch
from torch import Tensor

from agents.config import PPOConfig
from agents.errors import UserError
from agents.returns import ReturnScale, gae
from agents.rollout import Trajectory
from perceiver_policy.policy import PerceiverPolicy


def update(
    policy: PerceiverPolicy,
    optimizer: torch.optim.Optimizer,
    trajectory: Trajectory,
    config: PPOConfig,
    scale: ReturnScale,
    generator: torch.Generator,
) -> dict[str, float]:
    """``config.epochs`` passes over the trajectory in minibatches; returns the means of what was measured on the way.

    Raises UserError, before the step that it would spoil, where a term of the loss is not finite.
    """
    advantage = gae(
        trajectory.reward,
        trajectory.value,
        trajectory.next_value,
        trajectory.end,
        config.gamma,
        config.gae_lambda,
    )
    target = trajectory.value + advantage
    head = policy.outputs.value_head
    if config.normalize_returns:
        scale.learn(target)
        head.set_units(*scale.units())
    variance = target.var()
    explained = float(1 - advantage.var() / variance) if variance > 0 else 0.0
    if config.normalize_advantages:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    data = {
        "observation": trajectory.observation,
        "choice": trajectory.choice,
        "log_prob": trajectory.log_prob,
        "value": (trajectory.value - head.mean) / head.deviation,
        "first": trajectory.first,
        "advantage": advantage,
        "target": (target - head.mean) / head.deviation,
    }
    measured: dict[str, list[float]] = defaultdict(list)
    passes = 0
    for _ in range(config.epochs):
        passes += 1
        divergences = []
        for batch, memory in minibatches(data, trajectory.memory, config.minibatch, generator):
            terms = loss_terms(policy, batch, memory, config)
            check_finite(terms)
            optimizer.zero_grad(set_to_none=True)
            terms["loss/total"].backward()
            norm = torch.nn.utils.clip_grad_norm_(policy.parameters(), config.max_gradient_norm)
            optimizer.step()
            for name, term in terms.items():
                measured[name].append(float(term.detach()))
            measured["ppo/gradient_norm"].append(float(norm))
            divergences.append(measured["ppo/kl"][-1])
        if config.target_kl is not None and sum(divergences) / len(divergences) > 1.5 * config.target_kl:
            break
    metrics = {name: sum(values) / len(values) for name, values in measured.items()}
    return metrics | {"ppo/epochs": float(passes), "ppo/explained_variance": explained}


def loss_terms(policy: PerceiverPolicy, batch: dict[str, Any], memory: Tensor, config: PPOConfig) -> dict[str, Tensor]:
    """The clipped objective (equation 7), the value loss, the entropy, and what tells how far the policy has moved."""
    judged = policy.judge(batch["observation"], batch["choice"], memory, batch["first"])
    log_ratio = judged.log_prob - batch["log_prob"]
    ratio = log_ratio.exp()
    advantage = batch["advantage"]
    clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
    policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
    value = judged.normalized_value
    error = (value - batch["target"]).square()
    if config.value_clip is not None:
        near = batch["value"] + (value - batch["value"]).clamp(-config.value_clip, config.value_clip)
        error = torch.max(error, (near - batch["target"]).square())
    value_loss = 0.5 * error.mean()
    entropy = judged.entropy.mean()
    total = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy
    terms = {"loss/policy": policy_loss, "loss/value": value_loss, "loss/entropy": entropy, "loss/total": total}
    with torch.no_grad():
        # the unbiased, always positive estimator k3 of KL(old || new), http://joschu.net/blog/kl-approx.html
        terms["ppo/kl"] = (ratio - 1 - log_ratio).mean()
        terms["ppo/clip_fraction"] = ((ratio - 1).abs() > config.clip).float().mean()
        if len(judged.entropies) > 1:
            terms |= {f"entropy/{path}": entropy.mean() for path, entropy in judged.entropies.items()}
    return terms


def minibatches(data: Any, memory: Tensor, size: int, generator: torch.Generator) -> Iterator[tuple[Any, Tensor]]:
    """Shuffled minibatches of about ``size`` steps: sequences [T', B', ...] and the memory at their start [B', ...].

    Without memory a step is a sequence of its own; with it, whole unrolls stay together.
    """
    steps, batch = data["advantage"].shape
    if memory.numel():
        order = torch.randperm(batch, generator=generator)
        for rows in order.split(max(1, size // steps)):
            yield optree.tree_map(lambda x: x[:, rows], data), memory[rows]  # noqa: B023
        return
    flat = optree.tree_map(lambda x: x.flatten(0, 1), data)
    for rows in torch.randperm(steps * batch, generator=generator).split(size):
        yield optree.tree_map(lambda x: x[rows][None], flat), memory[:0]  # noqa: B023


def check_finite(terms: dict[str, Tensor]) -> None:
    """Raises UserError naming the first term that is infinite or no number."""
    for name, term in terms.items():
        if not torch.isfinite(term):
            raise UserError(
                f"{name} is {float(term.detach())}: training cannot go on. The last checkpoint is unharmed; "
                "resume from it with a lower ppo.learning-rate or ppo.max-gradient-norm, and check that observations "
                "and rewards are finite."
            )
