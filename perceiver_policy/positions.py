"""Where an input is: position features, computed or learned, to be concatenated or added to what the input is.

Coordinates are `[..., d]`, in [-1, 1] along every axis for the Fourier features (Perceiver, arXiv 2103.03206, section
3.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from perceiver_policy.attention import Rotation


def grid_positions(shape: Sequence[int], device: torch.device | str | None = None) -> Tensor:
    """Coordinates of a regular grid, `[*shape, d]`, from -1 to 1 inclusive along every axis, first axis first."""
    axes = [torch.linspace(-1.0, 1.0, size, device=device) for size in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def fourier_features(
    positions: Tensor,
    bands: int,
    max_resolution: Sequence[float],
    concat_position: bool = True,
    sine_only: bool = False,
) -> Tensor:
    """Fourier features of positions `[..., d]` in [-1, 1]: `[..., d * (2 * bands + 1)]`.

    Axis i has `bands` frequencies f from 1 to `max_resolution[i] / 2`, evenly spaced; the features are, in the
    published order, the position itself (`concat_position`), then sin(pi f x) for all bands of the first axis, of the
    second, ..., then cos(pi f x) likewise (left out with `sine_only`).
    """
    if positions.shape[-1] != len(max_resolution):
        raise ValueError(
            f"max_resolution has {len(max_resolution)} numbers for positions with {positions.shape[-1]} coordinates: "
            "give one number an axis"
        )
    frequencies = torch.stack([torch.linspace(1.0, resolution / 2, bands) for resolution in max_resolution])
    angles = (math.pi * positions[..., None] * frequencies.to(positions)).flatten(-2)
    parts = [positions] if concat_position else []
    parts += [angles.sin()] if sine_only else [angles.sin(), angles.cos()]
    return torch.cat(parts, -1)


def fourier_width(dimensions: int, bands: int, concat_position: bool = True, sine_only: bool = False) -> int:
    """Channels of `fourier_features` for positions with that many coordinates."""
    return dimensions * ((1 if sine_only else 2) * bands + int(concat_position))


def sinusoidal(positions: Tensor, width: int, max_period: float = 10_000.0) -> Tensor:
    """Sines, then cosines, of integer positions `[...]` at geometrically spaced periods: `[..., width]` (arXiv
    1706.03762, section 3.5)."""
    if width % 2:
        raise ValueError(f"sinusoidal positions need an even width, got {width}")
    periods = torch.arange(width // 2, device=positions.device, dtype=torch.float32) / (width // 2)
    angles = positions[..., None].float() * max_period**-periods
    return torch.cat((angles.sin(), angles.cos()), -1)


def rotary(positions: Tensor, channels: int, max_period: float = 10_000.0) -> Rotation:
    """Cosines and sines that `attention.rotate` applies for positions `[M]` or `[B, M]` to the first `channels` (even)
    of each head.

    They are shaped `[..., 1, M, channels]`, to broadcast over heads (RoFormer, arXiv 2104.09864).
    """
    if channels % 2:
        raise ValueError(f"rotary positions turn pairs of channels: give an even number, got {channels}")
    frequencies = max_period ** -(torch.arange(0, channels, 2, device=positions.device, dtype=torch.float32) / channels)
    angles = (positions[..., None].float() * frequencies).repeat_interleave(2, -1).unsqueeze(-3)
    return angles.cos(), angles.sin()


class FourierPositions(nn.Module):
    """Fourier features of a fixed grid, `[1, prod(shape), width]`; computed once and kept as a buffer (not saved). The
    batch broadcasts."""

    features: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        bands: int,
        *,
        max_resolution: Sequence[float] | None = None,
        concat_position: bool = True,
        sine_only: bool = False,
    ) -> None:
        super().__init__()
        features = fourier_features(grid_positions(shape), bands, max_resolution or shape, concat_position, sine_only)
        self.width = features.shape[-1]
        self.register_buffer("features", features.reshape(1, -1, self.width), persistent=False)

    def forward(self) -> Tensor:
        """`[1, prod(shape), width]`."""
        return self.features


class LearnedPositions(nn.Module):
    """A learned table, `[1, count, width]`, truncated normal with standard deviation 0.02; `project_to` adds a linear
    layer after it.

    With a small `width` and `project_to` this is the learned low-dimensional embedding of the Hierarchical Perceiver
    (arXiv 2202.10890).
    """

    def __init__(self, count: int, width: int, *, project_to: int | None = None, std: float = 0.02) -> None:
        super().__init__()
        self.table = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, count, width), std=std, a=-2 * std, b=2 * std))
        self.projection = nn.Linear(width, project_to) if project_to else None
        self.width = project_to or width

    def forward(self) -> Tensor:
        """`[1, count, width]`."""
        return self.table if self.projection is None else cast(Tensor, self.projection(self.table))


def interpolate_grid(features: Tensor, shape: Sequence[int], new_shape: Sequence[int]) -> Tensor:
    """Position features of a 2-D grid `[1, H*W, C]` resized to another grid by bicubic interpolation: `[1, H'*W',
    C]`."""
    grid = features.unflatten(1, tuple(shape)).permute(0, 3, 1, 2)
    resized = nn.functional.interpolate(grid, size=tuple(new_shape), mode="bicubic", align_corners=False)
    return resized.flatten(2).transpose(1, 2)
