"""The Hierarchical Perceiver (HiP), arXiv 2202.10890: many inputs, read in groups that are merged, processed whole, and
split again.

The inputs are cut into groups; each block reads every group into that group's own latents (its weights are shared by
the groups). Between blocks groups are merged until the middle block, the processor, sees one; then they are split
again, each block of the second half adding the latents of its mirror image in the first to its own before it reads (the
skips of a U-Net). At the end every input position asks for its reconstruction with its own position embedding. The
sizes of the variants are those of DeepMind's published code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from perceiver_policy.core.attention import (
    Activation,
    CrossAttention,
    OutputLinear,
    SelfAttention,
    attend,
    boolean,
    hide,
    squared_relu,
)
from perceiver_policy.core.latents import Latents
from perceiver_policy.core.positions import LearnedPositions
from perceiver_policy.core.recorded import recorded
from perceiver_policy.family.initialization import scaled_normal_

Regroup = Literal["neighbors", "spread"]
"""How groups are merged and split: with their neighbors, or each new group drawing on all of the old ones."""


class StochasticDepth(SelfAttention):
    """A latent layer whose two branches are each left out with the probability `drop_path` in training, for all
    `groups` of an element of the batch at once (arXiv 1603.09382; what is kept is not scaled, as in the original
    code)."""

    def __init__(self, width: int, drop_path: float, groups: int, **options: Any) -> None:
        super().__init__(width, **options)
        self.drop_path, self.groups = drop_path, groups

    def finish(self, x: Tensor, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """See `SelfAttention`."""
        attended = self.output(attend(queries, keys, values, mask, self.dropout if self.training else 0.0))
        x = x + self._kept(x) * attended
        return cast(Tensor, x + self._kept(x) * self.mlp(self.mlp_norm(x)))

    def _kept(self, x: Tensor) -> Tensor:
        if not self.training:
            return x.new_ones(())
        elements = torch.rand(x.shape[0] // self.groups, 1, 1, device=x.device) >= self.drop_path
        return elements.repeat_interleave(self.groups, 0).to(x)


class Block(nn.Module):
    """Reads groups `[B, groups, M, input_width]` into latents `[B, groups, latents, width]`: one cross-attend, then
    self-attention layers.

    Latents are learned for each group; all other weights are shared by the groups, which do not see each other.
    """

    def __init__(
        self,
        input_width: int,
        width: int,
        *,
        groups: int,
        latents: int,
        self_attends: int,
        self_heads: int,
        self_widening: int = 4,
        skip_width: int | None = None,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        activation: Activation = squared_relu,
    ) -> None:
        super().__init__()
        self.groups, self.count = groups, latents
        self.latents = Latents(groups * latents, width)
        self.skip = nn.Linear(skip_width, width) if skip_width and skip_width != width else nn.Identity()
        self.cross = CrossAttention(width, input_width, activation=activation, dropout=dropout)
        options: dict[str, Any] = {
            "heads": self_heads,
            "widening": self_widening,
            "dropout": dropout,
            "activation": activation,
        }
        self.layers = nn.ModuleList(
            StochasticDepth(width, drop_path, groups, **options) if drop_path else SelfAttention(width, **options)
            for _ in range(self_attends)
        )

    def forward(self, x: Tensor, skip: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """`skip` `[B, groups, latents, skip_width]` is added to the queries; `mask` `[B, groups, M]`, True = valid."""
        batch = x.shape[0]
        queries = self.latents(1).unflatten(1, (self.groups, self.count))
        queries = queries.expand(batch, -1, -1, -1) if skip is None else queries + self.skip(skip)
        folded = None if mask is None else mask.flatten(0, 1)
        z = self.cross(queries.flatten(0, 1), x.flatten(0, 1), mask=folded)
        for layer in self.layers:
            z = layer(z)
        return cast(Tensor, z.unflatten(0, (batch, self.groups)))


@recorded
class HierarchicalPerceiver(nn.Module):
    """Inputs by modality, `[B, length, channels]` each -> reconstructions of the same shapes; or `process` -> the
    processor's latents.

    `modalities` maps a name to `(length, channels)`. `groups`, `self_attends`, `latents`, `widths` and `self_heads`
    have one number a block: an odd count of at least three, the middle one with a single group. Every modality is
    projected to `embedding_width`; its positions are a learned table of `position_width` channels (few: the
    low-dimensional embedding that masked autoencoding learns) projected to the same, each modality's by a map of its
    own. Groups that are not full are padded with zeros: with `mask_padding` nothing attends to them, without it they
    are read like inputs, as the original code does. Modalities named in `labels` (classes, say) pass by the groups: the
    processor reads them beside what comes to it, and they are asked of the processor's latents (the original's
    HiPClassBottleneck). `drop_path`: see `StochasticDepth`. Raises ValueError where these do not fit together.
    """

    def __init__(
        self,
        modalities: Mapping[str, tuple[int, int]],
        *,
        groups: Sequence[int],
        self_attends: Sequence[int],
        latents: Sequence[int],
        widths: Sequence[int],
        self_heads: Sequence[int],
        embedding_width: int,
        position_width: int | None = None,
        self_widening: int = 4,
        regroup: Regroup = "neighbors",
        mask_padding: bool = True,
        labels: Sequence[str] = (),
        dropout: float = 0.0,
        drop_path: float = 0.0,
        checkpointing: bool = False,
        activation: Activation = squared_relu,
    ) -> None:
        super().__init__()
        _check(groups, self_attends, latents, widths, self_heads)
        if unknown := [name for name in labels if name not in modalities]:
            raise ValueError(f"labels name {unknown[0]!r}: expected some of the modalities {', '.join(modalities)}")
        self.labels = {name: modalities[name][0] for name in labels}
        self.lengths = {name: length for name, (length, _) in modalities.items() if name not in self.labels}
        self.layout = layout(self.lengths, groups[0])
        self.regroup, self.checkpointing, self.middle = regroup, checkpointing, len(groups) // 2
        self.mask_padding = mask_padding
        label_width = widths[self.middle - 1]  # of what they join
        of = {name: label_width if name in self.labels else embedding_width for name in modalities}
        self.embed = nn.ModuleDict({name: nn.Linear(c, of[name]) for name, (_, c) in modalities.items()})
        self.unembed = nn.ModuleDict({name: OutputLinear(of[name], c) for name, (_, c) in modalities.items()})
        low = position_width or embedding_width
        self.positions = nn.ModuleDict(
            {
                name: LearnedPositions(length, label_width if name in self.labels else low)
                for name, (length, _) in modalities.items()
            }
        )
        self.position_projections = nn.ModuleDict(
            {name: nn.Linear(low, embedding_width, bias=False) for name in self.lengths if position_width}
        )
        sizes = list(zip(groups, self_attends, latents, widths, self_heads, strict=True))
        self.blocks = nn.ModuleList()
        for i, (group, depth, count, width, heads) in enumerate(sizes):
            self.blocks.append(
                Block(
                    widths[i - 1] if i else embedding_width,
                    width,
                    groups=group,
                    latents=count,
                    self_attends=depth,
                    self_heads=heads,
                    self_widening=self_widening,
                    skip_width=widths[len(sizes) - 1 - i] if i > self.middle else None,
                    dropout=dropout,
                    drop_path=drop_path,
                    activation=activation,
                )
            )
        self.reconstruct = CrossAttention(embedding_width, widths[-1], residual=False, activation=activation)
        self.reconstruct_labels = (
            CrossAttention(label_width, widths[self.middle], residual=False, activation=activation) if labels else None
        )

    def draw_special(self) -> None:
        """Latents and positions by their number, unembedding zero; see `initialize`."""
        for module in self.modules():
            if isinstance(module, Latents):
                scaled_normal_(module.value, module.count)
            elif isinstance(module, LearnedPositions):
                scaled_normal_(module.table, len(module.table))
        for layer in self.unembed.values():
            nn.init.zeros_(cast(nn.Linear, layer).weight)

    def forward(self, inputs: Mapping[str, Tensor], visible: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Reconstructions by modality. `visible` by modality `[B, length]`: inputs at False are hidden, as if they were
        not there."""
        done = self._run(inputs, visible, len(self.blocks))
        z = done[-1]
        queries, _ = self._group({name: self._where(name) for name in self.lengths}, None)
        batch = z.shape[0]
        answers = self.reconstruct(queries.expand(batch, -1, -1, -1).flatten(0, 1), z.flatten(0, 1))
        parts = self._ungroup(answers.unflatten(0, (batch, -1)))
        if self.reconstruct_labels is not None:
            for name in self.labels:
                parts[name] = self.reconstruct_labels(self._where(name), done[self.middle][:, 0])
        return {name: self.unembed[name](part) for name, part in parts.items()}

    def process(self, inputs: Mapping[str, Tensor], visible: Mapping[str, Tensor] | None = None) -> Tensor:
        """The processor's latents, `[B, latents, width]`: what to classify from. The second half is not run."""
        return self._run(inputs, visible, self.middle + 1)[-1][:, 0]

    def _run(self, inputs: Mapping[str, Tensor], visible: Mapping[str, Tensor] | None, blocks: int) -> list[Tensor]:
        """What each of the first `blocks` gives."""
        lengths = {**self.lengths, **self.labels}
        if set(inputs) != set(lengths):
            raise ValueError(f"expected modalities {', '.join(lengths)}; got {', '.join(inputs)}")
        for name, length in lengths.items():
            if inputs[name].dim() != 3 or inputs[name].shape[1] != length:
                raise ValueError(f"{name}: expected [batch, {length}, channels], got {tuple(inputs[name].shape)}")
        visible = {name: boolean(seen) for name, seen in visible.items()} if visible else None
        seen = {name: hide(inputs[name], (visible or {}).get(name)) for name in lengths}
        tokens = {name: self.embed[name](seen[name]) + self._where(name) for name in lengths}
        x, mask = self._group({name: tokens[name] for name in self.lengths}, visible)
        done: list[Tensor] = []
        for i, block in enumerate(list(self.blocks)[:blocks]):
            if i:
                x, mask = regroup(x, cast(Block, block).groups, self.regroup), None
            if i == self.middle and self.labels:
                x, mask = self._join(x, tokens, visible)
            skip = done[len(self.blocks) - 1 - i] if i > self.middle else None
            if self.checkpointing and self.training and torch.is_grad_enabled():
                x = checkpoint(block, x, skip, mask, use_reentrant=False)
            else:
                x = block(x, skip, mask)
            done.append(x)
        return done

    def _join(
        self, x: Tensor, tokens: Mapping[str, Tensor], visible: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, Tensor | None]:
        """The processor's input `[B, 1, M, C]` with the labels behind it, and its mask (None if all valid)."""
        joined = torch.cat((x, *(tokens[name][:, None] for name in self.labels)), 2)
        if not any(name in self.labels for name in visible or {}):
            return joined, None
        mask = torch.ones(joined.shape[:3], dtype=torch.bool, device=x.device)
        start = x.shape[2]
        for name, length in self.labels.items():
            if name in (visible or {}):
                mask[:, 0, start : start + length] = cast(Mapping[str, Tensor], visible)[name]
            start += length
        return joined, mask

    def _where(self, name: str) -> Tensor:
        where = cast(Tensor, self.positions[name]())
        return cast(Tensor, self.position_projections[name](where)) if name in self.position_projections else where

    def _group(
        self, tokens: Mapping[str, Tensor], visible: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, Tensor | None]:
        """`[B, length, C]` by modality -> `[B, groups, size, C]` and its mask (None if all valid): no group mixes
        modalities."""
        size = max(local for _, local in self.layout.values())
        parts, masks = [], []
        first = next(iter(tokens.values()))
        for name, (count, local) in self.layout.items():
            seen = (visible or {}).get(name)
            if seen is None:
                seen = torch.ones(first.shape[0], self.lengths[name], dtype=torch.bool, device=first.device)
            short, narrow = count * local - self.lengths[name], size - local
            padded = nn.functional.pad(tokens[name], (0, 0, 0, short)).unflatten(1, (count, local))
            parts.append(nn.functional.pad(padded, (0, 0, 0, narrow)))
            padding = not self.mask_padding
            seen = nn.functional.pad(seen, (0, short), value=padding).unflatten(1, (count, local))
            masks.append(nn.functional.pad(seen, (0, narrow), value=padding))
        full = all(n == c * size for n, (c, _) in zip(self.lengths.values(), self.layout.values(), strict=True))
        whole = visible is None and (full or not self.mask_padding)
        return torch.cat(parts, 1), None if whole else torch.cat(masks, 1)

    def _ungroup(self, grouped: Tensor) -> dict[str, Tensor]:
        """The reverse of `_group`."""
        parts = grouped.split([count for count, _ in self.layout.values()], 1)
        return {
            name: part[:, :, :local].flatten(1, 2)[:, : self.lengths[name]]
            for part, (name, (_, local)) in zip(parts, self.layout.items(), strict=True)
        }


