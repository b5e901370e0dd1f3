"""Latents -> one joint distribution over everything an action space can say.

The action space is a list of heads in a fixed order, one a leaf. A head asks the latents with a query of its own to
which the embeddings of what has been chosen before are added, so the joint distribution is autoregressive:

    p(choice) = p(head 1) p(head 2 | head 1) ... ,   leaving out the arguments that the chosen function does not take.

Queries do not attend to each other. So the learner, who knows the choice, asks all of them in ONE decoder call; the
actor asks in order, with the latents' keys and values computed once.

| leaf | distribution |
|---|---|
| `Discrete` | categorical, masked |
| `MultiDiscrete` | independent categoricals, masked |
| `MultiBinary` | independent Bernoullis |
| `Box` | independent normals with learned, state-independent deviations, in units where the bounds are -1 and 1 |
| `Pointer`, `Place` | categorical over the answer's dot products with the embedded units or cells |
| `Pointers` | independent Bernoullis over the same |

A choice is a nest of tensors like the action space's: integers counted from 0 (a Discrete's `start` is added by
:func:`to_environment`), floats unclipped and in the units above.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import optree
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from envs.spaces import Functions, Place, Planes, Pointer, Pointers, Units, at
from perceiver_policy.attention import KeyValues
from perceiver_policy.decoder import Decoder
from perceiver_policy.distributions import Scores, bernoulli, categorical, independent, normal
from perceiver_policy.inputs import Tokens

Ask = Callable[[Tensor], Tensor]
"""Queries [B, Q, E] -> answers [B, Q, E]."""


class Head(nn.Module, ABC):
    """One leaf of the action space: ``queries`` [Q, E] it asks; ``scores`` from the answers; ``embed`` of a choice."""

    queries: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(count, width) * 0.02)

    @abstractmethod
    def scores(self, answers: Tensor, tokens: Tokens, mask: Any) -> Scores:
        """Answers [B, Q, E], the observation's tokens, and this leaf's part of the action mask (or None)."""

    @abstractmethod
    def embed(self, choice: Tensor, tokens: Tokens) -> Tensor:
        """Choice [B, ...] -> [B, E]."""


class CategoricalHead(Head):
    """Discrete, and MultiDiscrete as one query with independent components."""

    offset: Tensor

    def __init__(self, space: spaces.Discrete | spaces.MultiDiscrete, width: int) -> None:
        super().__init__(1, width)
        self.single = isinstance(space, spaces.Discrete)
        self.counts = [int(n) for n in ([space.n] if isinstance(space, spaces.Discrete) else space.nvec.flatten())]
        self.shape = space.shape
        self.logits = _last_layer(width, sum(self.counts))
        self.register_buffer("offset", torch.tensor(np.cumsum([0, *self.counts[:-1]])), persistent=False)
        self.embedding = nn.Embedding(sum(self.counts), width)

    def scores(self, answers: Tensor, tokens: Tokens, mask: Any) -> Scores:
        masks = (mask,) * len(self.counts) if self.single or mask is None else _tuple_of_masks(mask)
        parts = self.logits(answers[:, 0]).float().split(self.counts, -1)
        if len(masks) != len(parts):
            raise ValueError(f"action mask has {len(masks)} parts for {len(parts)} components of a MultiDiscrete")
        each = [categorical(logits, m) for logits, m in zip(parts, masks, strict=True)]
        return each[0] if self.single else independent(each, self.shape or ())

    def embed(self, choice: Tensor, tokens: Tokens) -> Tensor:
        return self.embedding(choice.reshape(len(choice), len(self.counts)) + self.offset).sum(1)


class BernoulliHead(Head):
    """MultiBinary."""

    def __init__(self, space: spaces.MultiBinary, width: int) -> None:
        super().__init__(1, width)
        self.shape = space.shape
        self.logits = _last_layer(width, math.prod(space.shape))
        self.embedding = nn.Linear(math.prod(space.shape), width, bias=False)

    def scores(self, answers: Tensor, tokens: Tokens, mask: Any) -> Scores:
        return bernoulli(self.logits(answers[:, 0]).float().unflatten(-1, self.shape), None)

    def embed(self, choice: Tensor, tokens: Tokens) -> Tensor:
        return self.embedding(choice.flatten(1).float())


class NormalHead(Head):
    """Box."""

    def __init__(self, space: spaces.Box, width: int) -> None:
        super().__init__(1, width)
        self.shape = space.shape
        self.mean = _last_layer(width, math.prod(space.shape))
        # in the units of the bounds a deviation of 1/2 reaches the whole range; without bounds the unit is all there is
        bounded = torch.as_tensor(space.bounded_below & space.bounded_above)
        self.log_deviation = nn.Parameter(torch.where(bounded, math.log(0.5), 0.0))
        self.embedding = nn.Linear(math.prod(space.shape), width, bias=False)

    def scores(self, answers: Tensor, tokens: Tokens, mask: Any) -> Scores:
        return normal(self.mean(answers[:, 0]).float().unflatten(-1, self.shape), self.log_deviation)

    def embed(self, choice: Tensor, tokens: Tokens) -> Tensor:
        return self.embedding(choice.flatten(1))


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

    def scores(self, answers: Tensor, tokens: Tokens, mask: Any) -> Scores:
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

    def embed(self, choice: Tensor, tokens: Tokens) -> Tensor:
        elements = tokens.elements[self.of]
        if self.several:
            weights = choice[:, : elements.shape[1]].to(elements.dtype)
            chosen = (weights[:, :, None] * elements).sum(1) / weights.sum(1, keepdim=True).clamp(min=1)
        else:
            # a choice that is not used may name a unit beyond the batch's last
            row = choice.clamp(max=elements.shape[1] - 1)
            chosen = elements[torch.arange(len(elements), device=elements.device), row]
        return self.embedding(chosen)


@dataclass
class Decision:
    """What :meth:`Outputs.act` returns: the choice, its joint log-probability [B] and the value [B]."""

    choice: Any
    log_prob: Tensor
    value: Tensor


@dataclass
class Judgement:
    """What :meth:`Outputs.judge` returns, each [B]: ``entropies`` by the heads' paths; ``entropy`` is their sum.

    ``normalized_value`` is the value in the units it is learned in, see :class:`ValueHead`. ``scores``: each head's
    distribution over all that was judged, flat, and where it is used (None: everywhere).
    """

    log_prob: Tensor
    entropy: Tensor
    value: Tensor
    normalized_value: Tensor
    entropies: dict[str, Tensor]
    scores: list[tuple[Scores, Tensor | None]]

    def divergence(self, reference: Judgement) -> Tensor:
        """KL(reference || this), shaped like ``log_prob``: the heads' sum, each given what was chosen before it."""
        total = torch.zeros_like(self.log_prob).flatten()
        for (mine, used), (known, _) in zip(self.scores, reference.scores, strict=True):
            term = mine.divergence(known)
            total = total + (term if used is None else torch.where(used, term, 0.0))
        return total.view_as(self.log_prob)


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


