"""Perceiver AR, arXiv 2202.07765: the next token from a long context, at the cost of a short stack.

The last N positions are the latents: they attend once to all positions up to their own, then to each other, causally.
Rotary positions turn a part of each head's channels. In training a part of the prefix can be dropped. Decoding keeps
keys and values, and gives what a whole forward pass gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from perceiver_policy.core.attention import (
    Activation,
    CrossAttention,
    KeyValues,
    SelfAttention,
    boolean,
    output_linear,
    squared_relu,
)
from perceiver_policy.core.positions import rotary, sinusoidal


@dataclass
class Cache:
    """What decoding keeps: ids and validity `[B, L]`, keys and values of the cross-attend, and of each layer's latents
    so far."""

    ids: Tensor
    valid: Tensor
    cross: KeyValues
    layers: list[KeyValues]


class PerceiverAR(nn.Module):
    """A causal language model over `vocabulary` tokens, of contexts up to `length`, with at most `latents` latents.

    `rotated` is the fraction of each head's channels that rotary positions turn (a quarter, as published). `absolute`
    says which positions are added to the embeddings beside. `prefix_dropout` is the fraction of the positions before
    the latents that a training step leaves out. Layers have squared ReLU and a widening of 4, as published.
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        length: int,
        latents: int,
        width: int = 512,
        self_attends: int = 6,
        heads: int = 8,
        cross_heads: int | None = None,
        widening: int = 4,
        rotated: float = 0.25,
        absolute: Literal["sinusoidal", "learned", "none"] = "sinusoidal",
        prefix_dropout: float = 0.0,
        dropout: float = 0.0,
        tie_embeddings: bool = True,
        checkpointing: bool = False,
        activation: Activation = squared_relu,
    ) -> None:
        super().__init__()
        if not 0 < latents <= length:
            raise ValueError(f"latents {latents}: expected 1 to length {length}, for they are the last positions")
        self.length, self.latents, self.width = length, latents, width
        self.prefix_dropout, self.absolute, self.checkpointing = prefix_dropout, absolute, checkpointing
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.trunc_normal_(self.embedding.weight, std=0.02, a=-0.04, b=0.04)
        if absolute == "learned":
            self.positions = nn.Embedding(length, width)
            nn.init.trunc_normal_(self.positions.weight, std=0.02, a=-0.04, b=0.04)
        cross_heads = cross_heads or heads
        self.cross_rotated = _even(rotated * width / cross_heads)
        self.self_rotated = _even(rotated * width / heads)
        self.cross = CrossAttention(
            width, width, heads=cross_heads, widening=widening, dropout=dropout, activation=activation
        )
        self.layers = nn.ModuleList(
            SelfAttention(width, heads=heads, widening=widening, dropout=dropout, activation=activation)
            for _ in range(self_attends)
        )
        self.norm = nn.LayerNorm(width)
        self.output = None if tie_embeddings else nn.Linear(width, vocabulary, bias=False)
        self.output_bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, ids: Tensor, mask: Tensor | None = None, *, latents: int | None = None) -> Tensor:
        """Ids `[B, L]` -> logits of the next token at the last N positions, `[B, N, vocabulary]`, N the smaller of
        `latents` and L.

        `mask` `[B, L]`, True = valid: padding is on the left, so that the last positions are tokens. Padding changes
        nothing.
        """
        x, _ = self._start(ids, mask, latents, cached=False)
        return self._logits(x)

    def start(self, ids: Tensor, mask: Tensor | None = None, *, latents: int | None = None) -> tuple[Tensor, Cache]:
        """The prompt's next-token logits `[B, vocabulary]` and the cache to go on from; see `step`."""
        x, cache = self._start(ids, mask, latents, cached=True)
        return self._logits(x[:, -1]), cache

    def step(self, ids: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """One more token `[B]` -> its next-token logits `[B, vocabulary]` and the new cache: equal to `forward` with
        one more latent.

        When there is no place for one more latent, the cache is made anew with half as many, as a forward pass with
        that many would.
        """
        whole = torch.cat((cache.ids, ids[:, None]), 1)
        if whole.shape[1] > self.length:
            raise ValueError(f"the context is full: {self.length} positions")
        valid = torch.cat((cache.valid, torch.ones_like(ids[:, None], dtype=torch.bool)), 1)
        if cache.layers and cache.layers[0][0].shape[2] >= self.latents:
            return self.start(whole, valid, latents=max(self.latents // 2, 1))
        places = _places(valid)[:, -1:]
        x = self._embed(ids[:, None], places)
        turn = rotary(places, self.cross_rotated)
        cross = _join(cache.cross, self.cross.keys_values(x, turn))
        x = self.cross(x, keys_values=cross, mask=valid, rotation=turn)
        turn = rotary(places, self.self_rotated)
        own_valid = valid[:, -cache.layers[0][0].shape[2] - 1 :] if cache.layers else None
        layers = []
        for layer, before in zip(self._layers(), cache.layers, strict=True):
            queries, keys, values = layer.project(x, turn)
            keys_values = _join(before, (keys, values))
            x = layer.finish(x, queries, *keys_values, own_valid)
            layers.append(keys_values)
        return self._logits(x[:, -1]), Cache(whole, valid, cross, layers)

    @torch.no_grad()
    def generate(
        self,
        ids: Tensor,
        count: int,
        *,
        mask: Tensor | None = None,
        latents: int | None = None,
        temperature: float = 1.0,
        top: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """`count` tokens after the prompt `[B, L]`: `[B, count]`. `temperature` 0 takes the likeliest; `top` samples
        among so many."""
        logits, cache = self.start(ids, mask, latents=latents)
        found = []
        for _ in range(count):
            found.append(_choose(logits, temperature, top, generator))
            if len(found) < count:
                logits, cache = self.step(found[-1], cache)
        return torch.stack(found, 1)

    def _start(self, ids: Tensor, mask: Tensor | None, latents: int | None, cached: bool) -> tuple[Tensor, Cache]:
        total = ids.shape[1]
        if total > self.length:
            raise ValueError(f"{total} tokens, but the model's context is {self.length}: keep the last {self.length}")
        count = min(latents or self.latents, self.latents, total)
        valid = torch.ones_like(ids, dtype=torch.bool) if mask is None else boolean(mask)
        ids = ids if mask is None else ids.masked_fill(~valid, 0)  # padding need not be in the vocabulary
        places = _places(valid)
        kept_ids, kept_places, kept_valid = self._drop_prefix(ids, places, valid, total - count)
        inputs = self._embed(kept_ids, kept_places)
        last, last_places = inputs[:, -count:], places[:, -count:]
        order = torch.arange(count, device=ids.device)
        causal = order[:, None] >= order
        prefix = torch.ones(count, kept_ids.shape[1] - count, dtype=torch.bool, device=ids.device)
        seen = torch.cat((prefix, causal), 1)[None, None]
        allowed = seen if mask is None else seen & kept_valid[:, None, None]
        own = causal[None, None] if mask is None else causal & valid[:, None, None, -count:]
        cross = self.cross.keys_values(inputs, rotary(kept_places, self.cross_rotated))
        x = self.cross(last, keys_values=cross, mask=allowed, rotation=rotary(last_places, self.cross_rotated))
        turn = rotary(last_places, self.self_rotated)
        layers = []
        for layer in self._layers():
            if cached:
                queries, keys, values = layer.project(x, turn)
                layers.append((keys, values))
                x = layer.finish(x, queries, keys, values, own)
            elif self.checkpointing and self.training and torch.is_grad_enabled():
                x = checkpoint(layer, x, own, turn, use_reentrant=False)
            else:
                x = layer(x, own, turn)
        return x, Cache(ids, valid, cross, layers)

    def _drop_prefix(self, ids: Tensor, places: Tensor, valid: Tensor, prefix: int) -> tuple[Tensor, Tensor, Tensor]:
        """Keeps a random part of the first `prefix` positions, in order, and all of the rest."""
        if not (self.training and self.prefix_dropout and prefix):
            return ids, places, valid
        keep = round(prefix * (1.0 - self.prefix_dropout))
        scores = torch.rand(ids.shape[0], prefix, device=ids.device)
        chosen = scores.topk(keep, 1).indices.sort(1).values
        rest = torch.arange(prefix, ids.shape[1], device=ids.device).expand(ids.shape[0], -1)
        chosen = torch.cat((chosen, rest), 1)
        return ids.gather(1, chosen), places.gather(1, chosen), valid.gather(1, chosen)

    def _embed(self, ids: Tensor, places: Tensor) -> Tensor:
        x = cast(Tensor, self.embedding(ids))
        if self.absolute == "sinusoidal":
            # Embeddings start at 0.02; unscaled sines would drown them.
            return x + (0.02 * sinusoidal(places, self.width)).to(x.dtype)
        return x + self.positions(places) if self.absolute == "learned" else x

    def _logits(self, x: Tensor) -> Tensor:
        weight = self.embedding.weight if self.output is None else self.output.weight
        return output_linear(self.norm(x), weight, self.output_bias)

    def _layers(self) -> Iterable[SelfAttention]:
        return cast(Iterable[SelfAttention], self.layers)


def _places(valid: Tensor) -> Tensor:
    """Position of every token in its text: padding on the left does not count."""
    return (valid.long().cumsum(1) - 1).clamp(min=0)


def _join(before: KeyValues, now: KeyValues) -> KeyValues:
    return torch.cat((before[0], now[0]), 2), torch.cat((before[1], now[1]), 2)


def _even(channels: float) -> int:
    return max(2, int(channels) // 2 * 2)


def _choose(logits: Tensor, temperature: float, top: int | None, generator: torch.Generator | None) -> Tensor:
    if temperature == 0.0:
        return logits.argmax(-1)
    if top is not None:
        least = logits.topk(top, -1).values[:, -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    return torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0]
