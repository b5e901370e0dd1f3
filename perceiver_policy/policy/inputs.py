"""An observation -> one array of input tokens.

Every leaf of the observation space is a modality with an embedder of its own. All tokens have one width; the bias of a
modality's last projection is its learned modality vector. Nothing here knows a game: a Gymnasium space says it all.

| leaf | tokens |
|---|---|
| `Units` | one a unit, masked where there is none |
| `Planes` | one a patch of cells, made from what the cells show and their Fourier positions |
| `Box` [H, W, C] or [H, W] | one a patch, at most 1,024 of them, with Fourier positions |
| `Numbers`, other `Box` | one |
| `Discrete` | one; `MultiDiscrete`: one a component; `MultiBinary`: one |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from envs.spaces import Feature, Keys, Numbers, Planes, SpaceError, Units, at, leaves, path_of
from perceiver_policy.core.positions import fourier_features

MOST_IMAGE_TOKENS = 1024
MOST_VALUES = 2**16
"""Of a Discrete, or of a MultiDiscrete's components together: each value has an embedding of its own."""

POSITION_RESOLUTION = 16.0
"""Of the Fourier encoding, for units and for cells alike: one place has one encoding, so that they can be matched."""

Total = Callable[[Tensor], Tensor]


@dataclass
class Tokens:
    """Input tokens [B, M, C], their mask [B, M] (None: all valid), and what an output may point to.

    ``elements``: each modality's units, cells or other parts [B, n, C] by its path; ``masks`` [B, n] likewise.
    """

    tokens: Tensor
    mask: Tensor | None
    elements: dict[str, Tensor]
    masks: dict[str, Tensor | None]

    def first(self, count: int) -> Tokens:
        """Those of the first observations."""
        if count == len(self.tokens):
            return self
        mask = None if self.mask is None else self.mask[:count]
        elements = {path: part[:count] for path, part in self.elements.items()}
        masks = {path: None if part is None else part[:count] for path, part in self.masks.items()}
        return Tokens(self.tokens[:count], mask, elements, masks)


