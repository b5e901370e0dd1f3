"""Masked language modelling on bytes: hiding a part of a text, and filling what is hidden."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perceiver_policy.core.attention import boolean
from perceiver_policy.family.generation import evaluating
from perceiver_policy.family.modalities import MASK, decode_text, encode_text

BYTES = 6
"""The first token that is a byte; those before it are special."""

HOLE = "[MASK]"


def hide_tokens(
    ids: Tensor,
    mask: Tensor | None = None,
    *,
    share: float = 0.15,
    words: bool = False,
    vocabulary: int = 262,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Ids `[B, L]` -> what the model reads, and where `[B, L]` it is asked: `share` of the bytes, drawn anew each time.

    Of those 80 % become MASK, 10 % a random byte, 10 % stay (BERT, arXiv 1810.04805). With `words` whole words are
    hidden, as for the published model. Special tokens and padding (`mask` False) never are.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share is {share}: expected 0 to 1")

    def draw() -> Tensor:
        return torch.rand(ids.shape, generator=generator, device=ids.device)

    chance = draw()
    if words:
        space = (ids < BYTES) | torch.isin(ids - BYTES, torch.tensor(list(b" \t\n\r"), device=ids.device))
        starts = torch.ones_like(space)
        starts[:, 1:] = space[:, 1:] | space[:, :-1]
        chance = chance.gather(1, starts.long().cumsum(1) - 1)  # one draw a word
    asked = (chance < share) & (ids >= BYTES)
    if mask is not None:
        asked &= boolean(mask)
    kind = draw()
    other = torch.randint(BYTES, vocabulary, ids.shape, generator=generator, device=ids.device)
    read = torch.where(asked & (kind < 0.8), MASK, ids)
    return torch.where(asked & (kind >= 0.8) & (kind < 0.9), other, read), asked


def masked_loss(logits: Tensor, ids: Tensor, asked: Tensor) -> Tensor:
    """Mean cross-entropy of the hidden tokens; `logits` `[B, Q, vocabulary]` may be of more positions than `ids`."""
    return F.cross_entropy(logits[:, : ids.shape[1]][asked], ids[asked])


@dataclass
class Filled:
    """A text with its holes filled, and for every hole the likeliest bytes with their probabilities."""

    text: str
    choices: list[list[tuple[bytes, float]]]


@torch.no_grad()
def fill_mask(model: nn.Module, text: str, *, top: int = 5, hole: str = HOLE) -> Filled:
    """Fills every `hole` in a text, one byte each, with the byte that the model finds likeliest.

    `model`: ids and mask -> logits, such as `MaskedLanguageModel`. Raises ValueError for a text without a hole.
    """
    parts = text.split(hole)
    if len(parts) == 1:
        raise ValueError(f"there is nothing to fill: mark each byte that is missing by {hole}")
    if not 1 <= top <= 256:
        raise ValueError(f"top is {top}: expected 1 to 256, as many bytes as there are")
    ids, mask = encode_text("\0".join(parts))
    holes, at = [], 1
    for part in parts[:-1]:
        at += len(part.encode())
        holes.append(at)
        at += 1
    ids[0, holes] = MASK
    device = next(model.parameters()).device
    with evaluating(model):
        logits = model(ids.to(device), mask.to(device))[0, holes, BYTES : BYTES + 256].float().cpu()
    likely, which = logits.softmax(-1).topk(top, -1)
    ids[0, holes] = which[:, 0] + BYTES
    choices = [
        [(bytes([byte]), p) for byte, p in zip(row, ps, strict=True)]
        for row, ps in zip(which.tolist(), likely.tolist(), strict=True)
    ]
    return Filled(decode_text(ids)[0], choices)
