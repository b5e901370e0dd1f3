"""The heads: one a leaf of the action space, and the value's."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from envs.spaces import Place, Planes, Pointer, Pointers, Units, at
from perceiver_policy.policy.distributions import Distribution, bernoulli, categorical, independent, normal
from perceiver_policy.policy.inputs import Tokens


class Head(nn.Module, ABC):
    """One leaf of the action space: the ``queries`` [Q, E] that it asks, and what it makes of the answers."""

    queries: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(count, width) * 0.02)

    def asked(self, tokens: Tokens, mask: Any) -> Tensor:
        """The queries [B or 1, Q, E] for these observations."""
        return self.queries[None]

    @abstractmethod
    def distribution(self, answers: Tensor, tokens: Tokens, mask: Any) -> Distribution:
        """Answers [B, Q, E], the observation's tokens, and this leaf's part of the action mask (or None)."""

    @abstractmethod
    def embed(self, action: Any, tokens: Tokens) -> Tensor:
        """Action [B, ...] -> [B, E]."""


class CategoricalHead(Head):
    """Discrete, and MultiDiscrete as one query with independent components."""

    offset: Tensor

    def __init__(self, space: spaces.Discrete | spaces.MultiDiscrete, width: int) -> None:
        super().__init__(1, width)
        self.single = isinstance(space, spaces.Discrete)
        self.counts = [int(n) for n in ([space.n] if isinstance(space, spaces.Discrete) else space.nvec.flatten())]
        self.shape = space.shape
        self.logits = last_layer(width, sum(self.counts))
        self.register_buffer("offset", torch.tensor(np.cumsum([0, *self.counts[:-1]])), persistent=False)
        self.embedding = nn.Embedding(sum(self.counts), width)

    def distribution(self, answers: Tensor, tokens: Tokens, mask: Any) -> Distribution:
        masks = (mask,) * len(self.counts) if self.single or mask is None else _tuple_of_masks(mask)
        parts = self.logits(answers[:, 0]).float().split(self.counts, -1)
        if len(masks) != len(parts):
            raise ValueError(f"action mask has {len(masks)} parts for {len(parts)} components of a MultiDiscrete")
        each = [categorical(logits, m) for logits, m in zip(parts, masks, strict=True)]
        return each[0] if self.single else independent(each, self.shape or ())

    def embed(self, action: Tensor, tokens: Tokens) -> Tensor:
        return self.embedding(action.reshape(len(action), len(self.counts)) + self.offset).sum(1)


class BernoulliHead(Head):
    """MultiBinary."""

    def __init__(self, space: spaces.MultiBinary, width: int) -> None:
        super().__init__(1, width)
        self.shape = space.shape
        self.logits = last_layer(width, math.prod(space.shape))
        self.embedding = nn.Linear(math.prod(space.shape), width, bias=False)

    def distribution(self, answers: Tensor, tokens: Tokens, mask: Any) -> Distribution:
        return bernoulli(self.logits(answers[:, 0]).float().unflatten(-1, self.shape), None)

    def embed(self, action: Tensor, tokens: Tokens) -> Tensor:
        return self.embedding(action.flatten(1).float())


class NormalHead(Head):
    """Box."""

    def __init__(self, space: spaces.Box, width: int) -> None:
        super().__init__(1, width)
        self.shape = space.shape
        self.mean = last_layer(width, math.prod(space.shape))
        # in the units of the bounds a deviation of 1/2 reaches the whole range; without bounds the unit is all there is
        bounded = torch.as_tensor(space.bounded_below & space.bounded_above)
        self.log_deviation = nn.Parameter(torch.where(bounded, math.log(0.5), 0.0))
        self.embedding = nn.Linear(math.prod(space.shape), width, bias=False)

    def distribution(self, answers: Tensor, tokens: Tokens, mask: Any) -> Distribution:
        return normal(self.mean(answers[:, 0]).float().unflatten(-1, self.shape), self.log_deviation)

    def embed(self, action: Tensor, tokens: Tokens) -> Tensor:
        return self.embedding(action.flatten(1))


class PointerHead(Head):
    """Pointer, Pointers and Place: the answer's dot product with each embedded unit or cell."""

    def __init__(self, space: Pointer | Pointers | Place, observation_space: spaces.Space[Any], width: int) -> None:
        super().__init__(1, width)
        self.of, self.several = space.of, isinstance(space, Pointers)
        self.count = _pointed_to(space, observation_space)
        self.ask = nn.Linear(width, width)
        with torch.no_grad():
            self.ask.weight *= 0.1  # nearly uniform at the start
        self.embedding = nn.Linear(width, width, bias=False)

    def distribution(self, answers: Tensor, tokens: Tokens, mask: Any) -> Distribution:
        elements = tokens.elements[self.of]
        logits = torch.einsum("bnc,bc->bn", elements, self.ask(answers[:, 0])).float() / math.sqrt(elements.shape[-1])
        valid = tokens.masks[self.of]
        missing = self.count - logits.shape[1]  # the embedded units end at the batch's last
        if missing:
            logits = F.pad(logits, (0, missing))
            valid = F.pad(valid, (0, missing)) if valid is not None else None
        if mask is not None:
            mask = mask.bool()
            valid = mask if valid is None else valid & mask
        return bernoulli(logits, valid) if self.several else categorical(logits, valid)

    def embed(self, action: Tensor, tokens: Tokens) -> Tensor:
        elements = tokens.elements[self.of]
        if self.several:
            weights = action[:, : elements.shape[1]].to(elements.dtype)
            chosen = (weights[:, :, None] * elements).sum(1) / weights.sum(1, keepdim=True).clamp(min=1)
        else:
            # an action that is not used may name a unit beyond the batch's last
            row = action.clamp(max=elements.shape[1] - 1)
            chosen = elements[torch.arange(len(elements), device=elements.device), row]
        return self.embedding(chosen)


