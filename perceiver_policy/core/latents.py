"""The latent array at the start: learned, fixed at random, or produced from the input. (A caller may also give its own
to the encoder.)"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceiver_policy.core.attention import boolean, hide
from perceiver_policy.core.recorded import recorded


@recorded
class Latents(nn.Module):
    """`count` latent vectors of `width`, truncated normal with standard deviation `std`; `trainable=False` keeps the
    random draw as it is."""

    value: Tensor

    def __init__(self, count: int, width: int, *, std: float = 0.02, trainable: bool = True) -> None:
        super().__init__()
        self.count, self.width = count, width
        value = nn.init.trunc_normal_(torch.empty(count, width), std=std, a=-2 * std, b=2 * std)
        if trainable:
            self.value = nn.Parameter(value)
        else:
            self.register_buffer("value", value)

    def forward(self, batch_size: int) -> Tensor:
        """`[batch_size, count, width]`, a view (no copy)."""
        return self.value.expand(batch_size, -1, -1)


@recorded
class InputLatents(nn.Module):
    """Latents produced from the inputs: their masked mean through a small network, added to learned latents.

    Inputs `[B, M, input_width]`, mask `[B, M]` (True = valid) -> `[B, count, width]`. A row without valid inputs has a
    mean of zeros.
    """

    def __init__(self, input_width: int, count: int, width: int, *, hidden: int | None = None) -> None:
        super().__init__()
        self.count, self.width = count, width
        self.base = Latents(count, width)
        self.inner = nn.Linear(input_width, hidden or width)
        self.outer = nn.Linear(hidden or width, count * width)

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """See the class."""
        if mask is None:
            mean = inputs.mean(1)
        else:
            weights = boolean(mask).to(inputs.dtype)
            mean = hide(inputs, mask).sum(1) / weights.sum(1, keepdim=True).clamp(min=1.0)
        offset = self.outer(F.gelu(self.inner(mean))).unflatten(-1, (self.count, self.width))
        return cast(Tensor, self.base(inputs.shape[0]) + offset)
