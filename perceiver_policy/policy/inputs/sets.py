"""Embedders of values, and of what holds several of them: texts, sequences, graphs, alternatives (`envs.arrays`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from envs.arrays import Alternatives, Characters, Elements, Linked
from envs.spaces import SpaceError

MOST_VALUES = 2**16
"""Of a Discrete, or of a MultiDiscrete's components together: each value has an embedding of its own."""

Total = Callable[[Tensor], Tensor]


class DiscreteEmbedder(nn.Module):
    """Discrete [B] -> [B, 1, C], MultiDiscrete [B, K] -> [B, K, C]."""

    start: Tensor
    offset: Tensor

    def __init__(self, space: spaces.Discrete | spaces.MultiDiscrete, width: int) -> None:
        super().__init__()
        counts = torch.tensor(counts_of(space))
        self.register_buffer("start", torch.as_tensor(space.start.astype(np.int64)).flatten(), persistent=False)
        self.register_buffer("offset", counts.cumsum(0) - counts, persistent=False)
        self.embed = nn.Embedding(int(counts.sum()), width)
        self.most = len(counts)
        self.words = f"one of {counts[0]}" if len(counts) == 1 else f"{len(counts)} choices"

    def forward(self, value: Tensor) -> tuple[Tensor, None]:
        value = value.reshape(value.shape[0], -1).long()
        return self.embed(value - self.start + self.offset), None


class CharactersEmbedder(nn.Module):
    """[B, L] -> [B, L, C]: which character, and where; masked where the text has ended."""

    may_be_empty = True

    def __init__(self, space: Characters, width: int) -> None:
        super().__init__()
        self.most = space.shape[0]
        self.embed = nn.Embedding(len(space.charset) + 2, width)
        self.place = _places(self.most, width)
        self.words = f"text of up to {self.most} characters"

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        return self.embed(value.long()) + self.place, value > 0


class ElementsEmbedder(nn.Module):
    """{"elements": [B, n, ...], "mask": [B, n]} -> [B, n, C]: the mean of each element's tokens, and its place."""

    may_be_empty = True

    def __init__(self, space: Elements, width: int, read: Any) -> None:
        super().__init__()
        self.most, self.read = space.capacity, read
        self.place = _places(self.most, width)
        self.words = f"up to {self.most} elements"

    def forward(self, value: dict[str, Any]) -> tuple[Tensor, Tensor]:
        return _one_each(self.read, value["elements"], self.most) + self.place, value["mask"].bool()

    def learn_scales(self, value: dict[str, Any], total: Total) -> None:
        """Add the elements that are there to the statistics."""
        self.read.learn_scales(_there(value["elements"], value["mask"]), total)


class LinkedEmbedder(nn.Module):
    """A graph [B, ...] -> [B, nodes + edges, C]: an edge is what it carries and the nodes that it leads from and to."""

    may_be_empty = True

    def __init__(self, space: Linked, width: int, read_node: Any, read_edge: Any) -> None:
        super().__init__()
        self.capacity, self.most = space.capacity, space.capacity + space.edge_capacity
        self.read_node, self.read_edge = read_node, read_edge
        self.place = _places(self.capacity, width)
        self.edge = nn.Parameter(torch.randn(width) / math.sqrt(width))
        self.source, self.target = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.words = f"graph of up to {space.capacity} nodes and {space.edge_capacity} edges"

    def forward(self, value: dict[str, Any]) -> tuple[Tensor, Tensor]:
        nodes = _one_each(self.read_node, value["nodes"], self.capacity) + self.place
        ends = value["links"].long()[..., None].expand(-1, -1, -1, nodes.shape[-1])
        edges = self.edge + self.source(nodes.gather(1, ends[:, :, 0])) + self.target(nodes.gather(1, ends[:, :, 1]))
        if self.read_edge is not None:
            edges = edges + _one_each(self.read_edge, value["edges"], ends.shape[1])
        return torch.cat((nodes, edges), 1), torch.cat((value["node_mask"], value["edge_mask"]), 1).bool()

    def learn_scales(self, value: dict[str, Any], total: Total) -> None:
        """Add the nodes and edges that are there to the statistics."""
        self.read_node.learn_scales(_there(value["nodes"], value["node_mask"]), total)
        if self.read_edge is not None:
            self.read_edge.learn_scales(_there(value["edges"], value["edge_mask"]), total)


class AlternativesEmbedder(nn.Module):
    """{"which": [B], "0": ...} -> [B, 1 + m, C]: which it is, and the tokens of that one; the others' are masked."""

    def __init__(self, space: Alternatives, width: int, read: list[Any]) -> None:
        super().__init__()
        self.which, self.read = nn.Embedding(len(space.alternatives), width), nn.ModuleList(read)
        self.most = 1 + sum(part.most for part in read)
        self.words = f"one of {len(space.alternatives)} alternatives"

    def forward(self, value: dict[str, Any]) -> tuple[Tensor, Tensor]:
        which = value["which"].long()
        parts = [self.which(which)[:, None]]
        valid = [torch.ones_like(which, dtype=torch.bool)[:, None]]
        for i, read in enumerate(self.read):
            tokens = read(value[str(i)])
            there = (which == i)[:, None].expand(tokens.tokens.shape[:2])
            parts.append(tokens.tokens)
            valid.append(there if tokens.mask is None else there & tokens.mask)
        return torch.cat(parts, 1), torch.cat(valid, 1)

    def learn_scales(self, value: dict[str, Any], total: Total) -> None:
        """Add those that are there to the statistics of theirs."""
        for i, read in enumerate(self.read):
            read.learn_scales(_select(value[str(i)], value["which"] == i), total)  # type: ignore[operator]


def counts_of(space: spaces.Discrete | spaces.MultiDiscrete) -> list[int]:
    """How many values each component has. Raises SpaceError where they are more than a policy can tell apart."""
    counts = [int(n) for n in (space.nvec.ravel() if isinstance(space, spaces.MultiDiscrete) else [space.n])]
    if sum(counts) > MOST_VALUES:
        raise SpaceError(
            f"{type(space).__name__} of {sum(counts):,} values: a policy tells at most {MOST_VALUES:,} apart; where "
            "their order means something use a Box, else a MultiDiscrete of their digits"
        )
    return counts


def _places(count: int, width: int) -> nn.Parameter:
    """A vector for each place in an order."""
    return nn.Parameter(torch.randn(count, width) / math.sqrt(width))


def _one_each(read: Any, values: Any, count: int) -> Tensor:
    """Values [B, count, ...] -> [B, count, C], the mean of each one's tokens; ``read`` is an `inputs.Inputs`."""
    found = read(_flat(values))
    if found.mask is None:
        return found.tokens.mean(1).unflatten(0, (-1, count))
    weights = found.mask.to(found.tokens.dtype)[..., None]
    return ((found.tokens * weights).sum(1) / weights.sum(1).clamp(min=1)).unflatten(0, (-1, count))


def _flat(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _flat(part) for key, part in values.items()}
    return tuple(map(_flat, values)) if isinstance(values, tuple) else values.flatten(0, 1)


def _there(values: Any, mask: Tensor) -> Any:
    """Values [B, n, ...] -> [k, ...], those that are there."""
    return _select(_flat(values), mask.bool().flatten())


def _select(values: Any, rows: Tensor) -> Any:
    if isinstance(values, dict):
        return {key: _select(part, rows) for key, part in values.items()}
    return tuple(_select(part, rows) for part in values) if isinstance(values, tuple) else values[rows]
