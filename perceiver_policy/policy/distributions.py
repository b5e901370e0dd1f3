"""Distributions over one leaf of an action space: masked, batched, with a sample that a generator decides."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

ILLEGAL = -1e9  # far below any logit, yet finite after log-softmax
CERTAIN = 1e9
NEAREST = 1e-6
"""How near to a bound a squashed action comes, in its own units."""
_POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(24)
_HERMITE = (_POINTS.tolist(), (_WEIGHTS / math.sqrt(2 * math.pi)).tolist())


@dataclass
class Distribution:
    """One head's distribution: log-probability and entropy of an action, a sample, the likeliest action.

    ``divergence`` of another of the same kind: KL(other || this) [B]; it reads the other's ``parameters``.
    ``given``, where an action is made in steps: the steps' distributions along a known action, whose entropy and
    divergence stand for this one's. ``from_noise``, of what is drawn by a standard normal number [B, n] an element: the
    action that such numbers make.
    """

    log_prob: Callable[[Any], Tensor]
    entropy: Callable[[], Tensor]
    sample: Callable[[torch.Generator | None], Any]
    best: Callable[[], Any]
    parameters: Any
    divergence: Callable[[Distribution], Tensor]
    given: Callable[[Tensor], Distribution] | None = None
    from_noise: Callable[[Tensor], Tensor] | None = None


def draw(p: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draws from the last axis by probabilities: p / e, with exponential e, is largest at i with probability p_i.

    A number that is drawn evenly and its logarithm cost a fraction of an exponential one.
    """
    even = torch.empty_like(p).uniform_(generator=generator)
    # 0 has no logarithm, and the only legal choice may be the one that draws it
    return (p / even.clamp_(min=torch.finfo(p.dtype).tiny).log_().neg_()).argmax(-1)


def categorical(logits: Tensor, mask: Tensor | None) -> Distribution:
    """Over logits [B, n], mask [B, n]; where nothing is legal, everything is equally likely."""
    if mask is not None:
        logits = logits.masked_fill(~mask.bool(), ILLEGAL)
    log_p = logits.log_softmax(-1)  # its softmax is what its exp is; exp is slow below e^-87

    return Distribution(
        log_prob=lambda action: log_p.gather(-1, action.long()[:, None])[:, 0],
        entropy=lambda: -(log_p.softmax(-1) * log_p).sum(-1),
        sample=lambda generator: draw(log_p.softmax(-1), generator),
        best=lambda: logits.argmax(-1),
        parameters=log_p,
        divergence=lambda other: (other.parameters.softmax(-1) * (other.parameters - log_p)).sum(-1),
    )


def bernoulli(logits: Tensor, mask: Tensor | None) -> Distribution:
    """Independent, over logits [B, ...]; where the mask is False the action is 0, for certain.

    A logit of `CERTAIN` is a 1 for certain: like a 0 for certain it has log-probability and entropy 0.
    """
    if mask is not None:
        logits = logits.masked_fill(~mask, ILLEGAL)

    def log_prob(action: Tensor) -> Tensor:
        return -_sum(F.binary_cross_entropy_with_logits(logits, action.float(), reduction="none"))

    def entropy() -> Tensor:
        p = logits.sigmoid()
        return _sum(p * F.softplus(-logits) + (1 - p) * F.softplus(logits))

    def sample(generator: torch.Generator | None) -> Tensor:
        return (torch.empty_like(logits).uniform_(generator=generator) < logits.sigmoid()).long()

    def divergence(other: Distribution) -> Tensor:
        theirs = other.parameters
        return _sum(
            theirs.sigmoid() * (F.logsigmoid(theirs) - F.logsigmoid(logits))
            + (-theirs).sigmoid() * (F.logsigmoid(-theirs) - F.logsigmoid(-logits))
        )

    return Distribution(log_prob, entropy, sample, lambda: (logits > 0).long(), logits, divergence)


def normal(mean: Tensor, log_deviation: Tensor) -> Distribution:
    """Independent normals with means [B, ...] and log-deviations [...] or [B, ...]."""
    deviation = log_deviation.exp()

    def log_prob(action: Tensor) -> Tensor:
        z = (action - mean) / deviation
        return _sum(-0.5 * z.square() - log_deviation - 0.5 * math.log(2 * math.pi))

    def entropy() -> Tensor:
        return _sum((log_deviation + 0.5 * math.log(2 * math.pi * math.e)).expand_as(mean))

    def from_noise(noise: Tensor) -> Tensor:
        return mean + deviation * noise.view_as(mean)

    def sample(generator: torch.Generator | None) -> Tensor:
        return from_noise(torch.empty_like(mean).normal_(generator=generator))

    def divergence(other: Distribution) -> Tensor:
        theirs, their_log_deviation = other.parameters
        ratio = (their_log_deviation - log_deviation).exp()
        apart = ((theirs - mean) / deviation).square()
        return _sum(0.5 * (ratio.square() + apart - 1) - ratio.log())

    parameters = (mean, log_deviation)
    return Distribution(log_prob, entropy, sample, lambda: mean, parameters, divergence, from_noise=from_noise)


