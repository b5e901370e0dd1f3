"""A network in place of the Perceiver: deep sets (Zaheer et al. 2017, arXiv 1703.06114), a sum over the tokens.

perceiver-rl train --config examples/extend/network.yaml
"""

from torch import Tensor, nn

import perceiver_rl
from perceiver_policy.policy.config import PolicyConfig


@perceiver_rl.register("network", "deep_sets")
class DeepSets(nn.Module):
    """Tokens in, latents out: units, maps, masks and pointers go on working, whatever stands here."""

    def __init__(self, config: PolicyConfig) -> None:
        """``config.network_options`` are the experiment's own."""
        super().__init__()
        hidden = config.network_options.get("hidden", 64)
        self.each = nn.Sequential(nn.Linear(config.token_width, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.all = nn.Sequential(nn.ReLU(), nn.Linear(hidden, config.latent_width))

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Tokens [B, M, token_width], those that are there [B, M] (None: all) -> latents [B, N, latent_width]."""
        each = self.each(tokens)
        if mask is not None:
            each = each.masked_fill(~mask[..., None], 0.0)
        return self.all(each.sum(1))[:, None]
