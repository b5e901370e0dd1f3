"""What is carried from step to step.

| memory | carried, for each game | suits |
|---|---|---|
| `latents` | one vector a latent, gated | most tasks |
| `lstm` | one vector for all latents, and its cell | few things to remember, over long times |
| `window` | the tokens of the latest observations, read again as more input | what happened is needed as it was |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceiver_policy.registry import MEMORIES

if TYPE_CHECKING:
    from perceiver_policy.core.encoder import Encoder
    from perceiver_policy.policy.inputs import Tokens


class Memory(nn.Module, ABC):
    """Reads tokens with an encoder, given what was carried, [B, a, b]; ``first`` [B] marks where nothing was."""

    @abstractmethod
    def initial(self, batch: int) -> Tensor:
        """Zeros: what an episode starts with."""

    @abstractmethod
    def step(self, encoder: Encoder, tokens: Tokens, memory: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """Latents [B, N, D] of one step's tokens [B, M, C], and the memory after it."""

    @abstractmethod
    def sequence(self, encoder: Encoder, tokens: Tokens, memory: Tensor, first: Tensor) -> Tensor:
        """Latents [T * B, N, D] of the tokens [T * B, M, C] of T steps, ``first`` [T, B], as T times :meth:`step`."""


class Carried(Memory):
    """Memory that the latents start from, and that they change: only they are scanned over time."""

    @abstractmethod
    def start(self, learned: Tensor, memory: Tensor) -> Tensor:
        """The latents [B, N, D] that the encoder starts from; ``learned`` [1 or B, N, D]."""

    @abstractmethod
    def forward(self, memory: Tensor, latents: Tensor) -> Tensor:
        """The memory after a step."""

    def step(self, encoder: Encoder, tokens: Tokens, memory: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`Memory`."""
        return self._step(encoder, encoder.keys_values(tokens.tokens), tokens.mask, memory, first)

    def sequence(self, encoder: Encoder, tokens: Tokens, memory: Tensor, first: Tensor) -> Tensor:
        """See :class:`Memory`."""
        steps, batch = first.shape
        keys_values = encoder.keys_values(tokens.tokens)
        each = [tuple(part.unflatten(0, (steps, batch)).unbind(0) for part in pair) for pair in keys_values]
        masks = [None] * steps if tokens.mask is None else tokens.mask.unflatten(0, (steps, batch)).unbind(0)
        latents = []
        for t in range(steps):
            at_t = tuple((keys[t], values[t]) for keys, values in each)
            z, memory = self._step(encoder, at_t, masks[t], memory, first[t])
            latents.append(z)
        return torch.stack(latents).flatten(0, 1)

    def _step(
        self,
        encoder: Encoder,
        keys_values: tuple[tuple[Tensor, Tensor], ...],
        mask: Tensor | None,
        memory: Tensor,
        first: Tensor,
    ) -> tuple[Tensor, Tensor]:
        memory = memory.masked_fill(first[:, None, None], 0.0)
        start = self.start(encoder.latents(1), memory)
        latents = encoder(mask=mask, latents=start, keys_values=keys_values)
        return latents, self(memory, latents)


class LatentMemory(Carried):
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
        """See :class:`Carried`."""
        return cast(Tensor, learned + self.read(memory))

    def forward(self, memory: Tensor, latents: Tensor) -> Tensor:
        """The memory after a step, [B, N, D]."""
        candidate, gate = self.write(latents).chunk(2, -1)
        return memory + gate.sigmoid() * (candidate.tanh() - memory)


class LSTMMemory(Carried):
    """An LSTM on the mean of the latents, [B, 2, D]: its output, which every latent starts from, and its cell."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.read = nn.Linear(width, width, bias=False)
        self.cell = nn.LSTMCell(width, width)
        with torch.no_grad():
            self.cell.bias_ih[width : 2 * width] += 1.0  # remember by default (Jozefowicz et al. 2015)

    def initial(self, batch: int) -> Tensor:
        """Zeros [B, 2, D]: what an episode starts with."""
        return torch.zeros(batch, 2, self.width, device=self.read.weight.device)

    def start(self, learned: Tensor, memory: Tensor) -> Tensor:
        """See :class:`Carried`."""
        return cast(Tensor, learned + self.read(memory[:, :1]))

    def forward(self, memory: Tensor, latents: Tensor) -> Tensor:
        """The memory after a step, [B, 2, D]."""
        output, cell = memory.unbind(1)
        return torch.stack(self.cell(latents.mean(1), (output, cell)), 1)


class WindowMemory(Memory):
    """The tokens of the latest observations, read beside the present one's, each with a vector of its age.

    An encoder that reads more than once reads the present alone first: among a dozen others it would count a dozenth,
    and what is asked of the past could not depend on it. Ages begin nearly alike, so that what is learned of a thing
    seen a while ago holds for other whiles.

    Carried are [B, steps - 1, M * (C + 1)], the oldest first: the tokens as they were embedded when they were seen, and
    which of them there are.
    """

    def __init__(self, steps: int, most: int, width: int, *, present_first: bool = False) -> None:
        """``most``: tokens of an observation at most."""
        super().__init__()
        self.steps, self.most, self.width, self.present_first = steps, most, width, present_first
        scale = torch.full((steps, 1), 0.1)
        scale[-1] = 1.0  # the present is told from all before it
        self.age = nn.Parameter(scale * torch.randn(steps, width) / width**0.5)

    def initial(self, batch: int) -> Tensor:
        """Zeros: what an episode starts with."""
        return torch.zeros(batch, self.steps - 1, self.most * (self.width + 1), device=self.age.device)

    def step(self, encoder: Encoder, tokens: Tokens, memory: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`Memory`."""
        memory = memory.masked_fill(first[:, None, None], 0.0)
        window = torch.cat((memory, self._packed(tokens)[:, None]), 1)
        return self._read(encoder, window, torch.ones_like(window[..., 0], dtype=torch.bool)), window[:, 1:]

    def sequence(self, encoder: Encoder, tokens: Tokens, memory: Tensor, first: Tensor) -> Tensor:
        """See :class:`Memory`."""
        steps, batch = first.shape
        seen = torch.cat((memory.transpose(0, 1), self._packed(tokens).unflatten(0, (steps, batch))))
        windows = seen.unfold(0, self.steps, 1).permute(0, 1, 3, 2)  # [T, B, steps, ...], the latest last
        # what was seen in another episode is not
        episode = torch.cat((first.new_zeros(self.steps - 1, batch, dtype=torch.long), first.long().cumsum(0)))
        same = episode.unfold(0, self.steps, 1) == episode[self.steps - 1 :, :, None]
        return self._read(encoder, windows.flatten(0, 1), same.flatten(0, 1))

    def _packed(self, tokens: Tokens) -> Tensor:
        """Tokens [B, M, C] and which there are, as [B, most * (C + 1)]."""
        there = tokens.tokens.new_ones(tokens.tokens.shape[:2]) if tokens.mask is None else tokens.mask.float()
        packed = torch.cat((tokens.tokens, there[..., None]), -1)
        return F.pad(packed, (0, 0, 0, self.most - packed.shape[1])).flatten(1)

    def _read(self, encoder: Encoder, window: Tensor, seen: Tensor) -> Tensor:
        """Latents of windows [B, steps, ...], of which those that are ``seen`` [B, steps] count."""
        each = window.unflatten(2, (self.most, self.width + 1))
        tokens, there = each[..., :-1] + self.age[:, None], each[..., -1] > 0
        keys_values = encoder.keys_values(tokens.flatten(1, 2))
        mask = there & seen[..., None]
        if not self.present_first:
            return encoder(mask=mask.flatten(1), keys_values=keys_values)
        now = mask.clone()
        now[:, :-1] = False
        return encoder(mask=mask.flatten(1), first_mask=now.flatten(1), keys_values=keys_values)


def make_memory(
    kind: str, *, latents: int, latent_width: int, window: int, tokens: int, width: int, reads: int = 1
) -> Memory | None:
    """The memory that goes by a name, or None; ``tokens`` of an observation at most, of ``width`` channels. ``reads``:
    how often the encoder reads."""
    if kind == "latents":
        return LatentMemory(latents, latent_width)
    if kind == "lstm":
        return LSTMMemory(latent_width)
    if kind == "window":
        return WindowMemory(window, tokens, width, present_first=reads > 1)
    return None if kind == "none" else cast(Memory, MEMORIES.find(kind)(latents, latent_width))
