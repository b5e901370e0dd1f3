"""Embedders of arrays: as one token of numbers, as rows, or as a picture in patches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from perceiver_policy.policy.inputs.positions import cell_positions

MOST_PATCHES = 64
"""Tokens that a picture is cut into, unless the experiment says otherwise: an actor reads them at every step, and the
quadrant probe is learned in fewer steps from 64 than from 144."""
MOST_ROWS = 1024
"""A longer table is one token, unless the experiment says otherwise."""
SMALLEST_PICTURE = 16
"""The shorter side of a table that is taken for a gray picture."""

FARTHEST = 10
"""Deviations from the mean that a number is taken to be away at most."""
MOST_LEARNED = 2**22
"""Numbers of a batch that statistics are taken from, about."""

Total = Callable[[Tensor], Tensor]


class PictureEmbedder(nn.Module):
    """A Box -> [B, tokens, width] by square patches (space to depth), with Fourier positions.

    Of three axes the smallest is the channels, of equal ones the last; of more than three, all but the two neighbours
    that are largest: frames in a row become channels.
    """

    positions: Tensor

    def __init__(
        self,
        space: spaces.Box,
        width: int,
        bands: int,
        patch: int | None = None,
        categories: int | None = None,
        scaled: bool = False,
    ) -> None:
        super().__init__()
        axes = picture_axes(space.shape)
        self.scale = _scale(space, categories, scaled, over=axes)
        shape = (*space.shape, categories) if categories else space.shape
        height, wide = (shape[axis] for axis in axes)
        others = [axis for axis in range(len(shape)) if axis not in axes]
        channels = math.prod(shape[axis] for axis in others)
        self.patch = side = patch or next(
            side for side in itertools.count(1) if -(-height // side) * -(-wide // side) <= MOST_PATCHES
        )
        self.project = nn.Conv2d(channels, width, side, stride=side)
        rows, columns = (-(-size // side) for size in (height, wide))
        self.axes = axes
        self.padding = [0, 0] * len(shape)
        for axis, size in zip(axes, (rows * side - height, columns * side - wide), strict=True):
            self.padding[2 * (len(shape) - axis) - 1] = size
        self.of_patch = [side if axis in axes else size for axis, size in enumerate(shape)]
        self.of_weight = ([shape[axis] for axis in others], [*map([*others, *axes].index, range(len(shape)))])
        self.register_buffer("positions", cell_positions(rows, columns, bands), persistent=False)
        self.position = nn.Linear(self.positions.shape[-1], width, bias=False)
        self.bind = nn.Linear(width, width, bias=False)
        kinds = f" of {categories} kinds" * bool(categories)
        channels //= categories or 1
        self.words = f"picture of {height} x {wide} with {channels} channels{kinds}, patches of {side} x {side}"
        self.most = rows * columns

    def forward(self, value: Tensor) -> tuple[Tensor, None]:
        sizes, order = self.of_weight  # that of a convolution, in the order of a patch's numbers
        weight = self.project.weight.reshape(-1, *sizes, self.patch, self.patch)
        weight = weight.permute(0, *(axis + 1 for axis in order)).flatten(1)
        if value.dtype == torch.uint8 and type(self.scale) is BoxScale and self.scale.shared:
            tokens = self._of_bytes(value, weight, self.scale)
        else:
            tokens = F.linear(self._patches(self.scale(value)), weight, self.project.bias)
        return _bound(self.bind, tokens + self.position(self.positions)), None

    def _patches(self, value: Tensor) -> Tensor:
        """[B, ...] -> [B, patches, numbers of one]; a product with these is quicker than a convolution."""
        row, column = (axis + 1 for axis in self.axes)
        cut = F.pad(value, self.padding).unflatten(column, (-1, self.patch)).unflatten(row, (-1, self.patch))
        within = [axis for axis in range(1, cut.dim()) if axis not in (row, column + 1)]
        return cut.permute(0, row, column + 1, *within).flatten(3).flatten(1, 2)

    def _of_bytes(self, value: Tensor, weight: Tensor, scale: BoxScale) -> Tensor:
        """Scaled are the weights, not so many numbers, and the mean is taken from what they make."""
        mean, deviation = scale.units()
        low, high = mean - FARTHEST * deviation, mean + FARTHEST * deviation
        near = value.clamp(low.clamp(0, 255).ceil().byte(), high.clamp(0, 255).floor().byte())
        weight = weight / deviation.float().expand(self.of_patch).flatten()
        middle = self._patches(mean.float().expand(scale.shape)[None])
        return F.linear(self._patches(near).float(), weight, self.project.bias) - middle @ weight.T


class RowsEmbedder(nn.Module):
    """A Box [B, N, ...] -> [B, N, C]: each row a token, which knows by a vector of its own which one it is."""

    def __init__(self, space: spaces.Box, width: int) -> None:
        super().__init__()
        self.scale = BoxScale(space, over=(0,))
        self.most, size = space.shape[0], math.prod(space.shape[1:])
        self.project = nn.Linear(size, width)
        self.row = nn.Parameter(torch.randn(self.most, width) / math.sqrt(width))
        self.bind = nn.Linear(width, width, bias=False)
        self.words = f"{self.most} rows of {size} numbers"

    def forward(self, value: Tensor) -> tuple[Tensor, None]:
        rows = self.scale(value).flatten(2) if value.dim() > 2 else self.scale(value)[..., None]
        return _bound(self.bind, self.project(rows) + self.row), None


def _bound(bind: nn.Module, tokens: Tensor) -> Tensor:
    """Tokens that tell together what is there and where: of a plain sum, a mean over tokens would tell neither of one.

    On the quadrant probe latents learned nothing in 10,000 steps from the sum alone.
    """
    return tokens + bind(F.relu(tokens))


class VectorEmbedder(nn.Module):
    """A Box of any shape, or MultiBinary, [B, ...] -> [B, 1, C]."""

    most = 1

    def __init__(
        self,
        space: spaces.Box | spaces.MultiBinary,
        width: int,
        categories: int | None = None,
        scaled: bool = False,
    ) -> None:
        super().__init__()
        self.scale: nn.Module | None = None
        if isinstance(space, spaces.Box):
            self.scale = _scale(space, categories, scaled)
        size = math.prod(space.shape)
        self.words = f"{size} {'numbers' if self.scale else 'bits'}" + (f" of {categories} kinds" * bool(categories))
        self.size = size * (categories or 1)
        self.project = nn.Sequential(nn.Linear(self.size, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, value: Tensor) -> tuple[Tensor, None]:
        value = self.scale(value) if self.scale else value.float()
        return self.project(value.reshape(value.shape[0], self.size))[:, None], None


def picture_axes(shape: tuple[int, ...]) -> tuple[int, int]:
    """Which axes are a picture's rows and columns."""
    if len(shape) == 2:
        return 0, 1
    if len(shape) == 3:
        channels = 2 - int(np.argmin(shape[::-1]))
        first, second = (axis for axis in range(3) if axis != channels)
        return first, second
    first = max(range(len(shape) - 1), key=lambda axis: min(shape[axis], shape[axis + 1]))
    return first, first + 1


