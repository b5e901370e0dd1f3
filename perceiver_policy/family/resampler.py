"""The Perceiver Resampler (Flamingo, arXiv 2204.14198, section 3.1.1): any number of media features -> a fixed number
of tokens."""

from __future__ import annotations

from typing import Any, cast

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
    learned embedding of the frame, for up to that many frames. With `media`, features have one more axis after the
    batch, the media of a text: each is read by itself, with a learned embedding of its number (up to that many; 0 for
    none), into `[B, media, latents, width]`. Without `bias` no linear layer has one. The output is normalized.
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
        media: int | None = None,
        widening: int = 4,
        bias: bool = True,
        dropout: float = 0.0,
        activation: Activation = F.gelu,
    ) -> None:
        super().__init__()
        self.several = media is not None
        self.media = Latents(media, width) if media else None
        self.latents = Latents(latents, width)
        self.frames = Latents(frames, width) if frames else None
        self.layers = nn.ModuleList(
            CrossAttention(
                width,
                width,
                heads=heads,
                qk_width=qk_width,
                widening=widening,
                bias=bias,
                dropout=dropout,
                activation=activation,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def draw_special(self) -> None:
        """As the public implementations: linear layers as PyTorch's, tables of deviation 1; see `initialize`."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.reset_parameters()
            elif isinstance(module, Latents):
                nn.init.normal_(module.value)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask`, True = valid: `[B, M]`, or `[B, T, S]`, or `[B, T]` for whole frames; with the media's axis where
        there is one. What is masked changes nothing."""
        if not self.several:
            return self._read(features, mask)
        if features.dim() not in (4, 5):
            raise ValueError(f"expected features [batch, media, (frames,) places, width], got {tuple(features.shape)}")
        count = features.shape[1]
        if self.media is not None:
            if count > self.media.count:
                raise ValueError(f"{count} media, but the resampler has embeddings for {self.media.count}")
            features = features + self.media.value[:count].reshape(count, *[1] * (features.dim() - 3), -1)
        flat = None if mask is None else mask.flatten(0, 1)
        return self._read(features.flatten(0, 1), flat).unflatten(0, (-1, count))

    def _read(self, features: Tensor, mask: Tensor | None) -> Tensor:
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


PUBLIC: dict[str, dict[str, Any]] = {
    "open_flamingo": {"depth": 6, "media": 0},
    "flamingo-pytorch": {"depth": 6, "media": 4},
}
"""What the two public implementations have where nothing else is said. (The second's users say how many layers.)"""


def public_resampler(name: str, width: int, *, head_width: int = 64, heads: int = 8, **options: Any) -> Resampler:
    """The Resampler of open_flamingo, or of flamingo-pytorch: no biases, heads of `head_width`, and latents and
    embeddings that start with a standard deviation of 1.

    Features are `[B, media, frames, places, width]`, in flamingo-pytorch `[B, media, places, width]`. `options`:
    `depth`, `latents`, `frames`, `media`, `widening`. Raises ValueError for another name.
    """
    if name not in PUBLIC:
        raise ValueError(f"no public resampler {name!r}: expected one of {', '.join(PUBLIC)}")
    model = Resampler(width, heads=heads, qk_width=heads * head_width, bias=False, **(PUBLIC[name] | options))
    model.draw_special()
    return model