class Outputs(nn.Module):
    """The action space's heads and the value, on one decoder."""

    def __init__(
        self,
        space: spaces.Space[Any],
        observation_space: spaces.Space[Any],
        *,
        width: int,
        latent_width: int,
        heads: int,
        widening: int,
    ) -> None:
        super().__init__()
        self.space = space
        self.decoder = Decoder(width, latent_width, heads=heads, widening=widening)
        self.norm = nn.LayerNorm(width)
        self.leaves = tuple(_leaves(space))
        self.heads = nn.ModuleList(_head(leaf.space, leaf.path, observation_space, width) for leaf in self.leaves)
        self.value_query = nn.Parameter(torch.randn(1, width) * 0.02)
        self.value_head = ValueHead(width)
        for i, leaf in enumerate(self.leaves):
            if leaf.functions is not None:
                uses = torch.as_tensor(leaf.functions.uses[:, leaf.argument])
                self.register_buffer(f"uses_{i}", uses, persistent=False)

    def act(
        self, latents: Tensor, tokens: Tokens, mask: Any, *, greedy: bool, generator: torch.Generator | None
    ) -> Decision:
        """Choose, head by head. ``mask``: the observation's action mask, or None."""
        ask = self._asker(self.decoder.keys_values(latents))
        batch = len(latents)
        context = latents.new_zeros(batch, 1, self.value_query.shape[-1])
        log_prob = torch.zeros(batch, device=latents.device)
        chosen: list[Tensor] = []
        for i, head in enumerate(self._heads()):
            if i == 0:
                value, answers = ask(torch.cat((self.value_query, head.queries))[None]).split((1, len(head.queries)), 1)
                used = None
            else:
                used = self._used(i, chosen)
                if used is not None and not bool(used.any()):
                    chosen.append(_zeros(self.leaves[i].space, batch, latents.device))
                    continue
                answers = ask(head.queries + context)
            scores = head.scores(answers, tokens, _mask_at(mask, self.leaves[i].path))
            choice = scores.best() if greedy else scores.sample(generator)
            term = scores.log_prob(choice)
            if used is not None:
                choice = torch.where(_like(used, choice), choice, torch.zeros_like(choice))
                term = torch.where(used, term, 0.0)
            chosen.append(choice)
            log_prob = log_prob + term
            if i + 1 < len(self.heads):
                context = context + self._context(head, choice, tokens, used)
        return Decision(_nest(self.space, iter(chosen)), log_prob, self.value_head(value)[0])

    def judge(self, latents: Tensor, tokens: Tokens, mask: Any, choice: Any) -> Judgement:
        """Log-probability and entropy of a known choice, and the value: one decoder call for all queries.

        The entropy of a later head is that of its distribution given what was chosen before it. Observations that come
        after the last choice are asked for their values alone.
        """
        chosen = [at(choice, leaf.path) for leaf in self.leaves]
        batch = len(chosen[0])
        latents, after = latents[:batch], latents[batch:]
        tokens, mask = tokens.first(batch), optree.tree_map(lambda x: x[:batch], mask)
        context = latents.new_zeros(batch, 1, self.value_query.shape[-1])
        queries, used = [self.value_query.expand(batch, -1, -1)], []
        for i, head in enumerate(self._heads()):
            queries.append(head.queries + context)
            used.append(self._used(i, chosen))
            if i + 1 < len(self.heads):
                context = context + self._context(head, chosen[i], tokens, used[i])
        answers = self._asker(self.decoder.keys_values(latents))(torch.cat(queries, 1))
        value, *rest = answers.split([q.shape[1] for q in queries], 1)
        log_prob = torch.zeros(batch, device=latents.device)
        entropies: dict[str, Tensor] = {}
        given: list[tuple[Scores, Tensor | None]] = []
        for i, (head, answer) in enumerate(zip(self._heads(), rest, strict=True)):
            scores = head.scores(answer, tokens, _mask_at(mask, self.leaves[i].path))
            term, entropy, mine = scores.log_prob(chosen[i]), scores.entropy(), used[i]
            if mine is not None:
                term, entropy = torch.where(mine, term, 0.0), torch.where(mine, entropy, 0.0)
            log_prob = log_prob + term
            entropies[self.leaves[i].path] = entropy
            given.append((scores, mine))
        total = torch.stack(tuple(entropies.values())).sum(0)
        if len(after):
            value = torch.cat((value, self._asker(self.decoder.keys_values(after))(self.value_query[None])))
        real, normalized = self.value_head(value)
        return Judgement(log_prob, total, real, normalized, entropies, given)

    def value(self, latents: Tensor) -> Tensor:
        """[B]."""
        ask = self._asker(self.decoder.keys_values(latents))
        return cast(Tensor, self.value_head(ask(self.value_query[None]))[0])

    def _asker(self, keys_values: KeyValues) -> Ask:
        return lambda queries: self.norm(self.decoder(queries, keys_values=keys_values))

    def _heads(self) -> Iterator[Head]:
        return cast(Iterator[Head], iter(self.heads))

    @staticmethod
    def _context(head: Head, choice: Tensor, tokens: Tokens, used: Tensor | None) -> Tensor:
        """What a choice adds to later queries, [B, 1, E]: nothing where it is not used."""
        embedded = head.embed(choice, tokens)[:, None]
        return embedded if used is None else torch.where(used[:, None, None], embedded, 0.0)

    def _used(self, i: int, chosen: list[Tensor]) -> Tensor | None:
        """Whether each chosen function takes this argument [B]; None for what is always used."""
        leaf = self.leaves[i]
        return None if leaf.functions is None else getattr(self, f"uses_{i}")[chosen[leaf.function]]