def box_embedder(space: spaces.Box, width: int, bands: int, how: Any = None) -> nn.Module:
    """The embedder that reads a Box as ``how`` says: numbers, rows, picture; or a dict of a patch, categories, or both.

    None: as a person would. A table is its rows, unless it is large, square enough and of one bounded kind of number,
    as a gray picture is; what has more axes is a picture. Raises ValueError where ``how`` does not suit its shape.
    """
    how = how or usual_reading(space)
    options = how if isinstance(how, dict) else {}
    categories, patch, scaled = options.get("categories"), options.get("patch"), options.get("scaled", False)
    if categories and not patch:
        return VectorEmbedder(space, width, categories, scaled)
    least = {"numbers": 0, "rows": 1}.get(how if isinstance(how, str) else "picture", 2)
    if len(space.shape) < least:
        raise ValueError(f"is a Box of the shape {space.shape}, which cannot be read as {how!r}; use numbers")
    if how == "numbers":
        return VectorEmbedder(space, width)
    if how == "rows":
        return RowsEmbedder(space, width)
    return PictureEmbedder(space, width, bands, patch, categories, scaled)


def _scale(
    space: spaces.Box, categories: int | None, scaled: bool, over: tuple[int, ...] = ()
) -> OneHot | BoxScale | ScaledKinds:
    if not categories:
        return BoxScale(space, over=over)
    return ScaledKinds(space, categories, over=over) if scaled else OneHot(space, categories)


def usual_reading(space: spaces.Box) -> str:
    """See :func:`box_embedder`."""
    shape = space.shape
    if len(shape) < 2:
        return "numbers"
    if len(shape) == 2:
        alike = (
            space.is_bounded() and np.ptp(space.low.astype(np.float64)) == np.ptp(space.high.astype(np.float64)) == 0
        )
        if alike and min(shape) >= SMALLEST_PICTURE and max(shape) <= 4 * min(shape):
            return "picture"
        return "rows" if shape[0] <= MOST_ROWS else "numbers"
    return "picture" if math.prod(shape[axis] for axis in picture_axes(shape)) > 4 else "numbers"


class OneHot(nn.Module):
    """A Box's values, each one of some kinds -> [B, ..., categories], of mean square one as scaled numbers are.

    Kinds are counted from the lower bound, from 0 where there is none; what is beyond them is read as the nearest.
    """

    kinds: Tensor

    def __init__(self, space: spaces.Box, categories: int) -> None:
        super().__init__()
        first = np.where(np.isfinite(space.low), space.low, 0)[..., None]
        self.register_buffer("kinds", torch.as_tensor(first + np.arange(categories)).float(), persistent=False)

    def forward(self, value: Tensor) -> Tensor:
        nearest = value[..., None].float().round().clamp(self.kinds[..., :1], self.kinds[..., -1:])
        return (nearest == self.kinds).float() * self.kinds.shape[-1] ** 0.5


