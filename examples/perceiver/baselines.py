"""The networks that the examples train for the same processor time, each of the kind that is usual for its data."""

from __future__ import annotations

import itertools
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PointNet(nn.Module):
    """Points `[B, M, 3]` -> logits `[B, classes]`: the same small network on every point, then their maximum (arXiv
    1612.00593, without its learned rotations)."""

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        widths = [3, width, width, 2 * width, 8 * width]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv1d(before, after, 1), nn.BatchNorm1d(after), nn.ReLU()]
        self.points = nn.Sequential(*layers)
        self.cloud = nn.Sequential(
            nn.Linear(8 * width, 2 * width), nn.BatchNorm1d(2 * width), nn.ReLU(), nn.Linear(2 * width, classes)
        )

    def forward(self, points: Tensor) -> Tensor:
        """See the class."""
        return cast(Tensor, self.cloud(self.points(points.transpose(1, 2)).amax(-1)))


class Residual(nn.Module):
    """Two convolutions beside a shortcut (arXiv 1512.03385)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        straight = before == after and stride == 1
        self.shortcut = nn.Identity() if straight else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, before, H, W]` -> `[B, after, H / stride, W / stride]`."""
        return F.relu(self.path(x) + self.shortcut(x))


def resnet(channels: int, classes: int, widths: tuple[int, ...] = (32, 64, 128)) -> nn.Sequential:
    """Images, or spectrograms, `[B, channels, H, W]` -> logits: one residual block a width, halving the size between
    them."""
    blocks: list[nn.Module] = [nn.Conv2d(channels, widths[0], 3, 1, 1), nn.ReLU()]
    before = widths[0]
    for i, width in enumerate(widths):
        blocks.append(Residual(before, width, 2 if i else 1))
        before = width
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))


class Transformer(nn.Module):
    """Tokens `[B, M, features]`, or ids `[B, M]` with `vocabulary`, -> logits for each, or, `pooled`, for their mean:
    a pre-norm Transformer with learned positions."""

    def __init__(
        self,
        features: int,
        length: int,
        outputs: int,
        *,
        width: int = 64,
        layers: int = 3,
        heads: int = 4,
        widening: int = 2,
        ids: bool = False,
        pooled: bool = False,
        causal: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embed: nn.Module = nn.Embedding(features, width) if ids else nn.Linear(features, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(
            width, heads, widening * width, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.output = nn.Linear(width, outputs)
        self.pooled, self.causal = pooled, causal

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.embed(x) + self.positions[: x.shape[1]]
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if self.causal else None
        x = self.layers(x, mask=mask, is_causal=self.causal)
        return cast(Tensor, self.output(x.mean(1) if self.pooled else x))


def vit(size: int, patch: int, channels: int, classes: int, **options: float) -> nn.Sequential:
    """Images `[B, channels, size, size]` -> logits: a Transformer over square patches (arXiv 2010.11929), their mean
    answering."""
    patches = (size // patch) ** 2
    body = Transformer(channels * patch**2, patches, classes, pooled=True, **options)  # type: ignore[arg-type]
    return nn.Sequential(nn.Unfold(patch, stride=patch), Swap(), body)


class Swap(nn.Module):
    """`[B, C, M]` -> `[B, M, C]`."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x.transpose(1, 2)
