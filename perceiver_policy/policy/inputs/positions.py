"""Where cells, rows and units are: one place has one encoding, so that they can be matched."""

from __future__ import annotations

import torch
from torch import Tensor

from perceiver_policy.core.positions import fourier_features

POSITION_RESOLUTION = 16.0
"""Of the Fourier encoding, for units and for cells alike."""


def cell_positions(rows: int, columns: int, bands: int) -> Tensor:
    """Fourier positions [rows * columns, 2 * (2 * bands + 1)] of the cells' centers, in [-1, 1]."""
    y = (torch.arange(rows) + 0.5) / rows * 2 - 1
    x = (torch.arange(columns) + 0.5) / columns * 2 - 1
    return fourier_features(torch.cartesian_prod(y, x), bands, [POSITION_RESOLUTION] * 2)
