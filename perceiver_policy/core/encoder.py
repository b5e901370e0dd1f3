"""Inputs -> latents: cross-attends interleaved with blocks of latent self-attention.

One cross-attend with `blocks` blocks is Perceiver IO (arXiv 2107.14795); several cross-attends, each followed by its
block, is the first Perceiver (arXiv 2103.03206). Which weights are shared is said explicitly, never implied.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from perceiver_policy.core.attention import Activation, CrossAttention, KeyValues, SelfAttention, hide
from perceiver_policy.core.latents import InputLatents, Latents
from perceiver_policy.core.recorded import recorded

Sharing = Literal["none", "after_first", "all"]
"""Which of several applications use the same weights: none, all but the first (the paper's action for cross-attends),
or all."""


@recorded
class Encoder(nn.Module):
    """Reads inputs `[B, M, input_width]` into latents `[B, N, latent_width]`.

    Runs `cross_attends` times: one cross-attend, then `blocks` blocks of `self_attends` layers. `share_cross_attends`
    is about the `cross_attends` cross-attention layers; `share_blocks` about all `cross_attends * blocks` blocks in the
    order they run. `latents` is a number (learned latents) or a module: `Latents`, or `InputLatents`, which needs the
    inputs. Cross-attention widths default to the inputs' width, self-attention widths to the latents'. With one cross
    head and many more inputs than latents, `project_inputs=False` is less work for the same result.
    """

    def __init__(
        self,
        input_width: int,
        *,
        latents: int | nn.Module,
        latent_width: int,
        cross_attends: int = 1,
        blocks: int = 1,
        self_attends: int = 6,
        cross_heads: int = 1,
        self_heads: int = 8,
        cross_widening: int = 1,
        self_widening: int = 1,
        cross_qk_width: int | None = None,
        cross_v_width: int | None = None,
        self_qk_width: int | None = None,
        self_v_width: int | None = None,
        query_residual: bool = True,
        share_cross_attends: Sharing = "after_first",
        share_blocks: Sharing = "all",
        checkpointing: bool = False,
        dropout: float = 0.0,
        activation: Activation = F.gelu,
        project_inputs: bool = True,
    ) -> None:
        super().__init__()
        self.input_width, self.latent_width, self.checkpointing = input_width, latent_width, checkpointing
        self.blocks_per_cross = blocks
        self.latents = Latents(latents, latent_width) if isinstance(latents, int) else latents
        self.cross_order = sharing_order(cross_attends, share_cross_attends, "share_cross_attends")
        self.block_order = sharing_order(cross_attends * blocks, share_blocks, "share_blocks")
        self.cross = nn.ModuleList(
            CrossAttention(
                latent_width,
                input_width,
                heads=cross_heads,
                qk_width=cross_qk_width,
                v_width=cross_v_width,
                widening=cross_widening,
                residual=query_residual,
                dropout=dropout,
                activation=activation,
                project_inputs=project_inputs,
            )
            for _ in range(max(self.cross_order, default=-1) + 1)
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                SelfAttention(
                    latent_width,
                    heads=self_heads,
                    qk_width=self_qk_width,
                    v_width=self_v_width,
                    widening=self_widening,
                    dropout=dropout,
                    activation=activation,
                )
                for _ in range(self_attends)
            )
            for _ in range(max(self.block_order, default=-1) + 1)
        )

    def keys_values(self, inputs: Tensor, mask: Tensor | None = None) -> tuple[KeyValues, ...]:
        """Keys and values of inputs `[B, M, input_width]`, one pair for each distinct cross-attend. They do not depend
        on the latents. With `mask` `[B, M]` what is masked may be anything, even NaN."""
        self._check(inputs)
        inputs = hide(inputs, mask)
        return tuple(layer.keys_values(inputs) for layer in self._cross_layers())

    def forward(
        self,
        inputs: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        first_mask: Tensor | None = None,
        latents: Tensor | None = None,
        keys_values: tuple[KeyValues, ...] | None = None,
    ) -> Tensor:
        """Latents `[B, N, latent_width]`, from `inputs` or the `keys_values` made from them, `mask` `[B, M]` (True =
        valid); `first_mask` is the first cross-attend's, where it reads others than the rest do.

        `latents` `[B, N, latent_width]` start the iteration in place of the encoder's own (recurrence; another N is
        fine).
        """
        if keys_values is None:
            if inputs is None:
                raise ValueError("the encoder needs inputs, or keys_values made from them; got neither")
            keys_values = self._run(self.keys_values, inputs, mask)
        z = self._start(inputs, mask) if latents is None else latents
        for step, index in enumerate(self.cross_order):
            read = mask if step or first_mask is None else first_mask
            z = self._run(self.cross[index], z, mask=read, keys_values=keys_values[index])
            for block in self.block_order[step * self.blocks_per_cross : (step + 1) * self.blocks_per_cross]:
                for layer in cast(Iterable[nn.Module], self.blocks[block]):
                    z = self._run(layer, z)
        return z

    def _start(self, inputs: Tensor | None, mask: Tensor | None) -> Tensor:
        if not isinstance(self.latents, InputLatents):
            # A batch of one: the first cross-attend projects the learned latents once and broadcasts them.
            return cast(Tensor, self.latents(1))
        if inputs is None:
            raise ValueError(
                "latents produced from the inputs need the inputs: give them, or give latents, beside keys_values"
            )
        return cast(Tensor, self.latents(inputs, mask))

    def _run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        if self.checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(function, *args, use_reentrant=False, **kwargs)
        return function(*args, **kwargs)

    def _cross_layers(self) -> Iterable[CrossAttention]:
        return cast(Iterable[CrossAttention], self.cross)

    def _check(self, inputs: Tensor) -> None:
        if inputs.dim() != 3 or inputs.shape[-1] != self.input_width:
            raise ValueError(f"expected inputs [batch, tokens, {self.input_width}], got {tuple(inputs.shape)}")


def sharing_order(applications: int, sharing: Sharing, option: str = "sharing") -> tuple[int, ...]:
    """Which set of weights each application uses: ("none", 3) -> (0, 1, 2), "after_first" -> (0, 1, 1), "all" -> (0, 0,
    0)."""
    if sharing == "none":
        return tuple(range(applications))
    if sharing == "after_first":
        return tuple(min(i, 1) for i in range(applications))
    if sharing == "all":
        return (0,) * applications
    raise ValueError(f"{option} is {sharing!r}: expected 'none', 'after_first' or 'all'")
