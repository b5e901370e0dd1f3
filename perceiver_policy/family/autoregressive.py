"""Perceiver AR, arXiv 2202.07765: the next token from a long context, at the cost of a short stack.

The last N positions are the latents: they attend once to all positions up to their own, then to each other, causally.
Rotary positions turn a part of each head's channels. In training a part of the prefix can be dropped. `generation`
writes on, token by token.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from perceiver_policy.core.attention import (
    Activation,
    CrossAttention,
    Rotation,
    SelfAttention,
    boolean,
    output_linear,
    squared_relu,
)
from perceiver_policy.core.positions import rotary, sinusoidal
from perceiver_policy.core.recorded import recorded
from perceiver_policy.family.generation import Decoding


@recorded
class PerceiverAR(Decoding):
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
        self.query_projection = nn.Identity()
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
        return self._logits(self._run(ids, mask, latents))

    def _run(self, ids: Tensor, mask: Tensor | None, latents: int | None) -> Tensor:
        total = ids.shape[1]
        if total > self.length:
            raise ValueError(f"{total} tokens, but the model's context is {self.length}: keep the last {self.length}")
        count = min(latents or self.latents, self.latents, total)
        valid = torch.ones_like(ids, dtype=torch.bool) if mask is None else boolean(mask)
        ids = ids if mask is None else ids.masked_fill(~valid, 0)  # padding need not be in the vocabulary
        places = self._places(valid)
        kept_ids, kept_places, kept_valid = self._drop_prefix(ids, places, valid, total - count)
        inputs = self._embed(kept_ids, kept_places)
        last, last_places = self.query_projection(inputs[:, -count:]), places[:, -count:]
        order = torch.arange(count, device=ids.device)
        causal = order[:, None] >= order
        prefix = torch.ones(count, kept_ids.shape[1] - count, dtype=torch.bool, device=ids.device)
        seen = torch.cat((prefix, causal), 1)[None, None]
        allowed = seen if mask is None else seen & kept_valid[:, None, None]
        own = causal[None, None] if mask is None else causal & valid[:, None, None, -count:]
        cross = self.cross.keys_values(inputs, self._turn(kept_places, self.cross_rotated))
        x = self.cross(last, keys_values=cross, mask=allowed, rotation=self._turn(last_places, self.cross_rotated))
        turn = self._turn(last_places, self.self_rotated)
        for layer in self._layers():
            if self.checkpointing and self.training and torch.is_grad_enabled():
                x = checkpoint(layer, x, own, turn, use_reentrant=False)
            else:
                x = layer(x, own, turn)
        return x

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

    def _places(self, valid: Tensor) -> Tensor:
        """Position of every token in its text: padding on the left does not count."""
        return (valid.long().cumsum(1) - 1).clamp(min=0)

    def _turn(self, places: Tensor, channels: int) -> Rotation:
        return rotary(places, channels)

    def _only_distances_count(self) -> bool:
        return self.absolute == "none"

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


def _even(channels: float) -> int:
    return max(2, int(channels) // 2 * 2)
