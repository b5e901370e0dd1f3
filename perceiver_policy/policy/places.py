"""Where the cells of a map are: what a place is chosen by where no planes show what is there."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from perceiver_policy.policy.inputs import cell_positions


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