class UnitsEmbedder(nn.Module):
    """{"features": [B, U, F], "mask": [B, U]} -> [B, U, C]."""

    def __init__(self, space: Units, width: int, bands: int) -> None:
        super().__init__()
        self.features = FeatureReader(space.columns, bands)
        self.linear = nn.Linear(self.features.width, width)
        self.inner = nn.Linear(self.features.width, width)
        self.outer = nn.Linear(width, width, bias=False)

    def forward(self, value: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        mask = value["mask"].bool()
        # what a row without a unit holds means nothing, and must not reach a gradient either
        features = self.features(value["features"].masked_fill(~mask[..., None], 0))
        # the linear part hands a position on as it is, for it to be matched with a cell's
        return self.linear(features) + self.outer(F.relu(self.inner(features))), mask


class PlanesEmbedder(nn.Module):
    """[B, H, W, P] -> cells [B, H * W, C]: the planes in a square of cells around each, and where it is.

    ``merge`` makes one token of every ``patch`` x ``patch`` cells: the latents read a patch, an output can still point
    to a cell.
    """

    positions: Tensor

    def __init__(self, space: Planes, width: int, bands: int, neighborhood: int, patch: int) -> None:
        super().__init__()
        self.features = FeatureReader(space.planes, bands=0)
        self.project = nn.Conv2d(self.features.width, width, neighborhood, padding=neighborhood // 2)
        self.register_buffer("positions", cell_positions(space.height, space.width, bands), persistent=False)
        self.position = nn.Linear(self.positions.shape[-1], width, bias=False)
        self.shape = (space.height, space.width)
        if space.height % patch or space.width % patch:
            raise SpaceError(f"planes of {space.height} x {space.width} cells cannot be cut in patches of side {patch}")
        self.merge_cells = nn.Conv2d(width, width, patch, stride=patch) if patch > 1 else None

    def forward(self, value: Tensor) -> tuple[Tensor, None]:
        features = self.features(value).permute(0, 3, 1, 2)
        cells = self.project(features).permute(0, 2, 3, 1).flatten(1, 2)
        # the positions are the same for all: one product for the batch, then a broadcast sum
        return cells + self.position(self.positions), None

    def merge(self, cells: Tensor) -> Tensor:
        """Cells [B, H * W, C] -> tokens [B, M, C]."""
        if self.merge_cells is None:
            return cells
        grid = cells.unflatten(1, self.shape).permute(0, 3, 1, 2)
        return self.merge_cells(grid).permute(0, 2, 3, 1).flatten(1, 2)


class ImageEmbedder(nn.Module):
    """[B, H, W, C] -> [B, tokens, width] by square patches (space to depth), with Fourier positions."""

    positions: Tensor

    def __init__(self, space: spaces.Box, width: int, bands: int) -> None:
        super().__init__()
        self.scale = BoxScale(space)
        self.channels_first = len(space.shape) == 3 and space.shape[0] in (1, 3, 4) and space.shape[2] > 4
        shape = space.shape[1:] if self.channels_first else space.shape[:2]
        channels = 1 if len(space.shape) == 2 else space.shape[0 if self.channels_first else 2]
        self.patch = max(1, math.ceil(math.sqrt(shape[0] * shape[1] / MOST_IMAGE_TOKENS)))
        self.project = nn.Conv2d(channels, width, self.patch, stride=self.patch)
        rows, columns = (-(-size // self.patch) for size in shape)
        self.padding = (0, columns * self.patch - shape[1], 0, rows * self.patch - shape[0])
        self.register_buffer("positions", cell_positions(rows, columns, bands), persistent=False)
        self.position = nn.Linear(self.positions.shape[-1], width, bias=False)

    def forward(self, value: Tensor) -> tuple[Tensor, None]:
        image = self.scale(value)
        if image.dim() == 3:
            image = image[..., None]
        if not self.channels_first:
            image = image.permute(0, 3, 1, 2)
        tokens = self.project(F.pad(image, self.padding)).flatten(2).transpose(1, 2)
        return tokens + self.position(self.positions), None


class NumbersEmbedder(nn.Module):
    """Named numbers [B, K] -> [B, 1, C]."""

    def __init__(self, space: Numbers, width: int, bands: int) -> None:
        super().__init__()
        self.features = FeatureReader(space.columns, bands)
        self.project = nn.Sequential(nn.Linear(self.features.width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, value: Tensor) -> tuple[Tensor, None]:
        return self.project(self.features(value))[:, None], None


class VectorEmbedder(nn.Module):
    """A Box of any shape, or MultiBinary, [B, ...] -> [B, 1, C]."""

    def __init__(self, space: spaces.Box | spaces.MultiBinary, width: int) -> None:
        super().__init__()
        self.scale = BoxScale(space) if isinstance(space, spaces.Box) else None
        self.size = math.prod(space.shape)
        self.project = nn.Sequential(nn.Linear(self.size, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, value: Tensor) -> tuple[Tensor, None]:
        value = self.scale(value) if self.scale else value.float()
        return self.project(value.reshape(value.shape[0], self.size))[:, None], None


class DiscreteEmbedder(nn.Module):
    """Discrete [B] -> [B, 1, C], MultiDiscrete [B, K] -> [B, K, C]."""

    start: Tensor
    offset: Tensor

    def __init__(self, space: spaces.Discrete | spaces.MultiDiscrete, width: int) -> None:
        super().__init__()
        counts = torch.tensor(counts_of(space))
        self.register_buffer("start", torch.as_tensor(space.start.astype(np.int64)).flatten(), persistent=False)
        self.register_buffer("offset", counts.cumsum(0) - counts, persistent=False)
        self.embed = nn.Embedding(int(counts.sum()), width)

    def forward(self, value: Tensor) -> tuple[Tensor, None]:
        value = value.reshape(value.shape[0], -1).long()
        return self.embed(value - self.start + self.offset), None


class FeatureReader(nn.Module):
    """Values [..., F] -> floats [..., width] of order one, as each feature's kind says."""

    scale: Tensor

    def __init__(self, features: Sequence[Feature], bands: int) -> None:
        super().__init__()
        self.kinds = tuple(f.kind for f in features)
        self.sizes = tuple(f.scale for f in features)
        self.bands = bands
        of = {kind: [i for i, f in enumerate(features) if f.kind == kind] for kind in ("scalar", "log", "position")}
        self.plain = of["scalar"]
        self.logs, self.positions = of["log"], of["position"]
        # a category of two values is a flag: one column says it all
        self.flags = [i for i, f in enumerate(features) if f.kind == "category" and f.scale <= 2]
        self.categories = [(i, int(f.scale)) for i, f in enumerate(features) if f.kind == "category" and f.scale > 2]
        scales = [1.0 if f.kind == "category" else f.scale for f in features]
        self.register_buffer("scale", torch.tensor(scales, dtype=torch.float32), persistent=False)
        self.width = len(self.plain) + len(self.logs) + len(self.flags) + sum(n for _, n in self.categories)
        self.width += len(self.positions) * (2 * bands + 1)

    def forward(self, value: Tensor) -> Tensor:
        parts = []
        if self.plain or self.flags:
            index = self.plain + self.flags
            parts.append(value[..., index].float() / self.scale[index])
        if self.logs:
            parts.append(value[..., self.logs].float().clamp(min=0).log1p() / self.scale[self.logs].log1p())
        for i, count in self.categories:
            # an unknown category is none of them, not an error: the game may show more than was declared
            parts.append((value[..., i, None] == torch.arange(count, device=value.device)).float())
        if self.positions:
            place = value[..., self.positions].float() / self.scale[self.positions] * 2 - 1
            parts.append(fourier_features(place, self.bands, [POSITION_RESOLUTION] * len(self.positions)))
        return torch.cat(parts, -1)


class BoxScale(nn.Module):
    """A Box's values -> floats of order one: bounded numbers to [-1, 1], the rest by their running mean and deviation.

    The statistics change only in :meth:`learn`, so that a log-probability means the same at collection and update.
    """

    bounded: Tensor
    middle: Tensor
    half_range: Tensor
    mean: Tensor
    second: Tensor
    count: Tensor

    def __init__(self, space: spaces.Box) -> None:
        super().__init__()
        low, high = (torch.as_tensor(bound.astype(np.float64)) for bound in (space.low, space.high))
        # some environments bound a number by the largest float: that is no scale
        bounded = (low > -1e6) & (high < 1e6)
        self.learns = not bool(bounded.all())
        one = torch.ones((), dtype=torch.float64)
        self.register_buffer("bounded", bounded, persistent=False)
        self.register_buffer("middle", torch.where(bounded, (low + high) / 2, 0 * one).float(), persistent=False)
        half_range = torch.where(bounded, (high - low) / 2, one).clamp(min=1e-6)
        self.register_buffer("half_range", half_range.float(), persistent=False)
        if self.learns:
            self.register_buffer("mean", torch.zeros(space.shape, dtype=torch.float64))
            self.register_buffer("second", torch.zeros(space.shape, dtype=torch.float64))
            self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, value: Tensor) -> Tensor:
        if not self.learns:
            return (value.float() - self.middle) / self.half_range
        deviation = (self.second / self.count.clamp(min=1)).sqrt().clamp(min=1e-4)
        deviation = torch.where(self.bounded | (self.count == 0), self.half_range, deviation)
        mean = torch.where(self.bounded, self.middle, self.mean)
        return ((value - mean) / deviation).float().clamp(-10, 10)

    def learn(self, value: Tensor, total: Total = lambda x: x) -> None:
        """Add values [B, ...] to the statistics (Chan et al. 1979, pairwise update); ``total`` as in `Inputs`.

        A row that holds what is not finite is left out: it would stay in them for ever.
        """
        if not self.learns:
            return
        rows = value.isfinite().reshape(len(value), self.mean.numel()).all(1)
        away = torch.where(rows.view(-1, *[1] * self.mean.dim()), value.double() - self.mean, 0.0)
        counted = torch.zeros_like(self.mean) + rows.sum()
        count, shift, square = total(torch.stack((counted, away.sum(0), away.square().sum(0))))
        all_of_them = (self.count + count).clamp(min=1)
        self.second += square - shift.square() / all_of_them
        self.mean += shift / all_of_them
        self.count += count.flatten()[0]


class Inputs(nn.Module):
    """An observation [B, ...] of ``space`` -> :class:`Tokens`."""

    def __init__(
        self,
        space: spaces.Space[Any],
        width: int,
        *,
        bands: int = 4,
        neighborhood: int = 3,
        patch: int = 1,
        unread: Collection[Keys] = (),
    ) -> None:
        """``unread``: what is no input, by its keys."""
        super().__init__()
        found = [(keys, leaf) for keys, leaf in leaves(space) if keys not in unread]
        if not found:
            raise SpaceError(f"the observation space {space} is empty: a policy needs something to look at")
        self.keys = tuple(keys for keys, _ in found)
        self.paths = tuple(path_of(space, keys) for keys in self.keys)
        self.embedders = nn.ModuleList(
            _embedder(leaf, path, width, bands, neighborhood, patch)
            for path, (_, leaf) in zip(self.paths, found, strict=True)
        )
        # attention needs something to look at even where every set is empty
        only_sets = all(isinstance(leaf, Units) for _, leaf in found)
        self.always = nn.Parameter(torch.randn(1, width) * 0.02) if only_sets else None

    def forward(self, observation: Any) -> Tokens:
        """See the class."""
        elements: dict[str, Tensor] = {}
        masks: dict[str, Tensor | None] = {}
        parts: list[Tensor] = []
        for path, keys, embedder in zip(self.paths, self.keys, self.embedders, strict=True):
            elements[path], masks[path] = embedder(at(observation, keys))
            merge = embedder.merge if isinstance(embedder, PlanesEmbedder) else None
            parts.append(merge(elements[path]) if merge else elements[path])
        if self.always is not None:
            parts.append(self.always.expand(parts[0].shape[0], 1, -1))
        tokens = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
        if all(mask is None for mask in masks.values()):
            return Tokens(tokens, None, elements, masks)
        given = [*masks.values(), None][: len(parts)]
        valid = [
            p.new_ones(p.shape[:2], dtype=torch.bool) if m is None else m for m, p in zip(given, parts, strict=True)
        ]
        return Tokens(tokens, torch.cat(valid, 1), elements, masks)

    @torch.no_grad()
    def learn_scales(self, observation: Any, total: Total = lambda x: x) -> None:
        """Add observations [B, ...] to the statistics of the unbounded numbers.

        ``total`` sums a tensor over all who learn side by side, each from observations of its own.
        """
        for keys, embedder in zip(self.keys, self.embedders, strict=True):
            scale = getattr(embedder, "scale", None)
            if isinstance(scale, BoxScale):
                scale.learn(at(observation, keys), total)


def counts_of(space: spaces.Discrete | spaces.MultiDiscrete) -> list[int]:
    """How many values each component has. Raises SpaceError where they are more than a policy can tell apart."""
    counts = [int(n) for n in (space.nvec.ravel() if isinstance(space, spaces.MultiDiscrete) else [space.n])]
    if sum(counts) > MOST_VALUES:
        raise SpaceError(
            f"{type(space).__name__} of {sum(counts):,} values: a policy tells at most {MOST_VALUES:,} apart; where "
            "their order means something use a Box, else a MultiDiscrete of their digits"
        )
    return counts


def _embedder(space: spaces.Space[Any], path: str, width: int, bands: int, neighborhood: int, patch: int) -> nn.Module:
    if isinstance(space, Units):
        return UnitsEmbedder(space, width, bands)
    if isinstance(space, Planes):
        return PlanesEmbedder(space, width, bands, neighborhood, patch)
    if isinstance(space, Numbers):
        return NumbersEmbedder(space, width, bands)
    if isinstance(space, spaces.Box):
        image = len(space.shape) in (2, 3) and math.prod(space.shape[:2]) > 4
        return ImageEmbedder(space, width, bands) if image else VectorEmbedder(space, width)
    if isinstance(space, spaces.MultiBinary):
        return VectorEmbedder(space, width)
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        try:
            return DiscreteEmbedder(space, width)
        except SpaceError as error:
            raise SpaceError(f"observation {path or 'space'!r}: {error}") from None
    raise SpaceError(
        f"observation {path or 'space'!r}: {type(space).__name__} is not supported; "
        "use Box, Discrete, MultiDiscrete, MultiBinary, Units, Planes, Numbers, or a Dict or Tuple of these"
    )


def cell_positions(rows: int, columns: int, bands: int) -> Tensor:
    """Fourier positions [rows * columns, 2 * (2 * bands + 1)] of the cells' centers, in [-1, 1]."""
    y = (torch.arange(rows) + 0.5) / rows * 2 - 1
    x = (torch.arange(columns) + 0.5) / columns * 2 - 1
    return fourier_features(torch.cartesian_prod(y, x), bands, [POSITION_RESOLUTION] * 2)
