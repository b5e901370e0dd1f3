"""Latents -> one joint distribution over everything an action space can say.

The action space is a list of heads in a fixed order, one a leaf. A head asks the latents with a query of its own to
which the embeddings of what has been chosen before are added, so the joint distribution is autoregressive:

    p(action) = p(head 1) p(head 2 | head 1) ... ,   leaving out the arguments that the chosen function does not take.

Queries do not attend to each other. So the learner, who knows the action, asks all of them in ONE decoder call; the
actor asks in order, with the latents' keys and values computed once.

| leaf | distribution |
|---|---|
| `Discrete` | categorical, masked |
| `MultiDiscrete` | independent categoricals, masked |
| `MultiBinary` | independent Bernoullis, masked |
| `Box` | independent normals, in units where the bounds are -1 and 1; of few integers independent categoricals |
| `Pointer`, `Place` | categorical over the answer's dot products with the embedded units or cells (see `places`) |
| `Pointers` | one by one over the same, see `selection` |
| `PerUnit` | a function and its arguments for each unit, see `per_unit` |

An action is a nest of tensors like the action space's: integers counted from 0 (a Discrete's `start` is added by
:func:`to_environment`), floats unclipped and in the units above (`heads.box_units`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import optree
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from envs.spaces import Functions, Keys, PerUnit, Pointers, SpaceError, Units, at, leaves, path_of
from perceiver_policy.core.attention import KeyValues
from perceiver_policy.core.cost import on_host
from perceiver_policy.core.decoder import Decoder
from perceiver_policy.policy.choices import Choosing, make_head
from perceiver_policy.policy.distributions import Distribution
from perceiver_policy.policy.heads import Head, NormalHead, ValueHead, box_counts, box_units
from perceiver_policy.policy.inputs import Tokens


@dataclass
class Decision:
    """What :meth:`Outputs.act` returns: the action, its joint log-probability [B] and the value [B]."""

    action: Any
    log_prob: Tensor
    value: Tensor


@dataclass
class ActionEvaluation:
    """What :meth:`Outputs.evaluate_actions` returns, each [B].

    ``entropies`` are by the heads' paths; ``entropy`` is their sum.

    ``normalized_value`` is the value in the units it is learned in, see :class:`ValueHead`. ``distributions`` are each
    head's over all that was evaluated, flat, and where it is used (None: everywhere).
    """

    log_prob: Tensor
    entropy: Tensor
    value: Tensor
    normalized_value: Tensor
    entropies: dict[str, Tensor]
    distributions: list[tuple[Distribution, Tensor | None]]

    def divergence(self, reference: ActionEvaluation) -> Tensor:
        """KL(reference || this), shaped like ``log_prob``: the heads' sum, each given what was chosen before it."""
        total = torch.zeros_like(self.log_prob).flatten()
        for (mine, used), (known, _) in zip(self.distributions, reference.distributions, strict=True):
            term = mine.divergence(known)
            total = total + (term if used is None else torch.where(used, term, 0.0))
        return total.view_as(self.log_prob)


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
        bands: int,
        decode_units: bool | None,
        deviation: str = "independent",
        bounds: str = "clip",
        distances: bool = False,
        scatter: bool = False,
        rows: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.space = space
        self.decoder = Decoder(width, latent_width, heads=heads, widening=widening)
        self.norm = nn.LayerNorm(width)
        self.leaves = tuple(action_leaves(space))
        if not self.leaves:
            raise SpaceError(f"the action space {space} is empty: there is nothing to choose")
        how = Choosing(observation_space, width, bands, deviation, bounds, distances, scatter, rows)
        self.heads = nn.ModuleList(make_head(leaf.space, leaf.path, how) for leaf in self.leaves)
        if decode_units is None:
            decode_units = any(isinstance(leaf.space, PerUnit) for leaf in self.leaves)
        observed = leaves(observation_space)
        self.units = [path_of(observation_space, keys) for keys, part in observed if isinstance(part, Units)]
        self.unit_keys = nn.Linear(width, latent_width) if decode_units and self.units else None
        self.value_query = nn.Parameter(torch.randn(1, width) * 0.02)
        self.value_head = ValueHead(width)
        for i, leaf in enumerate(self.leaves):
            if leaf.functions is not None:
                uses = torch.as_tensor(leaf.functions.uses[:, leaf.argument])
                self.register_buffer(f"uses_{i}", uses, persistent=False)

    def noise_sizes(self) -> list[int]:
        """How many numbers of noise each head's action is made by; 0: it is drawn otherwise."""
        return [head.size if isinstance(head, NormalHead) else 0 for head in self.heads]

    def act(
        self,
        latents: Tensor,
        tokens: Tokens,
        mask: Any,
        *,
        greedy: bool,
        generator: torch.Generator | None,
        noise: Tensor | None = None,
    ) -> Decision:
        """Choose, head by head. ``mask``: the observation's action mask, or None. ``noise`` [B, sum of
        :meth:`noise_sizes`] decides what normals draw, where the generator does not."""
        each = [None] * len(self.heads) if noise is None else noise.split(self.noise_sizes(), 1)
        ask = self._asker(latents, tokens)
        batch = latents.shape[0]
        context: Tensor | None = None
        log_prob = torch.zeros(batch, device=latents.device)
        chosen: list[Any] = []
        for i, head in enumerate(self._heads()):
            used = self._used(i, chosen)
            if used is not None and on_host(used) and not used.any():
                chosen.append(_zeros(self.leaves[i].space, batch, latents.device))
                continue
            legal = self._legal(mask, i, chosen)
            answers = ask(_plus(head.asked(tokens, legal), context), value=i == 0)
            if i == 0:
                value, answers = answers[:, :1], answers[:, 1:]
            distribution = head.distribution(answers, tokens, legal)
            action = distribution.best() if greedy else _drawn(distribution, each[i], generator)
            term = distribution.log_prob(action)
            if used is not None:
                action = torch.where(_like(used, action), action, torch.zeros_like(action))
                term = torch.where(used, term, 0.0)
            chosen.append(action)
            log_prob = log_prob + term
            if i + 1 < len(self.heads):
                context = _plus(self._context(head, action, tokens, used), context)
        return Decision(_nest(self.space, iter(chosen)), log_prob, self.value_head(value)[0])

    def evaluate_actions(
        self, latents: Tensor, tokens: Tokens, mask: Any, action: Any, *, entropy: bool = True
    ) -> ActionEvaluation:
        """Log-probability and entropy of a known action, and the value: one decoder call for all queries.

        The entropy of a later head is that of its distribution given what was chosen before it. Observations that come
        after the last action are asked for their values alone. Without ``entropy`` it is 0: it costs as much as all
        else where each unit could take arguments that hardly any takes.
        """
        chosen = [at(action, leaf.keys) for leaf in self.leaves]
        batch = len(optree.tree_leaves(chosen[0])[0])
        latents, after = latents[:batch], latents[batch:]
        tokens, mask = tokens.first(batch), optree.tree_map(lambda x: x[:batch], mask)
        context: Tensor | None = None
        queries, used = [], []
        legal = [self._legal(mask, i, chosen) for i in range(len(self.leaves))]
        for i, head in enumerate(self._heads()):
            queries.append(_plus(head.asked(tokens, legal[i]), context))
            used.append(self._used(i, chosen))
            if i + 1 < len(self.heads):
                context = _plus(self._context(head, chosen[i], tokens, used[i]), context)
        answers = self._asker(latents, tokens)(_side_by_side(queries), value=True)
        value, *rest = answers.split([1, *(part.shape[1] for part in queries)], 1)
        log_prob = torch.zeros(batch, device=latents.device)
        entropies: dict[str, Tensor] = {}
        given: list[tuple[Distribution, Tensor | None]] = []
        for i, (head, answer) in enumerate(zip(self._heads(), rest, strict=True)):
            distribution = head.distribution(answer, tokens, legal[i])
            distribution = distribution.given(chosen[i]) if distribution.given else distribution
            spread = distribution.entropy() if entropy else torch.zeros_like(log_prob)
            term, mine = distribution.log_prob(chosen[i]), used[i]
            if mine is not None:
                term, spread = torch.where(mine, term, 0.0), torch.where(mine, spread, 0.0)
            log_prob = log_prob + term
            entropies[self.leaves[i].path] = spread
            given.append((distribution, mine))
        total = torch.stack(tuple(entropies.values())).sum(0)
        if len(after):
            value = torch.cat((value, self._ask(self.value_query[None], self.decoder.keys_values(after))))
        real, normalized = self.value_head(value)
        return ActionEvaluation(log_prob, total, real, normalized, entropies, given)

    def _legal(self, mask: Any, i: int, chosen: list[Any]) -> Any:
        """Leaf i's part of the action mask; of one that has a row for each function that of the one chosen."""
        leaf = self.leaves[i]
        legal = _mask_at(mask, leaf.keys)
        if leaf.functions is None or not isinstance(legal, Tensor) or legal.dim() != 3:
            return legal
        if not isinstance(leaf.space, spaces.Discrete | Pointers):
            return legal
        function = chosen[leaf.function].long()[:, None, None]
        return legal.gather(1, function.expand(-1, 1, legal.shape[2]))[:, 0]

    def value_parameters(self) -> list[nn.Parameter]:
        """Those that serve the value alone."""
        return [self.value_query, *self.value_head.parameters()]

    def value(self, latents: Tensor) -> Tensor:
        """[B]."""
        answers = self._ask(self.value_query[None], self.decoder.keys_values(latents))
        return cast(Tensor, self.value_head(answers)[0])

    def _ask(self, queries: Tensor, keys_values: KeyValues, mask: Tensor | None = None) -> Tensor:
        return cast(Tensor, self.norm(self.decoder(queries, keys_values=keys_values, mask=mask)))

    def _asker(self, latents: Tensor, tokens: Tokens) -> Callable[..., Tensor]:
        """Queries [B or 1, Q, E] -> their answers [B, Q, E], where it is wanted after the value's [B, 1, E].

        The value depends on the latents alone, whatever the other queries read.
        """
        count, mask = latents.shape[1], None
        if self.unit_keys is None:
            keys_values = self.decoder.keys_values(latents)
        else:
            units = torch.cat([tokens.elements[path] for path in self.units], 1)
            keys_values = self.decoder.keys_values(torch.cat((latents, self.unit_keys(units)), 1))
            there = [cast(Tensor, tokens.masks[path]) for path in self.units]
            mask = F.pad(torch.cat(there, 1), (count, 0), value=True)[:, None, None]

        def ask(queries: Tensor, *, value: bool) -> Tensor:
            if not value:
                return self._ask(queries, keys_values, mask)
            asked = _side_by_side([self.value_query[None], queries])
            seen = mask
            if mask is not None:
                latents_alone = torch.arange(mask.shape[-1], device=mask.device) < count
                rows = (mask.shape[0], 1, queries.shape[1], -1)  # len() is a number, which a traced program would keep
                seen = torch.cat((latents_alone.expand(mask.shape[0], 1, 1, -1), mask.expand(rows)), 2)
            return self._ask(asked, keys_values, seen)

        return ask

    def _heads(self) -> Iterator[Head]:
        return cast(Iterator[Head], iter(self.heads))

    @staticmethod
    def _context(head: Head, action: Tensor, tokens: Tokens, used: Tensor | None) -> Tensor:
        """What an action adds to later queries, [B, 1, E]: nothing where it is not used."""
        embedded = head.embed(action, tokens)[:, None]
        return embedded if used is None else torch.where(used[:, None, None], embedded, 0.0)

    def _used(self, i: int, chosen: list[Tensor]) -> Tensor | None:
        """Whether each chosen function takes this argument [B]; None for what is always used."""
        leaf = self.leaves[i]
        return None if leaf.functions is None else getattr(self, f"uses_{i}")[chosen[leaf.function]]


