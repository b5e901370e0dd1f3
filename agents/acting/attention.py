"""What a policy looks at, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import optree
import torch
from torch import Tensor

from perceiver_policy.core.attention import attention_maps
from perceiver_policy.policy.policy import PerceiverPolicy


@dataclass(frozen=True)
class Looks:
    """Of the first game of a batch: where the latents' attention goes, and the entropies of what is chosen."""

    weights: dict[str, np.ndarray]
    """Of each part of the observation, by its path: the share of the attention that each of its tokens gets, over all
    latents and heads of the encoder's cross-attends. Together they are 1, but for what goes to a learned token."""
    entropies: dict[str, float]
    """Of each head, by its path, in nats: 0 is sure."""


def looks(policy: PerceiverPolicy, observation: Any, action: Any, memory: Tensor, first: Tensor) -> Looks:
    """What the policy looks at in the first of the observations [B, ...] (tensors), and how sure it is of actions."""
    maps = attention_maps(policy, observation, action, memory, first)
    read = [weights[0].mean((0, 1)) for name, weights in maps.items() if name.startswith("encoder.cross.")]
    shares = torch.stack(read).mean(0)
    with torch.no_grad():
        tokens = policy.inputs(policy.trim(observation))
        seen, done = (optree.tree_map(lambda x: x[None], nest) for nest in (observation, action))
        evaluated = policy.evaluate_actions(seen, done, memory, first[None])
    weights, start = {}, 0
    for path, count in policy.inputs.counts(tokens).items():
        weights[path] = shares[start : start + count].cpu().numpy()
        start += count
    return Looks(weights, {path: float(entropy[0, 0]) for path, entropy in evaluated.entropies.items()})
