"""Returns and advantages: pure functions on tensors [T, B], time first."""

from __future__ import annotations

import torch
from torch import Tensor


def gae(rewards: Tensor, values: Tensor, next_values: Tensor, ends: Tensor, gamma: float, lam: float) -> Tensor:
    """Generalized advantage estimate (Schulman et al. 2016, arXiv 1506.02438, equation 16), [T, B].

    ``next_values``: the value of what follows each step *within its episode*: zero after a termination, the final
    observation's value after a truncation. ``ends`` [T, B] is True on an episode's last step, either way.
    """
    deltas = rewards + gamma * next_values - values
    carry = gamma * lam * (~ends)
    advantages = torch.empty_like(deltas)
    advantage = torch.zeros_like(deltas[0])
    for t in range(len(deltas) - 1, -1, -1):
        advantage = torch.addcmul(deltas[t], carry[t], advantage)
        advantages[t] = advantage
    return advantages