def _plus(part: Tensor, context: Tensor | None) -> Tensor:
    return part if context is None else part + context


def _side_by_side(queries: list[Tensor]) -> Tensor:
    """Queries [B or 1, Q, E] one after the other; those that are the same for all stay one as long as all are."""
    batch = next((part.shape[0] for part in queries if part.shape[0] != 1), 1)
    return torch.cat([part.expand(batch, -1, -1) for part in queries], 1)


def _drawn(distribution: Distribution, noise: Tensor | None, generator: torch.Generator | None) -> Any:
    if noise is None or distribution.from_noise is None:
        return distribution.sample(generator)
    return distribution.from_noise(noise)


def to_environment(space: spaces.Space[Any], action: Any) -> Any:
    """An action (numpy arrays, games first) as the environment takes it, each part of its space's own type: starts
    added, Boxes scaled and clipped, those of integers rounded."""
    if isinstance(space, spaces.Dict):
        return {key: to_environment(inner, action[key]) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(to_environment(inner, part) for inner, part in zip(space.spaces, action, strict=True))
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return action.astype(space.dtype) + space.start
    if isinstance(space, spaces.Box):
        return _scaled(space, action)
    return action.astype(space.dtype)


def _scaled(space: spaces.Box, action: np.ndarray) -> np.ndarray:
    if box_counts(space) is not None:
        return action.astype(space.dtype) + space.low
    middle, half, _ = box_units(space)
    value, dtype = middle + half * action, space.dtype
    if dtype.kind == "f":
        largest = float(np.finfo(dtype.type).max)  # type: ignore[type-var]
        return np.clip(value, np.maximum(space.low, -largest), np.minimum(space.high, largest)).astype(dtype)
    limits = np.iinfo(dtype.type)  # type: ignore[type-var]
    top = float(limits.max) if float(limits.max) <= limits.max else np.nextafter(float(limits.max), 0)  # 2**63 - 1
    return np.clip(np.clip(np.rint(value), float(limits.min), top).astype(dtype), space.low, space.high)


def from_environment(space: spaces.Space[Any], action: Any) -> Any:
    """The reverse of :func:`to_environment`: what the policy would have had to choose."""
    if isinstance(space, spaces.Dict):
        return {key: from_environment(inner, action[key]) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(from_environment(inner, part) for inner, part in zip(space.spaces, action, strict=True))
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return np.asarray(action - space.start, np.int64)
    if isinstance(space, spaces.Box) and box_counts(space) is None:
        middle, half, _ = box_units(space)
        return ((action - middle) / half).astype(np.float32)
    return np.asarray(action - space.low if isinstance(space, spaces.Box) else action, np.int64)


@dataclass(frozen=True)
class _Leaf:
    keys: Keys
    path: str
    space: spaces.Space[Any]
    functions: Functions | None = None  # set for an argument: whose it is,
    function: int = 0  # at which place in the order of heads its function is chosen,
    argument: int = 0  # and which of its arguments it is


def action_leaves(root: spaces.Space[Any], keys: Keys = (), before: int = 0) -> list[_Leaf]:
    """The leaves of an action space, in the order of their choice."""
    space = at(root, keys)
    inner: Any
    if isinstance(space, PerUnit):
        return [_Leaf(keys, path_of(root, keys), space)]
    if isinstance(space, Functions):
        found = [_Leaf((*keys, "function"), path_of(root, (*keys, "function")), space["function"])]
        for i, name in enumerate(space.arguments):
            here = (*keys, name)
            if isinstance(space[name], spaces.Dict | spaces.Tuple):
                raise SpaceError(
                    f"argument {path_of(root, here)!r}: an argument must be a leaf space, got {space[name]}"
                )
            found.append(_Leaf(here, path_of(root, here), space[name], space, before, i))
        return found
    if isinstance(space, spaces.Dict):
        inner = space.spaces
    elif isinstance(space, spaces.Tuple):
        inner = range(len(space.spaces))
    else:
        return [_Leaf(keys, path_of(root, keys), space)]
    found = []
    for key in inner:
        found += action_leaves(root, (*keys, key), before + len(found))
    return found


def _nest(space: spaces.Space[Any], chosen: Iterator[Tensor]) -> Any:
    """The reverse of :func:`action_leaves`."""
    if isinstance(space, PerUnit):
        return next(chosen)
    if isinstance(space, Functions):
        return {key: next(chosen) for key in ("function", *space.arguments)}
    if isinstance(space, spaces.Dict):
        return {key: _nest(inner, chosen) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_nest(inner, chosen) for inner in space.spaces)
    return next(chosen)


def _mask_at(mask: Any, keys: Keys) -> Any:
    """This head's part of the action mask; whatever the mask leaves out is unrestricted."""
    for key in keys:
        if mask is None:
            return None
        mask = mask.get(key) if isinstance(mask, dict) else mask[key]
    return mask


def _zeros(space: spaces.Space[Any], batch: int, device: torch.device) -> Tensor:
    dtype = torch.float32 if isinstance(space, spaces.Box) and box_counts(space) is None else torch.int64
    return torch.zeros((batch, *(space.shape or ())), dtype=dtype, device=device)


def _like(flags: Tensor, action: Tensor) -> Tensor:
    return flags.view(-1, *(1,) * (action.dim() - 1))
