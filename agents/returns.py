"""Returns and advantages: pure functions on tensors [T, B], time first; and the scale of returns."""

from __future__ import annotations

import torch
from torch import Tensor


def gae(rewards: Tensor, values: Tensor, next_values: Tensor, ends: Tensor, gamma: float, lam: float) -> Tensor:
    """Generalized advantage estimate (Schulman et al. 2016, arXiv 1506.02438, equation 16), [T, B].

    ``next_values``: the value of what follows each step *within its episode*: zero after a termination, the final
    observation's value after a truncation. ``ends`` [T, B] is True on an episode's last step, either way.
    """
    deltas = rewards + gamma * next_values - values
    carry = gamma * lam * (~ends).to(deltas.dtype)
    advantages = torch.empty_like(deltas)
    advantage = torch.zeros_like(deltas[0])
    for t in range(len(deltas) - 1, -1, -1):
        advantage = torch.addcmul(deltas[t], carry[t], advantage)
        advantages[t] = advantage
    return advantages


class ReturnScale:
    """Mean and deviation of recent returns, for PopArt (arXiv 1602.07714): exponential averages over updates."""

    def __init__(self, rate: float = 0.01) -> None:
        self.rate = rate
        self.weight, self.mean, self.square = torch.zeros(3, dtype=torch.float64)

    def learn(self, returns: Tensor) -> None:
        """Add an update's returns, of any shape."""
        returns = returns.double()
        self.weight = self.weight + self.rate * (1 - self.weight)
        self.mean = self.mean + self.rate * (returns.mean() - self.mean)
        self.square = self.square + self.rate * (returns.square().mean() - self.square)

    def units(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation, corrected for the start at zero; the deviation is at least 1e-4."""
        mean, square = self.mean / self.weight, self.square / self.weight
        return mean.float(), (square - mean.square()).clamp(min=1e-8).sqrt().float()

    def state_dict(self) -> dict[str, Tensor]:
        return {"weight": self.weight, "mean": self.mean, "square": self.square}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.weight, self.mean, self.square = state["weight"], state["mean"], state["square"]
