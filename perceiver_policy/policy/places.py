"""Where the cells of a map are, and who stands in them: what a place is chosen by."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from gymnasium import spaces
from torch import Tensor, nn

from envs.spaces import Place, SpaceError, Units, leaves, path_of
from perceiver_policy.policy.inputs import Tokens, cell_positions


class PlaceKeys(nn.Module):
    """Keys [height * width, C] of a map's cells, from their Fourier positions: the same for every observation.

    They are those that a unit's position is read by, so that a place and who is there can be matched.
    """

    positions: Tensor

    def __init__(self, height: int, width: int, channels: int, bands: int) -> None:
        super().__init__()
        self.register_buffer("positions", cell_positions(height, width, bands), persistent=False)
        self.project = nn.Linear(self.positions.shape[-1], channels)

    def forward(self) -> Tensor:
        """See the class."""
        return cast(Tensor, self.project(self.positions))


class Scatter(nn.Module):
    """An answer [B, C] -> logits [B, height * width]: in each cell the sum over the units that stand in it of their
    tokens' dot products with what the answer asks for; 0 where nobody stands."""

    size: Tensor

    def __init__(self, space: Place, observation_space: spaces.Space[Any], width: int) -> None:
        super().__init__()
        seen = {path_of(observation_space, keys): part for keys, part in leaves(observation_space)}
        units = seen.get(space.units or "")
        places = [f for f in units.columns if f.kind == "position"] if isinstance(units, Units) else []
        if len(places) != 2:
            raise SpaceError(f"Place has units {space.units!r}: expected the path of Units with two positions, x and y")
        self.units, self.cells, self.columns = str(space.units), space.height * space.width, space.width
        self.register_buffer("size", torch.tensor((space.width, space.height), dtype=torch.float32), persistent=False)
        self.ask = nn.Linear(width, width)
        with torch.no_grad():
            self.ask.weight *= 0.1  # nearly uniform at the start

    def forward(self, answers: Tensor, tokens: Tokens) -> Tensor:
        """See the class."""
        elements, there = tokens.elements[self.units], tokens.masks[self.units]
        asked = torch.einsum("bnc,bc->bn", elements, self.ask(answers)).float() / math.sqrt(elements.shape[-1])
        if there is not None:
            asked = asked.masked_fill(~there, 0.0)
        logits = asked.new_zeros(asked.shape[0], self.cells)
        return logits.scatter_add(1, self._cells(tokens.positions[self.units]), asked)

    def _cells(self, places: Tensor) -> Tensor:
        """The cell that each unit stands in, [B, n]; off the map, the nearest at its edge."""
        column, row = (places * self.size).clamp(min=0).minimum(self.size - 1).long().unbind(-1)
        return row * self.columns + column
