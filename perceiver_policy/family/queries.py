"""What is asked of the latents: output queries of every kind.

Every module maps `(tokens, points=None)` to queries `[B or 1, Q, width]`: `tokens` are the encoder's input tokens,
`points` picks some of the queries by flat index, to decode a part of a large output.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from perceiver_policy.core.positions import FourierPositions, LearnedPositions, Positions
from perceiver_policy.core.recorded import recorded
from perceiver_policy.family.modalities import concat_features, learned_vector

Points = Tensor | Mapping[str, Tensor | None] | None


@recorded
class PositionQueries(nn.Module):
    """One query a position of the output, from its position features alone: learned (one for classification, one a
    token for language), or Fourier features of a grid of pixels.

    `project_to` adds a linear layer. `per_input` asks as many queries as there are input tokens, from the first
    position on.
    """

    def __init__(self, positions: Positions, *, project_to: int | None = None, per_input: bool = False) -> None:
        super().__init__()
        self.positions, self.per_input = positions, per_input
        self.projection = nn.Linear(positions.width, project_to) if project_to else None
        self.width = project_to or positions.width

    def forward(self, tokens: Tensor | None = None, points: Tensor | None = None) -> Tensor:
        """`[1, Q, width]`."""
        shape = tokens.shape[1:2] if self.per_input and tokens is not None else None
        queries = self.positions(shape, points)
        return queries if self.projection is None else cast(Tensor, self.projection(queries))

    def count(self, points: Tensor | None) -> int:
        """How many queries `forward` gives for these `points`."""
        return math.prod(self.positions.shape) if points is None else len(points)


def learned_queries(count: int | Sequence[int], width: int) -> PositionQueries:
    """`count` learned queries of `width`."""
    return PositionQueries(LearnedPositions(count, width))


def pixel_queries(
    shape: Sequence[int], bands: int, *, max_resolution: Sequence[float] | None = None, project_to: int | None = None
) -> PositionQueries:
    """One query a pixel of a grid (or a video, or a sequence), by its Fourier features."""
    return PositionQueries(FourierPositions(shape, bands, max_resolution=max_resolution), project_to=project_to)


@recorded
class InputQueries(nn.Module):
    """One query an input token: the token itself (optical flow, entities), with `positions` concatenated if given."""

    def __init__(self, input_width: int, *, positions: Positions | None = None) -> None:
        super().__init__()
        self.positions = positions
        self.width = input_width + (positions.width if positions is not None else 0)

    def forward(self, tokens: Tensor | None = None, points: Tensor | None = None) -> Tensor:
        """`[B, M, width]`."""
        if tokens is None:
            raise ValueError("queries made from the input tokens need them: give tokens")
        queries = tokens if points is None else tokens[:, points]
        return queries if self.positions is None else concat_features(queries, self.positions(None, points))


@recorded
class ModalityQueries(nn.Module):
    """Queries of several modalities and widths as one array: each padded by a learned vector of its own to one width.

    The common width is the widest's plus `padding`. The order is that of the names.
    """

    def __init__(self, modalities: Mapping[str, PositionQueries], *, padding: int = 2) -> None:
        super().__init__()
        self.modalities = nn.ModuleDict({name: modalities[name] for name in sorted(modalities)})
        self.width = max(queries.width for queries in modalities.values()) + padding
        self.padding = nn.ParameterDict(
            {name: learned_vector(self.width - modalities[name].width) for name in self.modalities}
        )

    def forward(self, tokens: Tensor | None = None, points: Mapping[str, Tensor | None] | None = None) -> Tensor:
        """`[1, Q, width]`; `points` by name, a missing name or None asks all of that modality."""
        parts = []
        for name, queries in self.modalities.items():
            asked = queries(tokens, (points or {}).get(name))
            parts.append(concat_features(asked, self.padding[name][None, None]))
        return torch.cat(parts, 1)

    def counts(self, points: Mapping[str, Tensor | None] | None = None) -> dict[str, int]:
        """How many of the queries are each modality's, in order."""
        modalities = cast("Mapping[str, PositionQueries]", self.modalities)
        return {name: queries.count((points or {}).get(name)) for name, queries in modalities.items()}
