"""A network of somebody's own in the place of the Perceiver's encoder: tokens in, latents out.

It is a module made of a :class:`~perceiver_policy.policy.config.PolicyConfig`. Its ``forward(tokens, mask)`` takes
tokens [B, M, token_width] and which of them are there, [B, M] or None for all; it returns latents [B, N, latent_width],
any number N. With a memory it takes ``forward(tokens, mask, start)``: what the memory starts the step from, [B,
latents, latent_width].
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from perceiver_policy.policy.config import PolicyConfig


class Trunk(nn.Module):
    """Calls ``network`` as the Perceiver's encoder is called."""

    def __init__(self, network: nn.Module, config: PolicyConfig) -> None:
        super().__init__()
        self.network = network
        self.shape = (config.latents, config.latent_width)

    def latents(self, batch: int) -> Tensor:
        """What a memory adds to: nothing is learned here."""
        return torch.zeros(batch, *self.shape, device=next(self.network.parameters()).device)

    def keys_values(self, tokens: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """What depends on the tokens alone: themselves."""
        return ((tokens, tokens),)

    def forward(
        self,
        tokens: Tensor | None = None,
        mask: Tensor | None = None,
        latents: Tensor | None = None,
        keys_values: Any = None,
    ) -> Tensor:
        """The network's latents."""
        if tokens is None:
            ((tokens, _),) = keys_values
        given = () if latents is None else (latents,)
        found = cast(Tensor, self.network(tokens, mask, *given))
        if found.dim() != 3 or found.shape[0] != tokens.shape[0] or found.shape[2] != self.shape[1]:
            raise ValueError(
                f"{type(self.network).__name__} returned latents of shape {tuple(found.shape)}; expected "
                f"[{tokens.shape[0]}, any number, {self.shape[1]}] (policy.latent_width)"
            )
        return found
