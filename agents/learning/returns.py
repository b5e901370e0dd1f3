"""Returns and advantages: pure functions on tensors [T, B], time first; and the scale of returns.

Everywhere ``next_values`` [T, B] are the values of what follows each step *within its episode*: zero after a
termination, the final observation's value after a truncation. ``ends`` [T, B] is True on an episode's last step, either
way. So a step that ends its episode hears of what comes after from its own ``next_values`` alone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def gae(rewards: Tensor, values: Tensor, next_values: Tensor, ends: Tensor, gamma: float, lam: float) -> Tensor:
    """Generalized advantage estimate (Schulman et al. 2016, arXiv 1506.02438, equation 16), [T, B]."""
    deltas = rewards + gamma * next_values - values
    return _discounted_sum(deltas, gamma * lam * (~ends).to(deltas.dtype))


def td_lambda(rewards: Tensor, next_values: Tensor, ends: Tensor, gamma: float, lam: float) -> Tensor:
    """Lambda-returns (Sutton and Barto 2018, equation 12.18), [T, B].

    G_t = r_t + gamma ((1 - lam) V_{t+1} + lam G_{t+1}), and after the last step V alone.
    """
    passed = lam * (~ends).to(rewards.dtype)
    passed[-1] = 0
    return _discounted_sum(rewards + gamma * (1 - passed) * next_values, gamma * passed)


class VTrace(NamedTuple):
    """What :func:`vtrace` returns, each [T, B]."""

    targets: Tensor
    """v_t: what values are to become."""
    advantages: Tensor
    """Of the actions taken, weighed with min(rho-bar, ratio): what the policy gradient multiplies."""


def vtrace(
    log_ratios: Tensor,
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    ends: Tensor,
    gamma: float,
    lam: float = 1.0,
    rho_clip: float = 1.0,
    c_clip: float = 1.0,
) -> VTrace:
    """V-trace (Espeholt et al. 2018, arXiv 1802.01561, equation 1 and section 4.2).

    ``log_ratios``: log pi(a|x) - log mu(a|x), of the whole joint action; mu acted, pi's values are given.

    v_t = V_t + sum over u >= t of gamma^(u-t) (c_t ... c_{u-1}) rho_u delta_u, with rho = min(rho_clip, ratio) and
    c = lam min(c_clip, ratio). The advantage is rho_t (r_t + gamma V' - V_t), where V' mixes v_{t+1} and V_{t+1} as lam
    says: with lam = 1 the paper's; where the policies are one, the generalized advantage estimate, for any lam.
    """
    ratios = log_ratios.exp()
    rho, c = ratios.clamp(max=rho_clip), lam * ratios.clamp(max=c_clip)
    going = (~ends).to(values.dtype)
    deltas = rho * (rewards + gamma * next_values - values)
    above = _discounted_sum(deltas, gamma * c * going)  # v - V
    next_above = torch.cat((above[1:], torch.zeros_like(above[:1]))) * going
    advantages = rho * (rewards + gamma * (next_values + lam * next_above) - values)
    return VTrace(values + above, advantages)


def upgo(rewards: Tensor, values: Tensor, next_values: Tensor, ends: Tensor, gamma: float) -> Tensor:
    """Upgoing returns (Vinyals et al. 2019, doi 10.1038/s41586-019-1724-z, methods), [T, B].

    G_t = r_t + gamma G_{t+1} as long as the next step went no worse than its value foresaw,
    r_{t+1} + gamma V_{t+2} >= V_{t+1}; else, and after the last step, r_t + gamma V_{t+1}.
    """
    well = rewards + gamma * next_values >= values
    passed = torch.zeros_like(rewards)
    passed[:-1] = (well[1:] & ~ends[:-1]).to(rewards.dtype)
    return _discounted_sum(rewards + gamma * (1 - passed) * next_values, gamma * passed)


def _discounted_sum(terms: Tensor, carries: Tensor) -> Tensor:
    """S_t = terms_t + carries_t S_{t+1}, [T, B]; nothing follows the last."""
    sums = torch.empty_like(terms)
    total = torch.zeros_like(terms[0])
    for t in range(len(terms) - 1, -1, -1):
        total = torch.addcmul(terms[t], carries[t], total)
        sums[t] = total
    return sums


class ReturnScale:
    """Mean and deviation of recent returns, for PopArt (arXiv 1602.07714): exponential averages over updates."""

    def __init__(self, rate: float = 0.01) -> None:
        self.rate = rate
        self.weight, self.mean, self.square = torch.zeros(3, dtype=torch.float64)

    def learn(self, mean: Tensor, variance: Tensor) -> None:
        """Add an update's returns: their mean and variance."""
        mean, square = mean.cpu(), (variance + mean.square()).cpu()
        self.weight = self.weight + self.rate * (1 - self.weight)
        self.mean = self.mean + self.rate * (mean - self.mean)
        self.square = self.square + self.rate * (square - self.square)

    def units(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation, corrected for the start at zero; the deviation is at least 1e-4."""
        mean, square = self.mean / self.weight, self.square / self.weight
        return mean.float(), (square - mean.square()).clamp(min=1e-8).sqrt().float()

    def state_dict(self) -> dict[str, Tensor]:
        return {"weight": self.weight, "mean": self.mean, "square": self.square}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.weight, self.mean, self.square = state["weight"], state["mean"], state["square"]
