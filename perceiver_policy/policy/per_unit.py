"""Orders for every unit at once: an output query a unit, all in one decoder call (:class:`~envs.spaces.PerUnit`).

A unit's query is its own input token and a learned vector, as the queries of Perceiver IO's StarCraft and optical-flow
decoders carry what is known of the place that they ask about (arXiv 2107.14795, section 3.2). Given the latents, units
choose independently:

    p(orders) = product over units of  p(function) x product over its arguments of p(argument | function)

so log-probability and entropy are sums over the units that may be ordered; the entropy is exact, with each argument's
weighed by the probability of a function that takes it. Where several functions take the same argument, the answer that
it is chosen by is told the function: where to build and where to attack are not the same place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from envs.spaces import PerUnit, Place, Pointer, SpaceError, Units, at
from perceiver_policy.core.cost import on_host
from perceiver_policy.policy.distributions import ILLEGAL, Distribution, categorical, draw, normal
from perceiver_policy.policy.heads import Head, last_layer, pointed_to
from perceiver_policy.policy.inputs import Tokens
from perceiver_policy.policy.inputs.nearness import STEPS
from perceiver_policy.policy.places import PlaceKeys

Orders = dict[str, Tensor]
Where = tuple[Tensor, Tensor]
DENSE = 4
"""Where more than one unit in so many may take an argument, all are asked at once: DefeatRoaches learns in three
quarters of the time."""
RARE = math.log(1e-6)
"""Units that are less likely to be told a function add nothing to speak of to what its arguments' entropy is: they are
not asked about them on a processor, unless they are told it all the same."""


class PerUnitHead(Head):
    """The orders of a :class:`~envs.spaces.PerUnit`, {"function": [B, capacity], argument: [B, capacity, ...]}."""

    uses: Tensor

    def __init__(
        self, space: PerUnit, observation_space: spaces.Space[Any], width: int, bands: int, distances: bool = False
    ) -> None:
        """``distances``: whether pointers weigh how near a unit is, see `inputs.nearness`."""
        super().__init__(1, width)
        _check(space, observation_space)
        placed = any(feature.kind == "position" for feature in at(observation_space, space.of).columns)
        near = space.of if distances and placed else None
        self.space, self.of, self.capacity = space, space.of, space.capacity
        self.function = last_layer(width, len(space.names))
        self.embedding = nn.Embedding(len(space.names), width)
        self.takers = [np.flatnonzero(taken).tolist() for taken in space.uses.T]
        self.told = _Told(width) if any(len(takers) > 1 for takers in self.takers) else None
        self.parts = nn.ModuleDict(
            {str(i): _argument(space.each[name], width, bands, near) for i, name in enumerate(space.arguments)}
        )
        self.register_buffer("uses", torch.as_tensor(space.uses), persistent=False)

    def asked(self, tokens: Tokens, mask: Any) -> Tensor:
        """Queries [B, r, E] of the rows that the mask is about: see `trim`."""
        return tokens.elements[self.of][:, : self._rows(tokens, mask)] + self.queries

    def _parts(self) -> list[Any]:
        return list(self.parts.values())

    def _rows(self, tokens: Tokens, mask: Any) -> int:
        rows = tokens.elements[self.of].shape[1]
        legal = (mask or {}).get("function")
        return rows if legal is None else min(rows, legal.shape[1])

    def distribution(self, answers: Tensor, tokens: Tokens, mask: Any) -> Distribution:
        """See the module. ``answers`` [B, r, E] are those to :meth:`asked`."""
        mask, batch, rows = mask or {}, *answers.shape[:2]
        legal = torch.ones(batch, rows, len(self.space.names), dtype=torch.bool, device=answers.device)
        if mask.get("function") is not None:
            legal = legal & mask["function"][:, :rows].bool()
        valid = tokens.masks[self.of]
        if valid is not None:
            legal = legal & valid[:, :rows, None]
        for i, part in enumerate(self._parts()):
            aims = part.possible(tokens, mask.get(self.space.arguments[i]), rows)
            if aims is not None:  # what would point to nobody is no order
                legal = legal & (aims[..., None] | ~self.uses[:, i])
        logits = self.function(answers).float().masked_fill(~legal, ILLEGAL)
        return _Joint(self, logits.log_softmax(-1), legal, answers, tokens, mask).as_distribution()

    def told_of(self, argument: int) -> _Told | None:
        """What tells an argument's answers of the function; None where only one takes it."""
        return None if len(self.takers[argument]) == 1 else self.told

    def embed(self, action: Orders, tokens: Tokens) -> Tensor:
        """The mean of the units' functions, [B, E]."""
        rows = tokens.elements[self.of].shape[1]
        functions = self.embedding(action["function"][:, :rows])
        valid = tokens.masks[self.of]
        weights = functions.new_ones(functions.shape[:2]) if valid is None else valid.to(functions.dtype)
        return (functions * weights[..., None]).sum(1) / weights.sum(1, keepdim=True).clamp(min=1)