@dataclass(frozen=True)
class Squash:
    """A bijection of the line, element by element, onto what lies within ``low`` and ``high`` (or without: infinite).

    Two bounds are -1 and 1: tanh. One: softplus, which far from the bound is the number itself.
    """

    low: Tensor
    high: Tensor

    def __call__(self, line: Tensor) -> Tensor:
        low, high, both, above, below = self._bounds()
        one = torch.where(above, low + F.softplus(line - low), high - F.softplus(high - line))
        squashed = torch.where(both, line.tanh(), torch.where(above | below, one, line))
        # where a float says no more than the bound, the way back still finds a number
        return torch.minimum(torch.maximum(squashed, self.low + NEAREST), self.high - NEAREST)

    def inverse(self, action: Tensor) -> Tensor:
        """What has become ``action``."""
        low, high, both, above, below = self._bounds()
        one = torch.where(above, low + _unsoftplus(action - low), high - _unsoftplus(high - action))
        line = torch.where(above | below, one, action)
        return torch.where(both, action.clamp(-1 + NEAREST, 1 - NEAREST).atanh(), line)

    def log_slope(self, line: Tensor) -> Tensor:
        """The logarithm of its derivative."""
        low, high, both, above, below = self._bounds()
        one = torch.where(above, F.logsigmoid(line - low), F.logsigmoid(high - line))
        slope = torch.where(above | below, one, torch.zeros_like(line))
        return torch.where(both, 2 * (math.log(2) - line - F.softplus(-2 * line)), slope)

    def _bounds(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Finite bounds, and where there are both, only the lower one, only the upper one."""
        above, below = self.low.isfinite(), self.high.isfinite()
        return (
            self.low.nan_to_num(0, 0, 0),
            self.high.nan_to_num(0, 0, 0),
            above & below,
            above & ~below,
            below & ~above,
        )


def squashed_normal(mean: Tensor, log_deviation: Tensor, squash: Squash) -> Distribution:
    """Normals that a bijection brings within bounds; actions are within them, log-probabilities those of actions.

    The entropy is the normal's and the mean of the bijection's log-slope under it, by Gauss-Hermite quadrature; the
    divergence is the normals': a bijection does not change it.
    """
    line = normal(mean, log_deviation)

    def log_prob(action: Tensor) -> Tensor:
        before = squash.inverse(action)
        return line.log_prob(before) - _sum(squash.log_slope(before).expand_as(mean))

    def entropy() -> Tensor:
        deviation = log_deviation.exp()
        slope = sum(w * squash.log_slope(mean + deviation * x) for x, w in zip(*_HERMITE, strict=True))
        return line.entropy() + _sum(cast(Tensor, slope).expand_as(mean))

    return Distribution(
        log_prob,
        entropy,
        lambda generator: squash(line.sample(generator)),
        lambda: squash(mean),
        line.parameters,
        line.divergence,
        from_noise=lambda noise: squash(cast(Any, line.from_noise)(noise)),
    )


def _unsoftplus(y: Tensor) -> Tensor:
    y = y.clamp(min=NEAREST)
    return y + (-torch.expm1(-y)).log()


def _sum(x: Tensor) -> Tensor:
    """[B, ...] -> [B]."""
    return x.flatten(1).sum(1) if x.dim() > 1 else x


def independent(each: list[Distribution], shape: tuple[int, ...]) -> Distribution:
    """Components [B, *shape] that do not depend on each other."""

    def log_prob(action: Tensor) -> Tensor:
        columns = action.flatten(1).unbind(1)
        return torch.stack([s.log_prob(c) for s, c in zip(each, columns, strict=True)]).sum(0)

    return Distribution(
        log_prob,
        lambda: torch.stack([s.entropy() for s in each]).sum(0),
        lambda generator: torch.stack([s.sample(generator) for s in each], 1).unflatten(1, shape),
        lambda: torch.stack([s.best() for s in each], 1).unflatten(1, shape),
        each,
        lambda other: torch.stack([s.divergence(o) for s, o in zip(each, other.parameters, strict=True)]).sum(0),
    )
