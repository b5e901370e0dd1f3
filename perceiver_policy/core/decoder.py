"""Output queries -> outputs: one cross-attention layer from the queries to the latents (Perceiver IO, arXiv 2107.14795,
section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceiver_policy.core.attention import Activation, CrossAttention, KeyValues, OutputLinear, hide
from perceiver_policy.core.recorded import recorded


@recorded
class Decoder(nn.Module):
    """Asks the latents `[B, N, latent_width]` with queries `[B or 1, Q, query_width]`: `[B, Q, output_width or
    query_width]`.

    Queries do not see each other, so any number of them, in any order or chunks, gets the same answers. `qk_width`
    defaults to the latents' width, `v_width` to `qk_width`. `output_width` adds a final linear layer.
    """

    def __init__(
        self,
        query_width: int,
        latent_width: int,
        *,
        heads: int = 1,
        qk_width: int | None = None,
        v_width: int | None = None,
        widening: int = 1,
        residual: bool = True,
        output_width: int | None = None,
        dropout: float = 0.0,
        activation: Activation = F.gelu,
    ) -> None:
        super().__init__()
        self.query_width, self.latent_width = query_width, latent_width
        self.output_width = output_width or query_width
        self.cross = CrossAttention(
            query_width,
            latent_width,
            heads=heads,
            qk_width=qk_width,
            v_width=v_width,
            widening=widening,
            residual=residual,
            dropout=dropout,
            activation=activation,
        )
        self.final = OutputLinear(query_width, output_width) if output_width else None

    def keys_values(self, latents: Tensor) -> KeyValues:
        """Keys and values of the latents, to decode several sets of queries from the same latents."""
        return self.cross.keys_values(latents)

    def forward(
        self,
        queries: Tensor,
        latents: Tensor | None = None,
        *,
        keys_values: KeyValues | None = None,
        mask: Tensor | None = None,
        query_mask: Tensor | None = None,
        chunk: int | None = None,
    ) -> Tensor:
        """Give `latents` or the `keys_values` made from them. Outputs at False of `query_mask` `[B, Q]` are zeros.

        `mask` `[B, N]` says which latents there are (None: all).

        `chunk` decodes that many queries at a time: the same result in less memory (under `torch.no_grad`, or where
        gradients need not be kept).
        """
        if queries.shape[-1] != self.query_width:
            raise ValueError(f"expected queries [batch, queries, {self.query_width}], got {tuple(queries.shape)}")
        if keys_values is None:
            if latents is None:
                raise ValueError("the decoder needs latents, or keys_values made from them; got neither")
            keys_values = self.keys_values(latents)
        if chunk is None or queries.shape[1] <= chunk:
            return self._decode(queries, keys_values, mask, query_mask)
        masks = [None] * queries.shape[1] if query_mask is None else query_mask.split(chunk, 1)
        return torch.cat(
            [self._decode(q, keys_values, mask, m) for q, m in zip(queries.split(chunk, 1), masks, strict=False)], 1
        )

    def _decode(
        self, queries: Tensor, keys_values: KeyValues, mask: Tensor | None, query_mask: Tensor | None
    ) -> Tensor:
        answers = self.cross(queries, keys_values=keys_values, mask=mask, query_mask=query_mask)
        return answers if self.final is None else hide(self.final(answers), query_mask)
