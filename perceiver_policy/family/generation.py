"""Writing on, token by token: what a Perceiver AR keeps between tokens, and how the next one is drawn.

Keys and values go into memory that is set aside at the start and written in place, so that a token costs what a step of
the stack costs, not a copy of the context. When there is no place for one more latent, the stack is made anew with half
as many, over the same keys and values; when the context is full, its oldest tokens leave it. Every token's logits are
those of a whole forward pass over the same context with the same number of latents.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from perceiver_policy.core.attention import CrossAttention, KeyValues, Rotation, SelfAttention, boolean

Prompts = Tensor | Sequence[Tensor] | Sequence[Sequence[int]]
"""Ids `[B, L]`, or one sequence of ids a text, of any lengths."""


@dataclass
class Cache:
    """What decoding keeps: of each text the ids and their validity so far, keys and values of the cross-attend, and of
    each layer's latents. The memory is larger than what is in use: `used` positions, `latents` latents.

    `step` writes into it; copy it (`copy.deepcopy`) to go on from one point in several ways.
    """

    ids: Tensor
    valid: Tensor
    cross: KeyValues
    layers: list[KeyValues]
    used: int
    latents: int
    padded: bool
    shift: Tensor | int = 0
    """Added to counted positions once the context has moved on: what was cached keeps its positions."""


@dataclass
class Drawing:
    """How a token is drawn from logits `[B, vocabulary]`. `temperature` 0 takes the likeliest; `top` leaves so many,
    `top_p` the likeliest that together have that probability (nucleus sampling, arXiv 1904.09751)."""

    temperature: float = 1.0
    top: int | None = None
    top_p: float | None = None
    generator: torch.Generator | None = None

    def check(self, vocabulary: int) -> None:
        """Raises ValueError for what cannot be drawn by."""
        if not 0.0 <= self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}: expected 0 (always the likeliest token) or more")
        if self.top is not None and not 1 <= self.top <= vocabulary:
            raise ValueError(f"top is {self.top}: expected 1 to {vocabulary}, the size of the vocabulary")
        if self.top_p is not None and not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p is {self.top_p}: expected a probability above 0 and at most 1")

    def __call__(self, logits: Tensor) -> Tensor:
        """Tokens `[B]`."""
        if self.temperature == 0.0:
            return logits.argmax(-1)
        logits = logits.float() / self.temperature
        if self.top is not None:
            least = logits.topk(self.top, -1).values[:, -1:]
            logits = logits.masked_fill(logits < least, -math.inf)
        if self.top_p is not None:
            ordered, places = logits.sort(-1, descending=True)
            p = ordered.softmax(-1)
            outside = p.cumsum(-1) - p >= self.top_p  # what comes before it is enough already
            logits = logits.masked_fill(torch.zeros_like(outside).scatter(-1, places, outside), -math.inf)
        return torch.multinomial(logits.softmax(-1), 1, generator=self.generator)[:, 0]


class Decoding(nn.Module, ABC):
    """What a model with `start`, `step` and `generate` is made of; `PerceiverAR` is one."""

    length: int
    latents: int
    embedding: nn.Embedding
    cross: CrossAttention
    cross_rotated: int
    self_rotated: int

    def generate(self, ids: Prompts, count: int, **options: object) -> Tensor:
        """Up to `count` tokens after each prompt: `[B, count]`, fewer if all texts have stopped; see `stream`."""
        drawn = list(self.stream(ids, count, **options))  # type: ignore[arg-type]
        return torch.stack(drawn, 1) if drawn else torch.zeros(len(ids), 0, dtype=torch.long)

    def stream(
        self,
        ids: Prompts,
        count: int,
        *,
        mask: Tensor | None = None,
        latents: int | None = None,
        temperature: float = 1.0,
        top: int | None = None,
        top_p: float | None = None,
        stop: int | Sequence[int] = (),
        generator: torch.Generator | None = None,
    ) -> Iterator[Tensor]:
        """Up to `count` tokens after each prompt, as they are drawn: `[B]` at a time.

        Prompts are ids `[B, L]` with `mask` `[B, L]` (True = valid, padding anywhere), or sequences of any lengths.
        How tokens are drawn: see `Drawing`. A text that has drawn a `stop` token repeats it; when all have, the end is
        reached. There is no longest text: of more than `length` tokens the last are read. The model decodes in eval
        mode whatever mode it is in. Raises ValueError, before anything is drawn, for an empty prompt, for ids outside
        the vocabulary, and for options that do not fit.
        """
        prompts, valid = self._prompts(ids, mask)
        draw = Drawing(temperature, top, top_p, generator)
        draw.check(self.embedding.num_embeddings)
        stops = self._stops(stop)
        if count < 0:
            raise ValueError(f"count is {count}: expected 0 or more tokens")
        return self._stream(prompts, valid, count, latents, draw, stops)

    def _stream(
        self, ids: Tensor, valid: Tensor | None, count: int, latents: int | None, draw: Drawing, stops: Tensor
    ) -> Iterator[Tensor]:
        if count == 0:
            return
        logits, cache = self.start(ids, valid, latents=latents, room=count - 1)
        token, ended = draw(logits), torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
        yield token
        for _ in range(count - 1):
            if len(stops):
                ended = ended | torch.isin(token, stops)
                if bool(ended.all()):
                    return
            if cache.used == self.length:
                self.forget(cache, max(self.latents // 2, 1))
            logits, cache = self.step(token, cache)
            token = torch.where(ended, token, draw(logits))
            yield token

    @torch.no_grad()
    def start(
        self, ids: Tensor, mask: Tensor | None = None, *, latents: int | None = None, room: int | None = None
    ) -> tuple[Tensor, Cache]:
        """Texts `[B, L]` -> their next-token logits `[B, vocabulary]` and the cache to go on from; see `step`.

        Padding, False in `mask`, is on the left. Memory is set aside for `room` more tokens (default: all that fit in
        the context; for more it grows).
        """
        self._check_cacheable()
        if latents is not None and not 1 <= latents <= self.latents:
            raise ValueError(f"latents is {latents}: expected 1 to {self.latents}, as many as the model has")
        valid = torch.ones_like(ids, dtype=torch.bool) if mask is None else boolean(mask)
        if not bool(valid[:, -1].all()):
            raise ValueError("a text ends in padding: shift texts to the right, so that each one's last token is last")
        ids, valid = ids.masked_fill(~valid, 0)[:, -self.length :], valid[:, -self.length :]
        total = ids.shape[1]
        size = self.length if room is None else min(self.length, total + room)
        with evaluating(self):
            cross = self._project(ids, self._places(valid))
            cache = Cache(
                _room(ids, size, 1),
                _room(valid, size, 1),
                (_room(cross[0], size, 2), _room(cross[1], size, 2)),
                [],
                total,
                0,
                padded=not bool(valid.all()),
            )
            return self._read(cache, min(latents or self.latents, total)), cache

    @torch.no_grad()
    def step(self, ids: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """One more token `[B]` -> its next-token logits `[B, vocabulary]` and the cache: equal to `forward` with one
        more latent, or, where there was no place for one more, with half as many.

        Raises ValueError where the context is full; see `forget`.
        """
        if cache.used == self.length:
            raise ValueError(f"the context is full: {self.length} positions; forget some of the oldest")
        anew = cache.latents >= self.latents
        with evaluating(self):
            self._reserve(cache)
            here = cache.used
            cache.ids[:, here], cache.valid[:, here] = ids, True
            cache.used += 1
            places = self._places(cache.valid[:, : cache.used])[:, -1:] + cache.shift
            x = self._embed(ids[:, None], places)
            turn = self._turn(places, self.cross_rotated)
            for memory, made in zip(cache.cross, self.cross.keys_values(x, turn), strict=True):
                memory[:, :, here : here + 1] = made
            if anew:
                return self._read(cache, max(self.latents // 2, 1)), cache
            valid = cache.valid[:, : cache.used] if cache.padded else None
            x = self.cross(self._ask(x), keys_values=self._seen(cache), mask=valid, rotation=turn)
            turn = self._turn(places, self.self_rotated)
            count = cache.latents = cache.latents + 1
            own = None if valid is None else valid[:, -count:]
            for layer, (all_keys, all_values) in zip(self._layers(), cache.layers, strict=True):
                queries, keys, values = layer.project(x, turn)
                all_keys[:, :, count - 1 : count], all_values[:, :, count - 1 : count] = keys, values
                x = layer.finish(x, queries, all_keys[:, :, :count], all_values[:, :, :count], own)
            return self._logits(x)[:, -1], cache

    def _read(self, cache: Cache, count: int) -> Tensor:
        """Makes the last `count` positions the latents, and gives the logits of the last."""
        valid = cache.valid[:, : cache.used]
        places = (self._places(valid) + cache.shift)[:, -count:]
        order = torch.arange(count, device=places.device)
        own = (order[:, None] >= order)[None, None]
        prefix = torch.ones(1, 1, count, cache.used - count, dtype=torch.bool, device=places.device)
        allowed = torch.cat((prefix, own), -1)
        if cache.padded:
            allowed, own = allowed & valid[:, None, None], own & valid[:, None, None, -count:]
        x = self._ask(self._embed(cache.ids[:, cache.used - count : cache.used], places))
        turn = self._turn(places, self.cross_rotated)
        x = self.cross(x, keys_values=self._seen(cache), mask=allowed, rotation=turn)
        turn = self._turn(places, self.self_rotated)
        fresh = not cache.layers
        for i, layer in enumerate(self._layers()):
            queries, keys, values = layer.project(x, turn)
            if fresh:
                cache.layers.append((_room(keys, self.latents, 2), _room(values, self.latents, 2)))
            else:
                cache.layers[i][0][:, :, :count], cache.layers[i][1][:, :, :count] = keys, values
            x = layer.finish(x, queries, keys, values, own)
        cache.latents = count
        return self._logits(x)[:, -1]

    def _project(self, ids: Tensor, places: Tensor) -> KeyValues:
        return self.cross.keys_values(self._embed(ids, places), self._turn(places, self.cross_rotated))

    def _seen(self, cache: Cache) -> KeyValues:
        return cache.cross[0][:, :, : cache.used], cache.cross[1][:, :, : cache.used]

    def _reserve(self, cache: Cache) -> None:
        """Twice the room, where there is none left."""
        if cache.used == cache.ids.shape[1]:
            size = min(2 * cache.used, self.length)
            cache.ids, cache.valid = _room(cache.ids, size, 1), _room(cache.valid, size, 1)
            cache.cross = _room(cache.cross[0], size, 2), _room(cache.cross[1], size, 2)

    @torch.no_grad()
    def forget(self, cache: Cache, count: int) -> None:
        """Takes the oldest `count` positions out of the context; the next step makes the latents anew."""
        if not 0 <= count <= cache.used:
            raise ValueError(f"count is {count}: expected 0 to {cache.used}, as many positions as there are")
        cache.latents = self.latents
        last = (self._places(cache.valid[:, : cache.used]) + cache.shift)[:, -1:]
        kept = cache.used - count
        for memory in (cache.ids, cache.valid):
            memory[:, :kept] = memory[:, count : cache.used].clone()
        cache.used = kept
        if not kept:
            return
        valid = cache.valid[:, :kept]
        cache.padded = cache.padded and not bool(valid.all())
        if not self._only_distances_count():  # a table of positions: its rows are counted anew
            made = self._project(cache.ids[:, :kept], self._places(valid))
        else:
            cache.shift = last - self._places(valid)[:, -1:]
            made = tuple(memory[:, :, count : count + kept].clone() for memory in cache.cross)  # type: ignore[assignment]
        for memory, part in zip(cache.cross, made, strict=True):
            memory[:, :, :kept] = part

    def _prompts(self, ids: Prompts, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Ids `[B, L]` with padding, if any, on the left, and the mask."""
        if not isinstance(ids, Tensor):
            rows = [torch.as_tensor(row, dtype=torch.long, device=self.embedding.weight.device) for row in ids]
            if not rows or any(row.dim() != 1 for row in rows):
                raise ValueError("prompts: expected ids [batch, length], or one sequence of ids a text")
            if mask is not None:
                raise ValueError("a mask is for prompts in one array: sequences have their own lengths")
            ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
            mask = torch.arange(ids.shape[1], device=ids.device) < torch.tensor([[len(row)] for row in rows]).to(ids)
        if ids.dim() != 2 or ids.is_floating_point():
            raise ValueError(f"prompts: expected integers [batch, length], got {ids.dtype} {tuple(ids.shape)}")
        valid = torch.ones_like(ids, dtype=torch.bool) if mask is None else boolean(mask)
        if valid.shape != ids.shape:
            raise ValueError(f"a mask {tuple(valid.shape)} for prompts {tuple(ids.shape)}: expected one value a token")
        if not bool(valid.any(1).all()):
            row = int((~valid.any(1)).nonzero()[0]) if len(valid) else 0
            raise ValueError(f"prompt {row} is empty: give at least one token, such as a beginning-of-text token")
        size, given = self.embedding.num_embeddings, ids[valid]
        if bool((given < 0).any()) or bool((given >= size).any()):
            found = f"{int(given.min())} to {int(given.max())}"
            raise ValueError(f"prompts hold ids from {found}, but the vocabulary goes from 0 to {size - 1}")
        if mask is None:
            return ids, None
        order = valid.long().argsort(dim=1, stable=True)[:, -int(valid.sum(1).max()) :]
        return ids.gather(1, order), valid.gather(1, order)

    def _stops(self, stop: int | Sequence[int]) -> Tensor:
        stops = [stop] if isinstance(stop, int) else list(stop)
        for token in stops:
            if not 0 <= token < self.embedding.num_embeddings:
                raise ValueError(f"stop token {token}: expected 0 to {self.embedding.num_embeddings - 1}")
        return torch.tensor(stops, dtype=torch.long, device=self.embedding.weight.device)

    @abstractmethod
    def _places(self, valid: Tensor) -> Tensor:
        """Positions [B, M] of the tokens that ``valid`` [B, M] says are there."""

    @abstractmethod
    def _embed(self, ids: Tensor, places: Tensor) -> Tensor:
        """Tokens at their positions as inputs [B, M, C]."""

    @abstractmethod
    def _ask(self, inputs: Tensor) -> Tensor:
        """What latents start from, given the inputs at their places."""

    @abstractmethod
    def _turn(self, places: Tensor, channels: int) -> Rotation | None:
        """The rotation of queries or keys at positions; None where positions are in the inputs."""

    @abstractmethod
    def _only_distances_count(self) -> bool:
        """Whether the same positions, all moved alike, give the same."""

    @abstractmethod
    def _layers(self) -> Iterable[SelfAttention]:
        """The latents' layers, in order."""

    @abstractmethod
    def _logits(self, x: Tensor) -> Tensor:
        """What comes next, of every latent."""

    def _check_cacheable(self) -> None:
        """Raises ValueError for a model whose positions or latents cannot be kept."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """In eval mode, and back."""
    training = [module for module in model.modules() if module.training] if model.training else []
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _room(made: Tensor, size: int, axis: int) -> Tensor:
    """`made` at the start of new memory that is `size` long in `axis`."""
    shape = list(made.shape)
    shape[axis] = size
    memory = made.new_zeros(shape)
    memory.narrow(axis, 0, made.shape[axis]).copy_(made)
    return memory
