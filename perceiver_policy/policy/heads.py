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

from envs.spaces import Place, Planes, Pointer, Pointers, SpaceError, Units, leaves, path_of
from perceiver_policy.policy.distributions import (
    CERTAIN,
    ILLEGAL,
    Distribution,
    Squash,
    bernoulli,
    categorical,
    independent,
    normal,
    squashed_normal,
)
from perceiver_policy.policy.inputs import Tokens
from perceiver_policy.policy.places import PlaceKeys, Scatter
from perceiver_policy.policy.selection import Selection

WIDEST = 2e6
"""A Box's side that is longer has no middle worth aiming at: some environments bound numbers by the largest float."""
LOG_DEVIATIONS = (-5.0, 2.0)
"""Between these a deviation is that the state decides: one observation unlike others must not make it infinite."""
MOST_STEPS = 64
"""Integers that an element of a Box may be chosen from one by one; more are a rounded number."""


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
    """Discrete, and as one query with independent components MultiDiscrete and a Box of few integers.

    ``rows`` is the path of a table that has a row for each value, if there is one: the choice may be of its rows, so
    their tokens' dot products with the answer are added. As a number alone a row is hard to say: on "shoot the weakest"
    of a table of six, 40,000 steps made 2.65 of 3.5.
    """

    offset: Tensor

    def __init__(
        self, counts: list[int], shape: tuple[int, ...], width: int, *, takes_mask: bool = True, rows: str | None = None
    ) -> None:
        super().__init__(1, width)
        self.counts, self.shape, self.takes_mask = counts, shape, takes_mask
        self.logits = last_layer(width, sum(counts))
        self.register_buffer("offset", torch.tensor(np.cumsum([0, *counts[:-1]])), persistent=False)
        self.embedding = nn.Embedding(sum(counts), width)
        self.rows, self.ask = rows, nn.Linear(width, width) if rows is not None else None
        if self.ask is not None:
            with torch.no_grad():
                self.ask.weight *= 0.1  # nearly uniform at the start

    def distribution(self, answers: Tensor, tokens: Tokens, mask: Any) -> Distribution:
        logits = self.logits(answers[:, 0]).float()
        if self.rows is not None and self.ask is not None:
            rows = tokens.elements[self.rows]
            pointed = torch.einsum("bnc,bc->bn", rows, self.ask(answers[:, 0])).float()
            logits = logits + pointed / math.sqrt(rows.shape[-1])
        parts = logits.split(self.counts, -1)
        masks = [None] * len(parts) if mask is None else self._masks(mask)
        each = [categorical(logits, m) for logits, m in zip(parts, masks, strict=True)]
        return independent(each, self.shape) if self.shape else each[0]

    def embed(self, action: Tensor, tokens: Tokens) -> Tensor:
        return self.embedding(action.reshape(action.shape[0], len(self.counts)) + self.offset).sum(1)

    def _masks(self, mask: Any) -> tuple[Tensor, ...]:
        """Each component's [B, n], of one array or a tuple of arrays as `envs.masks` has them."""
        if not self.takes_mask:
            raise ValueError("there is an action mask for a Box, which takes none")
        whole = torch.cat([part.flatten(1) for part in _arrays(mask)], 1)
        if whole.shape[1] != sum(self.counts):
            raise ValueError(f"an action mask of {whole.shape[1]} entries for components of {self.counts} values")
        return whole.split(self.counts, 1)


class BernoulliHead(Head):
    """MultiBinary. Its mask holds a bit at 0, or at 1, or leaves it free (2)."""

    def __init__(self, space: spaces.MultiBinary, width: int) -> None:
        super().__init__(1, width)
        self.shape = space.shape
        self.logits = last_layer(width, math.prod(space.shape))
        self.embedding = nn.Linear(math.prod(space.shape), width, bias=False)

    def distribution(self, answers: Tensor, tokens: Tokens, mask: Any) -> Distribution:
        logits = self.logits(answers[:, 0]).float().unflatten(-1, self.shape)
        if mask is not None:
            mask = mask.reshape(logits.shape)
            logits = logits.masked_fill(mask == 0, ILLEGAL).masked_fill(mask == 1, CERTAIN)
        return bernoulli(logits, None)

    def embed(self, action: Tensor, tokens: Tokens) -> Tensor:
        return self.embedding(action.flatten(1).float())