def to_environment(space: spaces.Space[Any], choice: Any) -> Any:
    """A choice (nest of numpy arrays, games first) as the environment takes it: starts added, Boxes scaled, clipped."""
    if isinstance(space, spaces.Dict):
        return {key: to_environment(inner, choice[key]) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(to_environment(inner, part) for inner, part in zip(space.spaces, choice, strict=True))
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return choice + space.start
    if isinstance(space, spaces.Box):
        low, high = space.low, space.high
        bounded = space.bounded_below & space.bounded_above
        half = np.divide(high - low, 2, out=np.ones(space.shape), where=bounded)
        middle = np.add(low, high, out=np.zeros(space.shape), where=bounded) / 2
        return np.clip(middle + half * choice, low, high).astype(space.dtype)
    return choice.astype(space.dtype)


@dataclass(frozen=True)
class _Leaf:
    path: str
    space: spaces.Space[Any]
    functions: Functions | None = None  # set for an argument: whose it is,
    function: int = 0  # at which place in the order of heads its function is chosen,
    argument: int = 0  # and which of its arguments it is


def _leaves(space: spaces.Space[Any], path: str = "", before: int = 0) -> list[_Leaf]:
    def join(key: object) -> str:
        return f"{path}/{key}" if path else str(key)

    if isinstance(space, Functions):
        taken = [_Leaf(join(name), space[name], space, before, i) for i, name in enumerate(space.arguments)]
        for leaf in taken:
            if isinstance(leaf.space, spaces.Dict | spaces.Tuple):
                raise ValueError(f"argument {leaf.path!r}: an argument must be a leaf space, got {leaf.space}")
        return [_Leaf(join("function"), space["function"]), *taken]
    inner: Any
    if isinstance(space, spaces.Dict):
        inner = space.spaces.items()
    elif isinstance(space, spaces.Tuple):
        inner = enumerate(space.spaces)
    else:
        return [_Leaf(path, space)]
    found: list[_Leaf] = []
    for key, value in inner:
        found += _leaves(value, join(key), before + len(found))
    return found


def _nest(space: spaces.Space[Any], chosen: Iterator[Tensor]) -> Any:
    """The reverse of :func:`_leaves`."""
    if isinstance(space, Functions):
        return {key: next(chosen) for key in ("function", *space.arguments)}
    if isinstance(space, spaces.Dict):
        return {key: _nest(inner, chosen) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_nest(inner, chosen) for inner in space.spaces)
    return next(chosen)


def _head(space: spaces.Space[Any], path: str, observation_space: spaces.Space[Any], width: int) -> Head:
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


def _last_layer(width: int, outputs: int) -> nn.Linear:
    """Small weights: at the start all choices are about equally likely (arXiv 2006.05990, section 3.2)."""
    layer = nn.Linear(width, outputs)
    nn.init.orthogonal_(layer.weight, 0.01)
    nn.init.zeros_(layer.bias)
    return layer


def _tuple_of_masks(mask: Any) -> tuple[Any, ...]:
    if isinstance(mask, tuple | list):
        return tuple(part for inner in mask for part in _tuple_of_masks(inner))
    return (mask,)


def _mask_at(mask: Any, path: str) -> Any:
    """This head's part of the action mask; whatever the mask leaves out is unrestricted."""
    if mask is None or path == "":
        return mask
    key, _, rest = path.partition("/")
    if isinstance(mask, dict):
        return _mask_at(mask.get(key), rest)
    return _mask_at(mask[int(key)], rest)


def _zeros(space: spaces.Space[Any], batch: int, device: torch.device) -> Tensor:
    dtype = torch.float32 if isinstance(space, spaces.Box) else torch.int64
    return torch.zeros((batch, *(space.shape or ())), dtype=dtype, device=device)


def _like(flags: Tensor, choice: Tensor) -> Tensor:
    return flags.view(-1, *(1,) * (choice.dim() - 1))