class ValueHead(nn.Module):
    """Answers [B, 1, E] -> values [B], learned in units of their targets' mean and deviation.

    PopArt (van Hasselt et al. 2016, arXiv 1602.07714): when the units change, the layer changes so that the values
    stay what they were.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, 1)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))

    def forward(self, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Values, and the same normalized."""
        normalized = self.layer(answers)[:, 0, 0].float()
        return self.mean + self.deviation * normalized, normalized

    @torch.no_grad()
    def set_units(self, mean: Tensor, deviation: Tensor) -> None:
        """Change the units, and nothing else."""
        self.layer.weight *= self.deviation / deviation
        self.layer.bias.copy_((self.deviation * self.layer.bias + self.mean - mean) / deviation)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)


def make_head(space: spaces.Space[Any], path: str, observation_space: spaces.Space[Any], width: int) -> Head:
    """The head of a leaf space. Raises ValueError for a space that has none."""
    if isinstance(space, Pointer | Pointers | Place):
        return PointerHead(space, observation_space, width)
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return CategoricalHead(space, width)
    if isinstance(space, spaces.MultiBinary):
        return BernoulliHead(space, width)
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        return NormalHead(space, width)
    raise ValueError(
        f"action {path or 'space'!r}: {space} is not supported; use Discrete, MultiDiscrete, MultiBinary, "
        "a Box of floats, Pointer, Pointers, Place, Functions, or a Dict or Tuple of these"
    )


def _pointed_to(space: Pointer | Pointers | Place, observation_space: spaces.Space[Any]) -> int:
    """The number of rows or cells that it points to."""
    kind = Planes if isinstance(space, Place) else Units
    try:
        target = at(observation_space, space.of)
    except (KeyError, IndexError, TypeError, ValueError):
        target = None
    if not isinstance(target, kind):
        raise ValueError(
            f"{type(space).__name__} points to {space.of!r}, which is no {kind.__name__} of the observation"
        )
    count = target.height * target.width if isinstance(target, Planes) else target.capacity
    if count != space.n:
        raise ValueError(f"{type(space).__name__} of {space.of!r} has {space.n} choices for {count} rows or cells")
    return count


def last_layer(width: int, outputs: int) -> nn.Linear:
    """Small weights: at the start all actions are about equally likely (arXiv 2006.05990, section 3.2)."""
    layer = nn.Linear(width, outputs)
    nn.init.orthogonal_(layer.weight, 0.01)
    nn.init.zeros_(layer.bias)
    return layer


def _tuple_of_masks(mask: Any) -> tuple[Any, ...]:
    if isinstance(mask, tuple | list):
        return tuple(part for inner in mask for part in _tuple_of_masks(inner))
    return (mask,)