class NormalHead(Head):
    """Box, in the units of :func:`box_units`; of integers it is rounded by whoever hands it to an environment.

    Deviations are numbers of its own, or by the state; bounds are kept by whoever hands it over, or by a bijection.
    """

    low: Tensor
    high: Tensor

    def __init__(self, space: spaces.Box, width: int, deviation: str = "independent", bounds: str = "clip") -> None:
        super().__init__(1, width)
        self.shape, self.size = space.shape, math.prod(space.shape)
        self.mean = last_layer(width, self.size)
        # in the units of the bounds a deviation of 1/2 reaches the whole range; without bounds the unit is all there is
        bounded = torch.as_tensor(box_units(space)[2])
        self.log_deviation = nn.Parameter(torch.where(bounded, math.log(0.5), 0.0))
        self.embedding = nn.Linear(self.size, width, bias=False)
        self.spread = last_layer(width, self.size) if deviation == "state" else None
        self.squashed = bounds == "squash"
        if self.squashed:
            low, high = _bounds_in_units(space)
            self.register_buffer("low", low, persistent=False)
            self.register_buffer("high", high, persistent=False)

    def distribution(self, answers: Tensor, tokens: Tokens, mask: Any) -> Distribution:
        if mask is not None:
            raise ValueError("there is an action mask for a Box, which takes none")
        mean = self.mean(answers[:, 0]).float().view(-1, *self.shape)
        deviation: Tensor = self.log_deviation
        if self.spread is not None:
            by_state = self.spread(answers[:, 0]).float().view_as(mean)
            deviation = (deviation + by_state).clamp(*LOG_DEVIATIONS)
        if self.squashed:
            return squashed_normal(mean, deviation, Squash(self.low, self.high))
        return normal(mean, deviation)

    def embed(self, action: Tensor, tokens: Tokens) -> Tensor:
        return self.embedding(action.reshape(action.shape[0], self.size))