class BoxScale(nn.Module):
    """A Box's values -> floats of order one, by their running mean and deviation.

    Bounds that are never reached say little: scaled by them, Acrobot's speeds are a tenth of what they are among, and
    MiniGrid's kinds of objects, 0 to 10 of 255, are all alike. What is ``over`` the same axes, such as a picture's
    cells or a table's rows, shares its statistics. They change only in :meth:`learn`, so that a log-probability means
    the same at collection and update; before the first time, and in weights from before them (`by_bounds`), bounds
    scale to [-1, 1].
    """

    by_bounds: Tensor
    middle: Tensor
    half_range: Tensor
    mean: Tensor
    second: Tensor
    count: Tensor

    def __init__(self, space: spaces.Box, *, over: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.shape = space.shape
        low = space.low.astype(np.float64).min(over, keepdims=True)
        high = space.high.astype(np.float64).max(over, keepdims=True)
        # some environments bound a number by the largest float: that is no scale
        self.bounded = (low > -1e6) & (high < 1e6)
        low, high = np.where(self.bounded, low, -1.0), np.where(self.bounded, high, 1.0)
        self.register_buffer("middle", torch.as_tensor((low + high) / 2).float(), persistent=False)
        half_range = np.maximum((high - low) / 2, 1e-6)
        self.register_buffer("half_range", torch.as_tensor(half_range).float(), persistent=False)
        self.register_buffer("by_bounds", torch.zeros(low.shape, dtype=torch.bool))
        self.register_buffer("mean", torch.zeros(low.shape, dtype=torch.float64))
        self.register_buffer("second", torch.zeros(low.shape, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *given: Any) -> None:
        """Weights from before `by_bounds` are of numbers that were scaled by their bounds, and stay so; those of single
        cells keep their statistics."""
        if f"{prefix}by_bounds" not in state_dict:
            state_dict[f"{prefix}by_bounds"] = torch.from_numpy(self.bounded)
        for name in ("mean", "second", "count"):  # there were none where all numbers have bounds
            own = getattr(self, name)
            saved = state_dict.setdefault(f"{prefix}{name}", torch.zeros_like(own, device="cpu"))
            if name != "count" and saved.shape == self.shape:
                self.register_buffer(name, saved.to(own.device, copy=True))
        if state_dict[f"{prefix}by_bounds"].shape == self.shape:
            self.register_buffer("by_bounds", state_dict[f"{prefix}by_bounds"].to(self.by_bounds.device, copy=True))
        super()._load_from_state_dict(state_dict, prefix, *given)

    @property
    def shared(self) -> bool:
        """Whether numbers share their statistics."""
        return self.mean.shape != self.shape

    def units(self) -> tuple[Tensor, Tensor]:
        """The mean and the deviation that numbers are scaled by."""
        given = self.by_bounds | (self.count == 0)
        deviation = (self.second / self.count.clamp(min=1)).sqrt().clamp(min=1e-4)
        return torch.where(given, self.middle, self.mean), torch.where(given, self.half_range, deviation)

    def forward(self, value: Tensor) -> Tensor:
        mean, deviation = self.units()
        if self.shared:  # of so many numbers doubles, and more than one copy, would cost too much
            return (value + -mean.float()).div_(deviation.float()).clamp_(-FARTHEST, FARTHEST)  # truth has no minus
        return ((value.double() - mean) / deviation).float().clamp(-FARTHEST, FARTHEST)

    def learn(self, value: Tensor, total: Total = lambda x: x) -> None:
        """Add values [B, ...] to the statistics (Chan et al. 1979, pairwise update); ``total`` as in `Inputs`.

        A row that holds what is not finite is left out: it would stay in them for ever. Of many pictures some do.
        """
        value = value[:: max(1, value.numel() // MOST_LEARNED)]
        shared = [axis + 1 for axis, size in enumerate(self.mean.shape) if size < value.shape[axis + 1]]
        size = math.prod(self.shape)
        rows = value.isfinite().reshape(len(value), size).all(1)
        away = torch.where(rows.view(-1, *[1] * self.mean.dim()), value.double() - self.mean, 0.0)
        counted = torch.zeros_like(self.mean) + rows.sum() * (size // max(1, self.mean.numel()))
        shift, square = (part.sum([0, *shared], keepdim=True)[0] for part in (away, away.square()))
        count, shift, square = total(torch.stack((counted, shift, square)))
        all_of_them = (self.count + count).clamp(min=1)
        self.second += square - shift.square() / all_of_them
        self.mean += shift / all_of_them
        self.count += count.flatten()[0]


class ScaledKinds(BoxScale):
    """A Box's values, each one of some kinds -> [B, ..., categories], one-hot, by the mean and deviation of each.

    What never changes becomes nothing: else a few kinds that matter are lost among many that do not.
    """

    def __init__(self, space: spaces.Box, categories: int, *, over: tuple[int, ...] = ()) -> None:
        super().__init__(spaces.Box(0, 1, (*space.shape, categories)), over=over)
        self.one_hot = OneHot(space, categories)

    def forward(self, value: Tensor) -> Tensor:
        return super().forward(self.one_hot(value))

    def learn(self, value: Tensor, total: Total = lambda x: x) -> None:
        """See :meth:`BoxScale.learn`."""
        super().learn(self.one_hot(value), total)
