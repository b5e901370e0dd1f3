"""How near units are to one another.

Units' own tokens tell where each is on the map; that one of them is within another's reach is a matter of both, which a
dot product of the two says badly. Here distances are told in soft steps about their logarithm. Each unit's token gets
what is around it, by how far away it is: a continuous-filter convolution (SchNet, arXiv 1706.08566). And whoever points
to a unit may weigh how far that is from whoever asks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceiver_policy.core.cost import on_host

FINEST, STEPS, PER_OCTAVE = 2.0**-7, 14, 2.0
"""The nearest distance that is told apart, as a part of the map's side, how many there are, and how many to a doubling.
On the mini-games' map of 64 world units: half a unit, up to 45."""
CHANNELS = 16
"""What is told of each unit around."""
IN_CACHE = 2**16
"""Numbers that a core keeps near while it computes with them five times."""


def nearness(places: Tensor) -> Tensor:
    """Places [B, n, axes] in [0, 1] -> [B, n, n, STEPS]: bumps about each distance. Stored as [B, n, STEPS, n], which
    is how :class:`Surroundings` reads them."""
    apart = places[:, :, None] - places[:, None]
    octaves = apart.square().sum(-1)[:, :, None].clamp(min=FINEST**2 / 16).log2() / 2
    steps = torch.arange(STEPS, dtype=octaves.dtype, device=octaves.device)[:, None] + PER_OCTAVE * math.log2(FINEST)
    if not on_host(places) or places.requires_grad or torch.compiler.is_compiling() or torch.jit.is_tracing():
        # what is farther off is nothing, and would be a denormal number, by which processors compute slowly
        return (PER_OCTAVE * octaves - steps).square().clamp(max=30).neg().exp().transpose(2, 3)
    batch, count = places.shape[:2]
    bumps = octaves.new_empty(batch, count, STEPS, count)
    some = max(1, IN_CACHE // max(1, STEPS * count * count))
    for part, near in zip(bumps.split(some), octaves.split(some), strict=True):
        torch.sub(PER_OCTAVE * near, steps, out=part).square_().clamp_(max=30).neg_().exp_()
    return bumps.transpose(2, 3)


class Surroundings(nn.Module):
    """What is around units, [B, n, C], of their tokens [B, n, C] and their :func:`nearness`: 0 at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.read, self.write = nn.Linear(width, CHANNELS), nn.Linear(STEPS * CHANNELS, width)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)

    def forward(self, tokens: Tensor, mask: Tensor, near: Tensor) -> Tensor:
        """``mask`` [B, n]: who is there."""
        seen = F.gelu(self.read(tokens)).masked_fill(~mask[..., None], 0)
        around = near.transpose(2, 3).flatten(1, 2) @ seen
        found: Tensor = self.write(around.unflatten(1, (-1, STEPS)).flatten(2))
        return found
