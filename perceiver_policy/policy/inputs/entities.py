"""Embedders of what `envs.spaces` adds to Gymnasium: units, planes and named numbers, read as their features say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from envs.spaces import Feature, Numbers, Planes, SpaceError, Units
from perceiver_policy.policy.inputs.nearness import Surroundings, nearness
from perceiver_policy.policy.inputs.positions import POSITION_RESOLUTION, cell_positions


class UnitsEmbedder(nn.Module):
    """{"features": [B, U, F], "mask": [B, U]} -> [B, U, C]."""

    may_be_empty = True

    def __init__(self, space: Units, width: int, bands: int, distances: bool = False) -> None:
        """``distances``: see :mod:`perceiver_policy.policy.inputs.nearness`."""
        super().__init__()
        self.features = FeatureReader(space.columns, bands)
        self.around = Surroundings(width) if distances and self.features.counts["positions"] else None
        self.linear = nn.Linear(self.features.width, width)
        self.inner = nn.Linear(self.features.width, width)
        self.outer = nn.Linear(width, width, bias=False)
        self.words = f"up to {space.capacity} units of {len(space.columns)} features"
        self.most = space.capacity

    def forward(self, value: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        mask = value["mask"].bool()
        # what a row without a unit holds means nothing, and must not reach a gradient either
        features = self.features(value["features"].masked_fill(~mask[..., None], 0))
        # the linear part hands a position on as it is, for it to be matched with a cell's
        return self.linear(features) + self.outer(F.relu(self.inner(features))), mask

    def near(self, value: dict[str, Tensor]) -> Tensor:
        """How near they are to one another, [B, U, U, steps], by the features that are positions."""
        return nearness(self.places(value))

    def places(self, value: dict[str, Tensor]) -> Tensor:
        """Where they are, [B, U, axes], by the features that are positions, from 0 to 1; 0 where there is no unit."""
        places = value["features"].index_select(-1, self.features.positions).float() / self.features.positions_scale
        return places.masked_fill(~value["mask"].bool()[..., None], 0)


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
        self.words = f"{len(space.planes)} planes of {space.height} x {space.width} cells"
        self.most = space.height * space.width // patch**2

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


class NumbersEmbedder(nn.Module):
    """Named numbers [B, K] -> [B, 1, C]."""

    most = 1

    def __init__(self, space: Numbers, width: int, bands: int) -> None:
        super().__init__()
        self.features = FeatureReader(space.columns, bands)
        self.project = nn.Sequential(nn.Linear(self.features.width, width), nn.ReLU(), nn.Linear(width, width))
        self.words = f"{len(space.columns)} named numbers"

    def forward(self, value: Tensor) -> tuple[Tensor, None]:
        return self.project(self.features(value))[:, None], None


class FeatureReader(nn.Module):
    """Values [..., F] -> floats [..., width] of order one, as each feature's kind says."""

    plain: Tensor
    plain_scale: Tensor
    logs: Tensor
    logs_scale: Tensor
    positions: Tensor
    positions_scale: Tensor
    frequencies: Tensor

    def __init__(self, features: Sequence[Feature], bands: int) -> None:
        super().__init__()
        of = {kind: [i for i, f in enumerate(features) if f.kind == kind] for kind in ("scalar", "log", "position")}
        # a category of two values is a flag: one column says it all
        flags = [i for i, f in enumerate(features) if f.kind == "category" and f.scale <= 2]
        self.categories = [(i, int(f.scale)) for i, f in enumerate(features) if f.kind == "category" and f.scale > 2]
        self.bands = bands
        columns = {"plain": of["scalar"] + flags, "logs": of["log"], "positions": of["position"]}
        self.counts = {name: len(index) for name, index in columns.items()}
        scales = torch.tensor([1.0 if f.kind == "category" else f.scale for f in features], dtype=torch.float32)
        # made once: on the way to an action each small tensor costs as much as a layer
        for name, index in columns.items():
            self.register_buffer(name, torch.tensor(index, dtype=torch.int64), persistent=False)
            scale = scales[index].log1p() if name == "logs" else scales[index]
            self.register_buffer(f"{name}_scale", scale, persistent=False)
        for i, count in self.categories:
            self.register_buffer(f"values_{i}", torch.arange(count, dtype=torch.float32), persistent=False)
        self.register_buffer("frequencies", torch.linspace(1.0, POSITION_RESOLUTION / 2, bands), persistent=False)
        self.width = self.counts["plain"] + self.counts["logs"] + sum(n for _, n in self.categories)
        self.width += self.counts["positions"] * (2 * bands + 1)

    def forward(self, value: Tensor) -> Tensor:
        value = value.float()
        parts = []
        if self.counts["plain"]:
            parts.append(value.index_select(-1, self.plain) / self.plain_scale)
        if self.counts["logs"]:
            parts.append(value.index_select(-1, self.logs).clamp(min=0).log1p() / self.logs_scale)
        for i, _ in self.categories:
            # an unknown category is none of them, not an error: the game may show more than was declared
            parts.append((value[..., i, None] == getattr(self, f"values_{i}")).float())
        if self.counts["positions"]:
            place = value.index_select(-1, self.positions) / self.positions_scale * 2 - 1
            # as `core.positions.fourier_features` has them
            angles = (math.pi * (place[..., None] * self.frequencies)).flatten(-2)
            parts += [place, angles.sin(), angles.cos()]
        return torch.cat(parts, -1)