def box_units(space: spaces.Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each element of a Box: what an action of 0 means, what a step of 1 means, and whether its bounds say so.

    Between bounds -1 and 1 are the bounds. Where a bound is missing, or so far away that it says nothing, a step is 1
    and 0 stays 0, or is the nearest number to it that is a step within the bound.
    """
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        width = high - low
        away = np.maximum(np.maximum(low, -high), 0)  # from 0 to the interval
        step = np.maximum(1.0, away * 1e-6)  # a float of 1e30 does not see a step of 1
        bounded = width < WIDEST
        open_middle = np.minimum(np.maximum(0.0, low + step), high - step)
        middle, half = np.where(bounded, low + width / 2, open_middle), np.where(bounded, width / 2, step)
    return middle, half, bounded


def _bounds_in_units(space: spaces.Box) -> tuple[Tensor, Tensor]:
    """The bounds that an action is kept within, in the units of :func:`box_units`: one or both, or infinite."""
    middle, half, bounded = box_units(space)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        low, high = (bound.astype(np.float64) - middle for bound in (space.low, space.high))
        low, high = low / np.where(half > 0, half, 1), high / np.where(half > 0, half, 1)
    low = np.where(low > -WIDEST, low, -np.inf)
    high = np.where((high < WIDEST) & ~np.isfinite(low), high, np.inf)  # of two, one is far away
    return torch.as_tensor(np.where(bounded, -1.0, low)).float(), torch.as_tensor(np.where(bounded, 1.0, high)).float()


def box_counts(space: spaces.Box) -> list[int] | None:
    """How many integers each element is chosen from, one by one; None for a Box whose numbers are drawn and rounded."""
    if space.dtype.kind not in "iub":
        return None
    counts = space.high.astype(np.float64) - space.low.astype(np.float64) + 1
    return [int(n) for n in counts.ravel()] if (counts <= MOST_STEPS).all() else None


class PointerHead(Head):
    """Pointer, Pointers and Place: the answer's dot product with each embedded unit or cell.

    ``scatter``: to a cell's is added that with the tokens of the units that stand in it, the scatter connection of
    AlphaStar (Vinyals et al. 2019) for what is chosen: "where the weakest one is" needs no number then.
    """

    def __init__(
        self,
        space: Pointer | Pointers | Place,
        observation_space: spaces.Space[Any],
        width: int,
        bands: int,
        scatter: bool = False,
    ) -> None:
        super().__init__(1, width)
        self.of, self.count = space.of, pointed_to(space, observation_space)
        self.places: PlaceKeys | None = None
        if isinstance(space, Place) and space.of is None:
            self.places = PlaceKeys(space.height, space.width, width, bands)
        self.standing: Scatter | None = None
        if scatter and isinstance(space, Place) and space.units is not None:
            self.standing = Scatter(space, observation_space, width)
        self.selection = Selection(width) if isinstance(space, Pointers) else None
        self.ask = nn.Linear(width, width)
        with torch.no_grad():
            self.ask.weight *= 0.1  # nearly uniform at the start
        self.embedding = nn.Linear(width, width, bias=False)

    def distribution(self, answers: Tensor, tokens: Tokens, mask: Any) -> Distribution:
        elements, valid = self._elements(tokens)
        query = self.ask(answers[:, 0])
        missing = self.count - elements.shape[-2]  # the embedded units end at the batch's last
        if self.selection is not None:
            assert valid is not None  # units have a mask
            legal = valid if mask is None else valid & mask[:, : valid.shape[1]].bool()
            return self.selection(elements, query, legal, self.count)
        # keys of places alone are the same for the whole batch
        logits = torch.einsum("nc,bc->bn" if elements.dim() == 2 else "bnc,bc->bn", elements, query).float()
        logits = F.pad(logits / math.sqrt(elements.shape[-1]), (0, missing))
        if self.standing is not None:
            logits = logits + self.standing(answers[:, 0], tokens)
        if missing and valid is not None:
            valid = F.pad(valid, (0, missing))
        if mask is not None:
            mask = mask.bool()
            valid = mask if valid is None else valid & mask
        return categorical(logits, valid)

    def embed(self, action: Tensor, tokens: Tokens) -> Tensor:
        elements, _ = self._elements(tokens)
        if self.selection is not None:
            weights = action[:, : elements.shape[1]].to(elements.dtype)
            chosen = (weights[:, :, None] * elements).sum(1) / weights.sum(1, keepdim=True).clamp(min=1)
        elif elements.dim() == 2:
            chosen = elements[action]
        else:
            # an action that is not used may name a unit beyond the batch's last
            row = action.clamp(max=elements.shape[1] - 1)
            chosen = elements[torch.arange(elements.shape[0], device=elements.device), row]
        return self.embedding(chosen)

    def _elements(self, tokens: Tokens) -> tuple[Tensor, Tensor | None]:
        """What is pointed to, [B, n, C] or, alike for all, [n, C]; and which of it is there."""
        if self.places is not None:
            return self.places(), None
        assert self.of is not None
        return tokens.elements[self.of], tokens.masks[self.of]


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


def pointed_to(space: Pointer | Pointers | Place, observation_space: spaces.Space[Any]) -> int:
    """The number of rows or cells that it points to."""
    if space.of is None:
        return int(space.n)
    kind = Planes if isinstance(space, Place) else Units
    seen = {path_of(observation_space, keys): part for keys, part in leaves(observation_space)}
    target = seen.get(space.of)
    if not isinstance(target, kind):
        known = [path for path, part in seen.items() if isinstance(part, kind)]
        raise SpaceError(
            f"{type(space).__name__} points to {space.of!r}, which is no {kind.__name__} of the observation; "
            f"it has {known or 'none'}"
        )
    assert isinstance(target, Planes | Units)
    count = target.height * target.width if isinstance(target, Planes) else target.capacity
    if count != space.n:
        raise SpaceError(f"{type(space).__name__} of {space.of!r} has {space.n} choices for {count} rows or cells")
    return count


def last_layer(width: int, outputs: int) -> nn.Linear:
    """Small weights: at the start all actions are about equally likely (arXiv 2006.05990, section 3.2)."""
    layer = nn.Linear(width, outputs)
    nn.init.orthogonal_(layer.weight, 0.01)
    nn.init.zeros_(layer.bias)
    return layer


def _arrays(mask: Any) -> list[Tensor]:
    return [array for part in mask for array in _arrays(part)] if isinstance(mask, tuple | list) else [mask]