class _Told(nn.Module):
    """Answers [..., E] that know of the function that was chosen. At the start they say what they said."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.read, self.write = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.function = nn.Linear(width, 2 * width, bias=False)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *given: Any) -> None:
        """Weights from before it was there say what they said, and can learn to say more."""
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            fresh = type(self)(self.write.out_features)
        for name, value in fresh.state_dict().items():
            state_dict.setdefault(f"{prefix}{name}", value)
        super()._load_from_state_dict(state_dict, prefix, *given)

    def forward(self, answers: Tensor, read: Tensor, functions: Tensor) -> Tensor:
        """Answers, what was ``read`` of them, and embedded functions [..., E] or, the same for all, [E]."""
        return answers + cast(Tensor, self.write(F.gelu(read + self.function(functions))))


class _Joint:
    """The units' distribution; of arguments, over rows [B * r], or over those of some units.

    Most units take no argument: on a processor an argument's distribution is made for those units alone that take it,
    or that may if these are few.
    """

    def __init__(
        self, head: PerUnitHead, log_p: Tensor, legal: Tensor, answers: Tensor, tokens: Tokens, mask: Any
    ) -> None:
        self.head, self.log_p, self.legal, self.ordered = head, log_p, legal, legal.any(-1)
        self.rows, self.answers, self.tokens, self.mask = answers.shape[1], answers, tokens, mask
        near = tokens.near.get(head.of)
        self.near = None if near is None else near.transpose(2, 3)[:, : self.rows]  # [B, r, STEPS, n], as it is stored
        self._drawn: tuple[Orders, list[tuple[Where | None, Distribution]]] | None = None
        self._made: dict[tuple[int, int], Distribution] = {}
        self._who: dict[int, Where | None] = {}
        self._read: Tensor | None = None

    def as_distribution(self) -> Distribution:
        return Distribution(self.log_prob, self.entropy, self.sample, self.best, self, self.divergence)

    def _given(self, i: int, function: Tensor | int, where: Where | None = None) -> Distribution:
        """Of an argument, where functions [B, r], or one for all, are chosen: for all units, or for some."""
        part, mask = self.head._parts()[i], self.mask.get(self.head.space.arguments[i])
        if where is None:
            self.near = None if self.near is None else self.near.contiguous()  # for this argument and the next ones
            return part.distribution(self._told(i, function), self.tokens, mask, self.near)
        function = function if isinstance(function, int) else function[where]
        if isinstance(part, _Pointing) and part.planes:  # cells are too many for each unit to have its own
            return part.distribution(self._told(i, function, where), self.tokens, mask, None, (where, self.rows))
        # each as the only row of an observation of its own
        tokens, (game, row) = self.tokens, where
        seen = [path for path in tokens.elements if path == getattr(part, "of", None)]
        masks = {path: None if (there := tokens.masks[path]) is None else there[game] for path in seen}
        lone = Tokens(tokens.tokens, None, {path: tokens.elements[path].index_select(0, game) for path in seen}, masks)
        if mask is not None:
            mask = mask[game] if mask.dim() == 2 else mask[game, row][:, None]
        near = None if self.near is None else self.near[where][:, None]
        return part.distribution(self._told(i, function, where)[:, None], lone, mask, near)

    def _told(self, i: int, function: Tensor | int, where: Where | None = None) -> Tensor:
        """Answers [B, r, E], or of some units [n, E], that know of the function."""
        answers, told = self.answers if where is None else self.answers[where], self.head.told_of(i)
        if told is None:
            return answers
        if self._read is None:
            self._read = told.read(self.answers)
        read = self._read if where is None else self._read[where]
        return cast(Tensor, told(answers, read, self.head.embedding.weight[function]))

    def _likely(self, f: int) -> Where | None:
        """Which units may be told function f and are not all but sure not to be; None: ask for all."""
        if f not in self._who:
            self._who[f] = _few(self.legal[..., f] & (self.log_p[..., f] > RARE))
        return self._who[f]

    def _each(self, i: int, like: _Joint | None = None) -> Iterator[tuple[int, Where | None, Distribution]]:
        """Of an argument, for each function that takes it: for which units (None: all), and what it is chosen from.

        Units as in ``like``, whose chances weigh what comes of it.
        """
        for f in self.head.takers[i]:
            where = (like or self)._likely(f)
            if where is not None and not len(where[0]):
                continue
            if like is not None:
                yield f, where, self._given(i, f, where)
                continue
            if (i, f) not in self._made:
                self._made[i, f] = self._given(i, f, where)
            yield f, where, self._made[i, f]

    def log_prob(self, action: Orders) -> Tensor:
        function = action["function"][:, : self.rows].long()
        total = self.log_p.gather(-1, function[..., None])[..., 0]
        for i, name in enumerate(self.head.space.arguments):
            used, chosen = self.head.uses[function, i] & self.ordered, action[name][:, : self.rows]
            if self._drawn is not None and self._drawn[0] is action:
                where, argument = self._drawn[1][i]
                term = argument.log_prob(_at(chosen, where))
                if where is None:
                    total = total + torch.where(used, term.view_as(total), 0.0)
                else:
                    total = total.index_put(where, term, accumulate=True)
                continue
            if any(key[0] == i for key in self._made):  # for the entropy
                for f, where, argument in self._each(i):
                    mine = used & (function == f)
                    if where is not None:
                        mine = mine & (self.log_p[..., f] > RARE)
                    total = _plus(total, where, argument.log_prob(_at(chosen, where)), torch.where(mine, 1.0, 0.0))
                    used = used & ~mine
                if not on_host(used) or _is_traced() or not used.any():
                    continue
            where = _few(used)
            if where is None:
                term = self._given(i, function).log_prob(chosen.flatten(0, 1)).view_as(total)
                total = total + torch.where(used, term, 0.0)
            elif len(where[0]):
                term = self._given(i, function, where).log_prob(chosen[where])
                total = total.index_put(where, term, accumulate=True)
        return torch.where(self.ordered, total, 0.0).sum(1)

    def entropy(self) -> Tensor:
        p = self.log_p.softmax(-1)
        total = -(p * self.log_p).sum(-1)
        for i in range(len(self.head.takers)):
            for f, where, argument in self._each(i):
                total = _plus(total, where, argument.entropy(), p[..., f])
        return torch.where(self.ordered, total, 0.0).sum(1)

    def divergence(self, other: Distribution) -> Tensor:
        """KL(other || this), summed over the units."""
        theirs: _Joint = other.parameters
        p = theirs.log_p.softmax(-1)
        total = (p * (theirs.log_p - self.log_p)).sum(-1)
        for i in range(len(self.head.takers)):
            for (f, where, mine), (_, _, known) in zip(self._each(i, theirs), theirs._each(i), strict=True):
                total = _plus(total, where, mine.divergence(known), p[..., f])
        return torch.where(self.ordered, total, 0.0).sum(1)

    def sample(self, generator: torch.Generator | None) -> Orders:
        return self._orders(draw(self.log_p.softmax(-1), generator), lambda argument: argument.sample(generator))

    def best(self) -> Orders:
        return self._orders(self.log_p.argmax(-1), lambda argument: argument.best())

    def _orders(self, function: Tensor, choose: Callable[[Distribution], Tensor]) -> Orders:
        missing = self.head.capacity - self.rows
        function = torch.where(self.ordered, function, 0)
        orders = {"function": F.pad(function, (0, missing))}
        arguments = []
        for i, name in enumerate(self.head.space.arguments):
            used = self.ordered & self.head.uses[function, i]
            where = _few(used)
            argument = self._given(i, function, where)
            chosen = choose(argument)
            arguments.append((where, argument))
            if where is None:
                chosen = chosen.unflatten(0, function.shape)
                chosen = torch.where(
                    used.view(*used.shape, *(1,) * (chosen.dim() - 2)), chosen, torch.zeros_like(chosen)
                )
            else:
                chosen = chosen.new_zeros(*function.shape, *chosen.shape[1:]).index_put(where, chosen)
            orders[name] = F.pad(chosen, (0, 0) * (chosen.dim() - 2) + (0, missing))
        self._drawn = orders, arguments
        return orders


def _at(units: Tensor, where: Where | None) -> Tensor:
    """Of units [B, r, ...] all, or some, in a row."""
    return units.flatten(0, 1) if where is None else units[where]


def _plus(total: Tensor, where: Where | None, term: Tensor, weight: Tensor) -> Tensor:
    """A total [B, r], and the term [n] of all or some units, by their weights [B, r]."""
    if where is None:
        return total + weight * term.view_as(total)
    return total.index_put(where, weight[where] * term, accumulate=True)


def _few(units: Tensor) -> Where | None:
    """Those of the units [B, r]; None: so many that to ask for all costs no more, or where to look them up would."""
    if not on_host(units) or _is_traced():
        return None
    game, row = units.nonzero(as_tuple=True)
    return None if len(game) > units.numel() // DENSE else (game, row)


class _Pointing(nn.Module):
    """An argument that names a unit or a place: the answer's dot product with each one's key."""

    def __init__(self, space: Pointer | Place, width: int, bands: int, units: str | None) -> None:
        super().__init__()
        self.of, self.count = space.of or "", int(space.n)
        self.ask = nn.Linear(width, width)
        self.weigh = last_layer(width, STEPS) if units is not None and space.of == units else None
        with torch.no_grad():
            self.ask.weight *= 0.1  # nearly uniform at the start
        self.keys: PlaceKeys | None = None
        self.place = isinstance(space, Place)
        self.planes = self.place and space.of is not None
        if isinstance(space, Place) and space.of is None:
            self.keys = PlaceKeys(space.height, space.width, width, bands)

    def _valid(self, tokens: Tokens, mask: Any, rows: int, count: int) -> Tensor | None:
        """What may be pointed to, [B, rows or 1, count]."""
        valid = None if self.place else tokens.masks[self.of]
        valid = None if valid is None else valid[:, None]
        if mask is not None:
            mask = mask.bool()
            mask = (mask[:, None] if mask.dim() == 2 else mask[:, :rows])[..., :count]
            valid = mask if valid is None else valid & mask
        return valid

    def possible(self, tokens: Tokens, mask: Any, rows: int) -> Tensor | None:
        """Whether there is anything to point to, [B, rows or 1]; None: always."""
        count = self.count if self.place else tokens.elements[self.of].shape[1]
        valid = self._valid(tokens, mask, rows, count)
        return None if valid is None else valid.any(-1)

    def distribution(
        self, answers: Tensor, tokens: Tokens, mask: Any, near: Tensor | None, some: tuple[Where, int] | None = None
    ) -> Distribution:
        """Over rows [B * r]; over ``some`` alone of r rows, if answers [n, E] are theirs."""
        asked = self.ask(answers)
        keys = tokens.elements[self.of].transpose(1, 2) if self.keys is None else self.keys().T
        rows = answers.shape[1] if some is None else some[1]
        if some is not None:
            asked = asked.new_zeros(len(keys), rows, asked.shape[-1]).index_put(some[0], asked)
        valid = self._valid(tokens, mask, rows, keys.shape[-1])
        cells = None if not self.place or valid is None else _legal_anywhere(valid)
        if valid is not None and cells is not None:
            keys, valid = keys[..., cells], valid[..., cells]
        logits = (asked @ keys).float() / math.sqrt(asked.shape[-1])
        if self.weigh is not None and near is not None:
            logits = logits + (self.weigh(answers)[..., None, :] @ near)[..., 0, :].float()
        where = None if some is None else some[0]
        valid = None if valid is None else _at(valid.expand_as(logits), where)
        found = categorical(_at(logits, where), valid)
        return found if cells is None else _among(found, cells, self.count)


def _is_traced() -> bool:
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _legal_anywhere(valid: Tensor) -> Tensor | None:
    """Which cells are legal for anybody in a batch: on a processor the others, most of a map, cost time for nothing.

    None: all, or where to ask would be to wait (a GPU) or to branch by values (compiling, exporting).
    """
    if not on_host(valid) or _is_traced():
        return None
    cells = valid.flatten(0, -2).any(0).nonzero()[:, 0]
    return cells if 0 < len(cells) < valid.shape[-1] else None


def _among(inner: Distribution, cells: Tensor, count: int) -> Distribution:
    """A distribution over ``cells``, as one over all ``count``."""
    place = torch.full((count,), -1).index_copy(0, cells, torch.arange(len(cells)))

    def log_prob(action: Tensor) -> Tensor:
        chosen = place[action.long()]
        return inner.log_prob(chosen.clamp(min=0)).masked_fill(chosen < 0, ILLEGAL)

    return replace(
        inner,
        log_prob=log_prob,
        sample=lambda generator: cells[inner.sample(generator)],
        best=lambda: cells[inner.best()],
    )


class _Choosing(nn.Module):
    """An argument that is one of a few."""

    def __init__(self, space: spaces.Discrete, width: int) -> None:
        super().__init__()
        self.logits = last_layer(width, int(space.n))

    def possible(self, tokens: Tokens, mask: Any, rows: int) -> None:
        """Always something."""

    def distribution(self, answers: Tensor, tokens: Tokens, mask: Any, near: Tensor | None) -> Distribution:
        """Over rows [B * r]."""
        logits = self.logits(answers).float()
        if mask is not None:
            mask = mask[:, None] if mask.dim() == 2 else mask[:, : answers.shape[1]]
            mask = mask.expand_as(logits).flatten(0, 1)
        return categorical(logits.flatten(0, 1), mask)


class _Aiming(nn.Module):
    """An argument of real numbers, [k] a unit."""

    def __init__(self, space: spaces.Box, width: int) -> None:
        super().__init__()
        self.shape = space.shape
        self.mean = last_layer(width, math.prod(space.shape))
        self.log_deviation = nn.Parameter(torch.full(space.shape, math.log(0.5)))

    def possible(self, tokens: Tokens, mask: Any, rows: int) -> None:
        """Always something."""

    def distribution(self, answers: Tensor, tokens: Tokens, mask: Any, near: Tensor | None) -> Distribution:
        """Over rows [B * r]."""
        return normal(self.mean(answers).float().flatten(0, 1).unflatten(-1, self.shape), self.log_deviation)


def _argument(space: spaces.Space[Any], width: int, bands: int, units: str | None) -> Any:
    """``units``: the path of those whose distances from one another count."""
    if isinstance(space, Pointer | Place):
        return _Pointing(space, width, bands, units)
    return _Choosing(space, width) if isinstance(space, spaces.Discrete) else _Aiming(space, width)  # type: ignore[arg-type]


def _check(space: PerUnit, observation_space: spaces.Space[Any]) -> None:
    """Raises SpaceError where orders or their targets are for what is not observed."""
    for what, part in [("PerUnit", space), *space.each.items()]:
        if isinstance(part, Place) and part.of is not None:
            pointed_to(part, observation_space)
        if not isinstance(part, PerUnit | Pointer):
            continue
        count = part.capacity if isinstance(part, PerUnit) else part.n
        try:
            units = at(observation_space, part.of)
        except (KeyError, IndexError, TypeError, ValueError):
            units = None
        where = f"{what}: {part.of!r}"
        if not isinstance(units, Units):
            raise SpaceError(f"{where} is no Units of the observation")
        if units.capacity != count:
            raise SpaceError(f"{where} has {units.capacity} rows, not {count}")
