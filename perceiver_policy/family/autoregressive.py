"""Perceiver AR, arXiv 2202.07765: the next token from a long context, at the cost of a short stack.

The last N positions are the latents: they attend once to all positions up to their own, then to each other, causally.
Positions are rotary (they turn a part of each head's channels) or a table added to the embeddings. In training a part
of the inputs can be dropped. `generation` writes on, token by token. Details are those of the authors' code,
google-research/perceiver-ar: a forward pass with its weights gives its logits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from perceiver_policy.core.latents import Latents
from perceiver_policy.core.positions import rotary, sinusoidal
from perceiver_policy.core.recorded import recorded
from perceiver_policy.family.generation import Decoding
from perceiver_policy.family.initialization import cut_normal_


@recorded
class PerceiverAR(Decoding):
    """A causal language model over `vocabulary` tokens, of contexts up to `length`, with at most `latents` latents.

    `positions` are "rotary", turning the fraction `rotated` of each head's channels at wavelengths from 1 to
    `max_wavelength` (default: `length`); or tables added to the embeddings, "sinusoidal" (fixed) or "learned", with
    `position_rows` rows: one number an axis, for texts `(length,)`, for images several (their sum is added, and every
    call gives its `positions`). Positions count up from the number `count_from`, or, "end", down to the last token,
    which has 0. The original counts from the end, and from 1 where its data has the positions, as all its published
    configurations do. Its other options: `latents_per_position` (their mean answers); `input_dropout`, the
    probability with which a training step hides an input from the cross-attend; `latent_dropout`, that with which it
    hides a latent from all others; and `queries`, what the latents start from: the "inputs" at their positions,
    "learned" vectors, one for each of the last positions, or one that is "shared" by all. `prefix_dropout` leaves out
    an exact share of the positions before the latents instead: a shorter prefix is less work. Layers have squared ReLU
    and a widening of 4, as published.
    """

    position_tables: nn.ModuleList

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
        positions: Literal["rotary", "sinusoidal", "learned"] = "rotary",
        rotated: float = 0.5,
        max_wavelength: float | None = None,
        position_rows: Sequence[int] | None = None,
        count_from: int | Literal["end"] = 0,
        latents_per_position: int = 1,
        prefix_dropout: float = 0.0,
        input_dropout: float = 0.0,
        latent_dropout: float = 0.0,
        queries: Literal["inputs", "learned", "shared"] = "inputs",
        dropout: float = 0.0,
        tie_embeddings: bool = False,
        checkpointing: bool = False,
        activation: Activation = squared_relu,
    ) -> None:
        super().__init__()
        if not 0 < latents <= length:
            raise ValueError(f"latents {latents}: expected 1 to length {length}, for they are the last positions")
        self.length, self.latents, self.width = length, latents, width
        if positions not in ("rotary", "sinusoidal", "learned"):
            raise ValueError(f"positions is {positions!r}: expected 'rotary', 'sinusoidal' or 'learned'")
        if not 0 < rotated <= 1:
            raise ValueError(
                f"rotated is {rotated}: expected a fraction of each head's channels, above 0 and at most 1"
            )
        self.prefix_dropout, self.input_dropout, self.latent_dropout = prefix_dropout, input_dropout, latent_dropout
        self.checkpointing = checkpointing
        self.kind_of_positions, self.count_from = positions, count_from
        self.max_wavelength = max_wavelength or length
        self.embedding = nn.Embedding(vocabulary, width)
        rows = () if positions == "rotary" else tuple(position_rows or (length,))
        self.position_tables = nn.ModuleList(nn.Embedding(count, width) for count in rows)
        # Small, as learned here faster; but sines, which are not learned, would drown what is small.
        deviation = 1.0 if positions == "sinusoidal" else 0.02
        for table in (self.embedding, *self._tables()):
            cut_normal_(table.weight, deviation)
        if queries not in ("inputs", "learned", "shared"):
            raise ValueError(f"queries is {queries!r}: expected 'inputs', 'learned' or 'shared'")
        if queries != "inputs" and latents_per_position > 1:
            raise ValueError(f"queries={queries!r} are for one latent a position, got {latents_per_position}")
        self.query_projection = nn.Linear(width, width) if queries == "inputs" else None
        count = {"inputs": 0, "learned": latents, "shared": 1}[queries]
        self.learned_queries = Latents(count, width) if count else None
        self.latents_per_position = latents_per_position
        self.place = Latents(latents_per_position, width) if latents_per_position > 1 else None
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
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Tables and biases as they start; the layers are as they were made."""
        if self.kind_of_positions == "sinusoidal":
            for table in self._tables():
                table.weight.requires_grad_(False)
                rows = torch.arange(table.num_embeddings, device=table.weight.device)
                table.weight.copy_(sinusoidal(rows, self.width, inclusive=True))

    def draw_special(self) -> None:
        """Embeddings of deviation 1 (with a tied output small: it has none in the original), logits zero; see
        `initialize`."""
        cut_normal_(self.embedding.weight, 0.02 if self.output is None else 1.0)
        for table in self._tables():
            cut_normal_(table.weight, 1.0)
        if self.output is not None:
            nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output_bias)
        self.reset_parameters()

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        latents: int | None = None,
    ) -> Tensor:
        """Ids `[B, L]` -> logits of the next token at the last N positions, `[B, N, vocabulary]`, N the smaller of
        `latents` and L.

        `mask` `[B, L]`, True = valid: padding is on the left, so that the last positions are tokens. Padding changes
        nothing. `positions` `[B, L]`, or `[B, L, axes]`, in place of the model's own counting.
        """
        return self._logits(self._run(ids, mask, latents, positions))

    def _run(self, ids: Tensor, mask: Tensor | None, latents: int | None, positions: Tensor | None) -> Tensor:
        total = ids.shape[1]
        if total > self.length:
            raise ValueError(f"{total} tokens, but the model's context is {self.length}: keep the last {self.length}")
        count = min(latents or self.latents, self.latents, total)
        valid = torch.ones_like(ids, dtype=torch.bool) if mask is None else boolean(mask)
        ids = ids if mask is None else ids.masked_fill(~valid, 0)  # padding need not be in the vocabulary
        places = self._places(valid, positions)
        kept_ids, kept_places, kept_valid = self._drop_prefix(ids, places, valid, total - count)
        inputs = self._embed(kept_ids, kept_places)
        order = torch.arange(count, device=ids.device)
        latent = order.repeat_interleave(self.latents_per_position)  # the position of each
        last, last_places = self._ask(inputs[:, -count:]), places[:, -count:][:, latent]
        if self.place is not None:
            last = last[:, latent] + self.place.value.repeat(count, 1)
        prefix = torch.ones(len(latent), kept_ids.shape[1] - count, dtype=torch.bool, device=ids.device)
        allowed = torch.cat((prefix, latent[:, None] >= order), 1)[None, None]
        own = (latent[:, None] >= latent)[None, None]
        if mask is not None:
            allowed = allowed & kept_valid[:, None, None]
            own = own & valid[:, None, None, -count:][..., latent]
        if self.training and self.input_dropout:
            allowed = allowed & (torch.rand(kept_ids.shape, device=ids.device) >= self.input_dropout)[:, None, None]
        if self.training and self.latent_dropout:
            kept = torch.rand(len(ids), 1, 1, len(latent), device=ids.device) >= self.latent_dropout
            own = own & (kept | torch.eye(len(latent), dtype=torch.bool, device=ids.device))
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
        row = torch.arange(ids.shape[0], device=ids.device)[:, None]
        return ids.gather(1, chosen), places[row, chosen], valid.gather(1, chosen)

    def _places(self, valid: Tensor, given: Tensor | None = None) -> Tensor:
        """Position of every token in its text, `[B, L]` or `[B, L, axes]`: padding on the left does not count."""
        axes = max(len(self.position_tables), 1)
        if given is not None:
            if given.shape not in (valid.shape, (*valid.shape, axes)) or (axes > 1 and given.dim() == 2):
                wanted = f"[{valid.shape[0]}, {valid.shape[1]}{'' if axes == 1 else f', {axes}'}]"
                raise ValueError(f"positions {tuple(given.shape)}: expected {wanted}, one number a token and axis")
            return given[..., 0] if axes == 1 and given.dim() == 3 else given
        if axes > 1:
            raise ValueError(f"this model's positions have {axes} axes: give positions [batch, tokens, {axes}]")
        count = valid.long().cumsum(1)
        if self.count_from != "end":
            return (count - 1).clamp(min=0) + self.count_from
        # Only distances count for rotary positions, and counting so keeps what is cached right.
        return -count if self.kind_of_positions == "rotary" else count[:, -1:] - count

    def _only_distances_count(self) -> bool:
        return self.kind_of_positions == "rotary"

    def _embed(self, ids: Tensor, places: Tensor) -> Tensor:
        x = cast(Tensor, self.embedding(ids))
        for axis, table in enumerate(self._tables()):
            x = x + table(places if places.dim() == 2 else places[..., axis])
        return x

    def _ask(self, inputs: Tensor) -> Tensor:
        """What the latents of the last positions start from, given these inputs `[B, N, width]`."""
        if self.query_projection is not None:
            return cast(Tensor, self.query_projection(inputs))
        learned = cast(Latents, self.learned_queries).value
        return learned[-inputs.shape[1] :].expand_as(inputs)

    def _turn(self, places: Tensor, channels: int) -> Rotation | None:
        if self.kind_of_positions != "rotary":
            return None
        dtype = torch.float64 if self.embedding.weight.dtype == torch.float64 else torch.float32
        return rotary(places, channels, self.max_wavelength, inclusive=True, dtype=dtype)

    def _logits(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        if self.place is not None:
            x = x.unflatten(1, (-1, self.latents_per_position)).mean(2)
        weight = self.embedding.weight if self.output is None else self.output.weight
        return output_linear(x, weight, self.output_bias)

    def _check_cacheable(self) -> None:
        if self.place is not None or len(self.position_tables) > 1:
            raise ValueError("decoding step by step is for models with one latent a position and one axis of positions")
        if self.learned_queries is not None and self.learned_queries.count > 1:
            raise ValueError("queries that are learned for each position change with every token: build with 'shared'")
        if self.kind_of_positions != "rotary" and self.count_from == "end":
            raise ValueError("positions that count from the end change with every token: build with count_from=0")

    def _layers(self) -> Iterable[SelfAttention]:
        return cast(Iterable[SelfAttention], self.layers)

    def _tables(self) -> Iterable[nn.Embedding]:
        return cast(Iterable[nn.Embedding], self.position_tables)


def _even(channels: float) -> int:
    return max(2, int(channels) // 2 * 2)
