"""What is carried from step to step."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class LatentMemory(nn.Module):
    """Gated memory of the latents' shape, [B, N, D]: read before the encoder, written after it.

    The encoder starts from ``z0 + read(memory)``. With the latents z that it gives, every channel of the memory moves
    towards a candidate by as much as its gate says, as in a GRU (arXiv 1406.1078):
    m + sigmoid(gate z) (tanh(write z) - m). A gate near zero holds a channel unchanged for as long as an episode lasts.
    """

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.count, self.width = count, width
        self.read = nn.Linear(width, width, bias=False)
        self.write = nn.Linear(width, 2 * width)
        nn.init.constant_(self.write.bias[width:], -1.0)  # remember by default

    def initial(self, batch: int) -> Tensor:
        """Zeros [B, N, D]: what an episode starts with."""
        return torch.zeros(batch, self.count, self.width, device=self.read.weight.device)

    def start(self, learned: Tensor, memory: Tensor) -> Tensor:
        """The latents [B, N, D] that the encoder starts from; ``learned`` [1 or B, N, D]."""
        return cast(Tensor, learned + self.read(memory))

    def forward(self, memory: Tensor, latents: Tensor) -> Tensor:
        """The memory after a step, [B, N, D]."""
        candidate, gate = self.write(latents).chunk(2, -1)
        return memory + gate.sigmoid() * (candidate.tanh() - memory)