def regroup(x: Tensor, groups: int, how: Regroup = "neighbors") -> Tensor:
    """`[B, G, N, C]` -> `[B, groups, G * N / groups, C]`."""
    width = x.shape[-1]
    if how == "spread":
        x = x.transpose(1, 2)
    return x.reshape(x.shape[0], groups, -1, width)


def layout(lengths: Mapping[str, int], groups: int) -> dict[str, tuple[int, int]]:
    """How many of the groups each modality gets, and of which size: one each, then always one more to that whose groups
    are largest."""
    if len(lengths) > groups:
        raise ValueError(f"{len(lengths)} modalities need as many groups, got {groups}")
    counts = dict.fromkeys(lengths, 1)
    for _ in range(groups - len(lengths)):
        largest = max(lengths, key=lambda name: lengths[name] / counts[name])
        counts[largest] += 1
    return {name: (counts[name], math.ceil(length / counts[name])) for name, length in lengths.items()}


def random_visible(batch: int, length: int, hidden: float, device: torch.device | str | None = None) -> Tensor:
    """`[batch, length]`, True = visible, with exactly `round(hidden * length)` positions hidden in every row."""
    order = torch.rand(batch, length, device=device).argsort(1).argsort(1)
    return order >= round(hidden * length)


def masked_autoencoding_loss(model: HierarchicalPerceiver, inputs: Mapping[str, Tensor], hidden: float = 0.5) -> Tensor:
    """Mean squared error of the hidden inputs, averaged over modalities: hide a part, reconstruct it from the rest.

    This is the task on which the position embeddings are learned; carry them over with `model.positions` and
    `model.position_projections`.
    """
    visible = {name: random_visible(x.shape[0], x.shape[1], hidden, x.device) for name, x in inputs.items()}
    outputs = model(inputs, visible)
    errors = [(outputs[name] - x)[~visible[name]].square().mean() for name, x in inputs.items()]
    return torch.stack(errors).mean()


