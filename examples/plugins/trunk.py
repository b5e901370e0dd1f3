"""What the plug-ins share: an observation of any space that we read -> one vector."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from torch import nn

from perceiver_policy.policy.config import PolicyConfig
from perceiver_policy.policy.inputs import Inputs
from perceiver_policy.policy.policy import make_encoder


class PerceiverTrunk(nn.Module):
    """Observations [B, ...] -> [B, latents * latent_width]."""

    def __init__(self, space: spaces.Space[Any], config: PolicyConfig | None = None) -> None:
        super().__init__()
        config = config or PolicyConfig()
        self.inputs = Inputs(space, config.token_width, bands=config.position_bands, patch=config.patch)
        self.encoder = make_encoder(config, self.inputs.most)
        self.width = config.latents * config.latent_width

    def forward(self, observation: Any) -> torch.Tensor:
        """The latents, side by side."""
        tokens = self.inputs(observation)
        return self.encoder(mask=tokens.mask, keys_values=self.encoder.keys_values(tokens.tokens)).flatten(1)
