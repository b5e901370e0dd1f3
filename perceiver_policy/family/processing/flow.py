"""Optical flow between images of any size, as the published model is used: overlapping tiles, blended.

Pixels scaled to [-1, 1], each with its 3x3 neighbourhood; tiles of the size the model was built for, at least 20 pixels
of overlap, the last of a row or column flush with the border; a tile's weight at a pixel is its distance to the tile's
border; the sum times 20 is the flow in pixels (DeepMind's optical-flow notebook and `io_processors.py`).
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from perceiver_policy.family.perceiver import Grid, PerceiverIO

FLOW_SCALE = 20.0
"""The published network gives flow in units of 20 pixels."""


def neighbourhoods(images: Tensor) -> Tensor:
    """Images `[..., C, H, W]` -> each pixel's 3x3 neighbourhood, `[..., 9 * C, H, W]`: by row, column, channel, zeros
    beyond the border."""
    height, width = images.shape[-2:]
    padded = F.pad(images, (1, 1, 1, 1))
    parts = [padded[..., y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return torch.cat(parts, -3)


def tile_corners(size: int, tile: int, overlap: int = 20) -> list[int]:
    """Where tiles start along an axis: one every `tile - overlap` pixels, the last flush with the end."""
    if not 0 <= overlap < tile:
        raise ValueError(f"overlap is {overlap}: expected 0 to {tile - 1}, less than a tile")
    corners = list(range(0, max(size - overlap, 1), tile - overlap)) or [0]
    return sorted({min(corner, max(size - tile, 0)) for corner in corners})


def tile_weights(height: int, width: int) -> Tensor:
    """A tile's weight at each pixel, `[height, width]`: how far the border is, 1 at the border."""

    def axis(size: int) -> Tensor:
        steps = torch.arange(size)
        return torch.minimum(steps + 1, size - steps)

    return torch.minimum(axis(height)[:, None], axis(width)[None]).float()


def to_unit(images: Tensor) -> Tensor:
    """Images of bytes, 0 to 255, as floats in [-1, 1]; floats have to be in [-1, 1] already."""
    return images.float() / 127.5 - 1.0 if images.dtype == torch.uint8 else images


@torch.no_grad()
def optical_flow_of(
    model: PerceiverIO,
    first: Tensor,
    second: Tensor,
    *,
    overlap: int = 20,
    tiles_at_once: int = 1,
    chunk: int | None = None,
    scale: float = FLOW_SCALE,
) -> Tensor:
    """Two images `[3, H, W]` or `[B, 3, H, W]` (bytes, or floats in [-1, 1]) -> the motion of every pixel of the first,
    in pixels, `[H, W, 2]` or `[B, H, W, 2]`, along x and y.

    `model`: of `presets.optical_flow`, with 27 channels a pixel. Images that are smaller than its tiles are continued
    by their border pixels. `tiles_at_once` and `chunk`, how many pixels of a tile are asked for at a time, are a matter
    of memory alone. Raises ValueError for images that are no pair and for another kind of model.
    """
    outputs = model.task.outputs if model.task is not None else None
    if not isinstance(outputs, Grid) or len(outputs.shape) != 2:
        raise ValueError("expected a model of presets.optical_flow: its answers are a grid of rows and columns")
    if first.shape != second.shape or first.dim() not in (3, 4) or first.shape[-3] != 3:
        raise ValueError(f"expected two images [3, H, W] alike, got {tuple(first.shape)} and {tuple(second.shape)}")
    pair = torch.stack((to_unit(first), to_unit(second)), -4)
    if first.dim() == 3:
        pair = pair[None]
    height, width = pair.shape[-2:]
    rows, columns = outputs.shape
    beyond = (0, max(columns - width, 0), 0, max(rows - height, 0))
    pair = F.pad(pair.flatten(0, 1), beyond, mode="replicate").unflatten(0, pair.shape[:2])
    weights = tile_weights(rows, columns).to(pair)[..., None]
    total = pair.new_zeros(pair.shape[0], *pair.shape[-2:], 2)
    share = pair.new_zeros(*pair.shape[-2:], 1)
    corners = list(product(tile_corners(pair.shape[-2], rows, overlap), tile_corners(pair.shape[-1], columns, overlap)))
    for i in range(0, len(corners), tiles_at_once):
        some = corners[i : i + tiles_at_once]
        tiles = torch.cat([neighbourhoods(pair[..., y : y + rows, x : x + columns]) for y, x in some])
        for (y, x), flow in zip(some, model(tiles, chunk=chunk).chunk(len(some)), strict=True):
            total[:, y : y + rows, x : x + columns] += flow * weights
            share[y : y + rows, x : x + columns] += weights
    found = (scale * total / share)[:, :height, :width]
    return found[0] if first.dim() == 3 else found
