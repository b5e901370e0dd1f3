"""A memory: the running mean of the latents.

perceiver-rl train --env CartPole-v1 --extensions examples/extend/memory.py --policy.memory running_mean
"""

import torch
from torch import Tensor, nn

import perceiver_rl
from perceiver_policy.policy.memory import Carried


@perceiver_rl.register("memory", "running_mean")
class RunningMean(Carried):
    """A tensor [B, ...] that travels with the observations; here [B, N, D], as large as the latents."""

    def __init__(self, count: int, width: int) -> None:
        """For ``count`` latents of this width."""
        super().__init__()
        self.shape, self.read = (count, width), nn.Linear(width, width)

    def initial(self, batch: int) -> Tensor:
        """What an episode starts with."""
        return torch.zeros(batch, *self.shape, device=self.read.weight.device)

    def start(self, learned: Tensor, memory: Tensor) -> Tensor:
        """The latents [B, N, D] that the encoder starts from; ``learned`` are those without a memory."""
        return learned + self.read(memory)

    def forward(self, memory: Tensor, latents: Tensor) -> Tensor:
        """The memory after a step that ended in these latents."""
        return memory + 0.2 * (latents - memory)
