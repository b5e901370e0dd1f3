"""The Perceiver Resampler (Flamingo, arXiv 2204.14198, section 3.1.1): any number of media features -> a fixed number
of tokens."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceiver_policy.core.attention import Activation, CrossAttention, boolean, hide
from perceiver_policy.core.latents import Latents
from perceiver_policy.core.recorded import recorded


@recorded
class Resampler(nn.Module):
    """Features `[B, T, S, width]` (frames, places) or `[B, M, width]` -> `[B, latents, width]`.

    Every one of `depth` layers lets the latents attend to the features and to themselves at once. `frames` adds a
    learned embedding of the frame, for up to that many frames. The output is normalized.
    """

    def __init__(
        self,
        width: int,
        *,
        depth: int = 6,
        latents: int = 64,
        heads: int = 8,
        qk_width: int | None = None,
        frames: int | None = None,
        widening: int = 4,
        dropout: float = 0.0,
        activation: Activation = F.gelu,
    ) -> None:
        super().__init__()
        self.latents = Latents(latents, width)
        self.frames = Latents(frames, width) if frames else None
        self.layers = nn.ModuleList(
            CrossAttention(
                width,
                width,
                heads=heads,
                qk_width=qk_width,
                widening=widening,
                dropout=dropout,
                activation=activation,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask`, True = valid: `[B, M]`, or `[B, T, S]`, or `[B, T]` for whole frames. What is masked changes
        nothing."""
        x, valid = self._flatten(features, None if mask is None else boolean(mask))
        z = self.latents(x.shape[0])
        if valid is not None:
            valid = F.pad(valid, (0, z.shape[1]), value=True)
        for module in self.layers:
            layer = cast(CrossAttention, module)
            keys, values = layer.keys_values(x)
            own_keys, own_values = layer.attention.keys_values(layer.query_norm(z))
            both = torch.cat((keys, own_keys), 2), torch.cat((values, own_values), 2)
            z = layer(z, keys_values=both, mask=valid)
        return cast(Tensor, self.norm(z))

    def _flatten(self, features: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if features.dim() == 3:
            return hide(features, mask), mask
        frames = features.shape[1]
        if self.frames is not None:
            if frames > self.frames.count:
                raise ValueError(f"{frames} frames, but the resampler has embeddings for {self.frames.count}")
            features = features + self.frames.value[:frames, None]
        if mask is not None and mask.dim() == 2:
            mask = mask[..., None].expand(features.shape[:3])
        flat = None if mask is None else mask.flatten(1)
        return hide(features.flatten(1, 2), flat), flat
