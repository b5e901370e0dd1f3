"""Noise that lasts: of continuous actions, what is drawn in one step is like what was drawn in the step before."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class LastingNoise:
    """Standard normal numbers [B, size] of which successive ones have the correlation that it is made with.

    An Ornstein-Uhlenbeck process at whole steps, z' = c z + sqrt(1 - c^2) e, anew in each episode. Each number by
    itself is as normal as any, so that log-probabilities stay what they are; pushes that last get somewhere where
    one-step noise averages out. Used for DDPG (arXiv 1509.02971); in on-policy learning see arXiv 2312.11091.
    """

    def __init__(self, size: int, correlation: float) -> None:
        self.size, self.correlation = size, correlation

    def next(self, noise: Tensor, first: Tensor, generator: torch.Generator | None) -> Tensor:
        """The numbers after ``noise`` [B, size]; ``first`` [B] marks where an episode begins."""
        fresh = torch.empty_like(noise).normal_(generator=generator)
        lasting = self.correlation * noise + math.sqrt(1 - self.correlation**2) * fresh
        return torch.where(first[:, None], fresh, lasting)
