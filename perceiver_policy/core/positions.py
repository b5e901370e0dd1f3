"""Where an input is: position features, computed or learned, to be concatenated or added to what the input is.

Coordinates are `[..., d]`, in [-1, 1] along every axis for the Fourier features (Perceiver, arXiv 2103.03206, section
3.2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from perceiver_policy.core.attention import Rotation
from perceiver_policy.core.recorded import recorded


def grid_positions(
    shape: Sequence[int],
    device: torch.device | str | None = None,
    *,
    inclusive: bool = True,
    points: Tensor | None = None,
) -> Tensor:
    """Coordinates of a regular grid, `[prod(shape), d]`, first axis slowest; or only those of the flat indices
    `points`.

    From -1 to 1 along every axis, or, not `inclusive`, from -1 to 1 - 2/size.
    """
    if inclusive:
        axes = [torch.linspace(-1.0, 1.0, size, device=device) for size in shape]
    else:
        axes = [-1.0 + 2.0 * torch.arange(size, device=device) / size for size in shape]
    if points is None:
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)
    indices = torch.unravel_index(points, tuple(shape))
    return torch.stack([axis[index] for axis, index in zip(axes, indices, strict=True)], -1)


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
    # The product first: at hundreds of periods the order of rounding shows in the fifth digit.
    angles = (math.pi * (positions[..., None] * frequencies.to(positions))).flatten(-2)
    parts = [positions] if concat_position else []
    parts += [angles.sin()] if sine_only else [angles.sin(), angles.cos()]
    return torch.cat(parts, -1)


def fourier_width(dimensions: int, bands: int, concat_position: bool = True, sine_only: bool = False) -> int:
    """Channels of `fourier_features` for positions with that many coordinates."""
    return dimensions * ((1 if sine_only else 2) * bands + int(concat_position))


def sinusoidal(positions: Tensor, width: int, max_period: float = 10_000.0, *, inclusive: bool = False) -> Tensor:
    """Sines, then cosines, of integer positions `[...]` at geometrically spaced periods: `[..., width]` (arXiv
    1706.03762, section 3.5).

    The longest period is one step short of `max_period`, or, `inclusive`, `max_period`, as in Perceiver AR's code.
    """
    if width % 2:
        raise ValueError(f"sinusoidal positions need an even width, got {width}")
    steps = width // 2 - 1 if inclusive else width // 2
    periods = torch.arange(width // 2, device=positions.device, dtype=torch.float32) / max(steps, 1)
    angles = positions[..., None].float() * max_period**-periods
    return torch.cat((angles.sin(), angles.cos()), -1)


def rotary(
    positions: Tensor,
    channels: int,
    max_period: float = 10_000.0,
    *,
    inclusive: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Rotation:
    """Cosines and sines that `attention.rotate` applies for positions `[M]` or `[B, M]` to the first `channels` (even)
    of each head.

    They are shaped `[..., 1, M, channels]`, to broadcast over heads (RoFormer, arXiv 2104.09864), of `dtype`. The
    longest period is one step short of `max_period`, or, `inclusive`, `max_period`, as in Perceiver AR's code.
    """
    if channels % 2:
        raise ValueError(f"rotary positions turn pairs of channels: give an even number, got {channels}")
    # At thousands of periods float32 angles are off in the fourth digit.
    exact = torch.float32 if positions.device.type == "mps" else torch.float64
    steps = channels - 2 if inclusive else channels
    spacing = torch.arange(0, channels, 2, device=positions.device, dtype=exact) / max(steps, 1)
    angles = (positions[..., None].to(exact) * max_period**-spacing).repeat_interleave(2, -1).unsqueeze(-3)
    return angles.cos().to(dtype), angles.sin().to(dtype)


@recorded
class FourierPositions(nn.Module):
    """Fourier features of a grid, `[1, prod(shape), width]`; those of `shape` are computed once (a buffer, not saved)
    unless not `cached`. Built on the meta device, they are computed when the module leaves it, or loads weights.

    `max_resolution` defaults to `shape`. With `inclusive` the coordinates run from -1 to 1; without, from -1 to 1 -
    2/size, as the published decoders place the output points they were trained on.
    """

    features: Tensor | None
    like: Tensor  # empty: says on which device and of which type features are wanted

    def __init__(
        self,
        shape: Sequence[int],
        bands: int,
        *,
        max_resolution: Sequence[float] | None = None,
        concat_position: bool = True,
        sine_only: bool = False,
        inclusive: bool = True,
        cached: bool = True,
    ) -> None:
        super().__init__()
        self.shape, self.bands, self.inclusive = tuple(shape), bands, inclusive
        self.max_resolution = tuple(max_resolution or shape)
        self.concat_position, self.sine_only = concat_position, sine_only
        self.width = fourier_width(len(self.shape), bands, concat_position, sine_only)
        self.register_buffer("like", torch.empty(0), persistent=False)
        features = self._features(self.shape) if cached else None
        self.register_buffer("features", features, persistent=False)

    def forward(self, shape: Sequence[int] | None = None, points: Tensor | None = None) -> Tensor:
        """`[1, prod(shape), width]`, for another `shape` than the declared if given; or only the flat indices `points`
        of it."""
        if self.features is not None and (shape is None or tuple(shape) == self.shape):
            return self.features if points is None else self.features[:, points]
        return self._features(shape or self.shape, points)

    def reset_parameters(self) -> None:
        """Computes the features anew where the module is now: after `to_empty` their memory holds anything."""
        if self.features is not None:
            self.features = self._features(self.shape)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        was_meta = self.like.is_meta
        super()._apply(fn, recurse)
        if was_meta and not self.like.is_meta:
            self.reset_parameters()
        return self

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, metadata: Any, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, metadata, *rest)
        if self.like.is_meta and metadata.get("assign_to_params_buffers"):
            # The weights are put in place of those on meta; where they are is not said here.
            self.like = torch.empty(0, dtype=self.like.dtype, device=torch.get_default_device())
        self.reset_parameters()

    def _features(self, shape: Sequence[int], points: Tensor | None = None) -> Tensor:
        grid = grid_positions(shape, self.like.device, inclusive=self.inclusive, points=points)
        features = fourier_features(grid, self.bands, self.max_resolution, self.concat_position, self.sine_only)
        return features[None].to(self.like)


@recorded
class LearnedPositions(nn.Module):
    """A learned table, `[1, prod(shape), width]`, truncated normal with standard deviation 0.02; `project_to` adds a
    linear layer after it.

    With a small `width` and `project_to` this is the learned low-dimensional embedding of the Hierarchical Perceiver
    (arXiv 2202.10890).
    """

    def __init__(
        self, shape: int | Sequence[int], width: int, *, project_to: int | None = None, std: float = 0.02
    ) -> None:
        super().__init__()
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        table = torch.empty(math.prod(self.shape), width)
        self.table = nn.Parameter(nn.init.trunc_normal_(table, std=std, a=-2 * std, b=2 * std))
        self.projection = nn.Linear(width, project_to) if project_to else None
        self.width = project_to or width

    def forward(self, shape: Sequence[int] | None = None, points: Tensor | None = None) -> Tensor:
        """`[1, prod(shape), width]`; or only the flat indices `points` of it.

        Another `shape` than the declared takes the first positions of a sequence, and resizes a 2-D grid by bicubic
        interpolation.
        """
        table = self.table[None] if shape is None or tuple(shape) == self.shape else self._resized(tuple(shape))
        if points is not None:
            table = table[:, points]
        return table if self.projection is None else cast(Tensor, self.projection(table))

    def _resized(self, shape: tuple[int, ...]) -> Tensor:
        if len(shape) == len(self.shape) == 1 and shape[0] <= self.shape[0]:
            return self.table[None, : shape[0]]
        if len(shape) == len(self.shape) == 2:
            return interpolate_grid(self.table[None], self.shape, shape)
        raise ValueError(
            f"learned positions are for inputs of shape {self.shape}, got {shape}: shorten the input, or build for it"
        )


def interpolate_grid(features: Tensor, shape: Sequence[int], new_shape: Sequence[int]) -> Tensor:
    """Position features of a 2-D grid `[1, H*W, C]` resized to another grid by bicubic interpolation: `[1, H'*W',
    C]`."""
    grid = features.unflatten(1, tuple(shape)).permute(0, 3, 1, 2)
    resized = nn.functional.interpolate(grid, size=tuple(new_shape), mode="bicubic", align_corners=False)
    return resized.flatten(2).transpose(1, 2)


Positions = FourierPositions | LearnedPositions