VARIANTS: dict[str, dict[str, Any]] = {
    "mini": {
        "groups": (16, 1, 16),
        "self_attends": (2, 1, 1),
        "latents": (128, 64, 128),
        "widths": (128, 1024, 128),
        "self_heads": (4, 32, 4),
        "embedding_width": 32,
    },
    "16": {
        "groups": (16, 4, 1, 1, 1, 4, 16),
        "self_attends": (2, 2, 18, 2, 1, 1, 1),
        "latents": (128, 256, 256, 64, 256, 256, 128),
        "widths": (128, 256, 512, 1024, 512, 256, 128),
        "self_heads": (4, 8, 16, 32, 16, 8, 4),
        "embedding_width": 32,
    },
    "16x3": {
        "groups": (16, 1, 16),
        "self_attends": (2, 18, 2),
        "latents": (128, 256, 128),
        "widths": (128, 1024, 128),
        "self_heads": (4, 32, 4),
        "embedding_width": 32,
    },
    "256": {
        "groups": (256, 64, 16, 4, 1, 1, 1, 4, 16, 64, 256),
        "self_attends": (1, 1, 2, 2, 18, 2, 1, 1, 1, 1, 1),
        "latents": (32, 64, 128, 256, 256, 64, 256, 256, 128, 64, 32),
        "widths": (64, 96, 128, 256, 512, 1024, 256, 128, 64, 32, 16),
        "self_heads": (1, 2, 4, 8, 16, 32, 16, 8, 4, 2, 1),
        "embedding_width": 16,
    },
}
"""HiP-16 and HiP-256 as published, and the code's two of three blocks."""


