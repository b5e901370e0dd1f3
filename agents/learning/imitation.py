"""Behaviour cloning: a policy's own heads learn what a demonstrator chose, its value what the demonstrator earned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import optree
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from agents.acting.demonstrations import Demonstrations
from agents.acting.rollout import as_tensor
from agents.learning.gradient import check_finite, parts
from agents.learning.imitation_config import ImitationConfig
from envs.spaces import PerUnit, at
from perceiver_policy.policy.distributions import ILLEGAL
from perceiver_policy.policy.outputs import from_environment
from perceiver_policy.policy.policy import PerceiverPolicy

PART = 64
"""Steps of a minibatch that are learned from at once, where they differ in length."""


def imitate(
    policy: PerceiverPolicy,
    data: Demonstrations,
    config: ImitationConfig,
    *,
    seed: int,
    on_epoch: Callable[[int, dict[str, float]], None] = lambda epoch, metrics: None,
) -> dict[str, float]:
    """Train ``policy`` on what was demonstrated; returns the last pass's measures.

    ``imitation/loss`` is minus the mean log-probability of a step's whole action, ``imitation/held_out`` the same of
    episodes that were not learned from, ``imitation/left_out`` the share of steps whose action the mask forbids.
    """
    device = next(policy.parameters()).device
    steps: Any = optree.tree_map(lambda x: as_tensor(x).to(device), _steps(policy, data, config.gamma))
    head = policy.outputs.value_head
    returns = steps["target"]
    head.set_units(returns.mean(), returns.std().clamp(min=1e-3))
    steps["target"] = (returns - head.mean) / head.deviation
    policy.inputs.learn_scales(steps["observation"])
    seen, unseen = _split(steps, data.first, config.held_out)
    scarcity = _scarcity(policy, seen["action"])
    optimizer = torch.optim.Adam(policy.parameters(), config.learning_rate, eps=1e-5)
    batches = max(1, len(seen["first"]) // config.minibatch) * config.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / batches))
    generator = torch.Generator().manual_seed(seed)
    metrics: dict[str, float] = {}
    for epoch in range(1, config.epochs + 1):
        losses = []
        left = 1 - (epoch - 1) / max(1, config.epochs - 1)
        weights = None if config.rare == 0 or left == 0 else scarcity ** (config.rare * left)
        for batch in _batches(seen, policy, config, generator, weights):
            optimizer.zero_grad(set_to_none=True)
            found = np.zeros(3)
            for part, share in batch:
                loss, value, left_out = _losses(policy, part)
                (share * (loss + config.value_coefficient * value)).backward()
                found += share * np.array([float(loss.detach()), float(value.detach()), float(left_out)])
            nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(found)
        mean = np.mean(losses, 0)
        names = ("loss", "value_loss", "left_out")
        metrics = {f"imitation/{name}": float(value) for name, value in zip(names, mean, strict=True)}
        if unseen is not None:
            with torch.no_grad():
                told = [
                    sum(share * float(_losses(policy, part)[0]) for part, share in batch)
                    for batch in _batches(unseen, policy, config, None)
                ]
            metrics["imitation/held_out"] = float(np.mean(told))
        check_finite(metrics)
        on_epoch(epoch, metrics)
    return metrics


def _steps(policy: PerceiverPolicy, data: Demonstrations, gamma: float) -> Any:
    return {
        "observation": data.observation,
        "action": from_environment(policy.action_space, data.action),
        "first": data.first,
        "target": data.returns_to_go(gamma),
    }


def _split(steps: Any, first: np.ndarray, share: float) -> tuple[Any, Any]:
    """What is learned from, and the last whole episodes of about that ``share`` of the steps."""
    starts = np.flatnonzero(first)
    if share == 0 or len(starts) < 2:
        return steps, None
    later = starts[starts >= (1 - share) * len(first)]
    cut = int(later[0] if len(later) else starts[-1])
    return optree.tree_map(lambda x: x[:cut], steps), optree.tree_map(lambda x: x[cut:], steps)


def _scarcity(policy: PerceiverPolicy, action: Any) -> Tensor:
    """How many steps there are for each one with a step's rarest choice [N]; 1 where nothing is chosen of a few."""
    found = torch.ones(len(optree.tree_leaves(action)[0]))
    for leaf in policy.outputs.leaves:
        if isinstance(leaf.space, PerUnit):
            chosen = at(action, leaf.keys)["function"]
            has = F.one_hot(chosen, len(leaf.space.names)).amax(1)
        elif isinstance(leaf.space, spaces.Discrete):
            has = F.one_hot(at(action, leaf.keys), int(leaf.space.n))
        else:
            continue
        each = len(has) / has.sum(0).clamp(min=1)
        found = torch.maximum(found, (has * each).amax(1).cpu())
    return found


def _batches(
    steps: Any,
    policy: PerceiverPolicy,
    config: ImitationConfig,
    generator: torch.Generator | None,
    weights: Tensor | None = None,
) -> Iterator[list[tuple[dict[str, Any], float]]]:
    """Minibatches [T, B, ...], shuffled by ``generator``: of single steps, or with memory of steps in a row. With
    ``weights`` [N] they are drawn by these instead.

    Each in parts of observations that are about as long (:func:`agents.learning.gradient.parts`), with their shares.
    """
    count = len(steps["first"])
    length = 1 if policy.memory is None else min(config.sequence, count)
    lengths = policy.trim.lengths(steps["observation"]) if length == 1 else None
    rows = torch.arange(count - count % length).view(-1, length)
    if weights is not None:
        rows = rows[torch.multinomial(weights[rows].mean(1), len(rows), replacement=True, generator=generator)]
    elif generator is not None:
        rows = rows[torch.randperm(len(rows), generator=generator)]
    for chosen in rows.split(max(1, config.minibatch // length)):
        batch = []
        for part in parts(chosen[:, 0], lengths, PART) if length == 1 else [chosen]:
            index = part.view(-1, length).T
            taken: Any = optree.tree_map(lambda x: x[index], steps)  # noqa: B023
            batch.append((taken, index.numel() / chosen.numel()))
        yield batch


def _losses(policy: PerceiverPolicy, batch: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """The policy's loss, the value's, and the share of steps that are left out: their actions are not legal, and would
    only push against all that is."""
    first = batch["first"]
    memory = policy.initial_memory(first.shape[1]).to(first.device)
    evaluated = policy.evaluate_actions(batch["observation"], batch["action"], memory, first, entropy=False)
    error = (evaluated.normalized_value - batch["target"]).square()
    legal = evaluated.log_prob > ILLEGAL / 2
    return -torch.where(legal, evaluated.log_prob, 0.0).mean(), 0.5 * error.mean(), 1 - legal.float().mean()