def hierarchical(
    variant: str, modalities: Mapping[str, tuple[int, int]], *, position_width: int | None = None, **options: Any
) -> HierarchicalPerceiver:
    """A published variant for these modalities; `options` override its numbers. Padding is read, as published."""
    if variant not in VARIANTS:
        raise ValueError(f"no variant {variant!r} of the Hierarchical Perceiver: expected one of {', '.join(VARIANTS)}")
    settings = VARIANTS[variant] | {"mask_padding": False} | options
    return HierarchicalPerceiver(modalities, position_width=position_width, **settings)


def _check(groups: Sequence[int], *others: Sequence[int]) -> None:
    count = len(groups)
    if any(len(other) != count for other in others):
        raise ValueError(f"give {count} numbers of each kind, one a block, as in groups {tuple(groups)}")
    if count < 3 or count % 2 == 0 or groups[count // 2] != 1:
        raise ValueError(
            f"groups {tuple(groups)}: expected an odd number of blocks, at least 3, the middle one with 1 group"
        )
    latents = others[1]
    if list(groups) != list(reversed(groups)) or list(latents) != list(reversed(latents)):
        raise ValueError(
            "groups and latents must read the same backwards: a block of the second half adds its mirror image"
        )
    for i, after in enumerate(groups[1:]):
        if groups[i] * latents[i] % after:
            raise ValueError(
                f"block {i}'s {groups[i]} groups of {latents[i]} latents do not divide into {after} groups"
            )
