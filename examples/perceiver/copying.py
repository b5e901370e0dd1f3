"""Copies a long random text with Perceiver AR: the answer lies a whole context back.

    python -m examples.perceiver.copying [--steps 400] [--length 512] [--picture copying.png]

The context is `length` random tokens, a separator, and the same tokens again; the second half is predicted, each token
from all before it, with as many latents as it is long. The figure is the share of tokens predicted rightly on fresh
texts; by chance it is one in sixteen. Beside it a causal Transformer of the same width over the whole context, which
is trained for the same processor time.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor
from torch.nn import functional as F

from examples.perceiver.baselines import Transformer
from examples.perceiver.pictures import heatmaps
from examples.perceiver.training import train
from perceiver_policy.core.attention import attention_maps
from perceiver_policy.family.autoregressive import PerceiverAR

VOCABULARY = 16


def texts(batch: int, length: int) -> Tensor:
    """`[batch, 2 * length + 1]`: random tokens, the separator (the last of the vocabulary), the tokens again."""
    first = torch.randint(VOCABULARY, (batch, length))
    return torch.cat((first, torch.full((batch, 1), VOCABULARY), first), 1)


def main(steps: int = 400, length: int = 512, seed: int = 0, picture: str | None = None) -> dict[str, float]:
    """Trains both; returns their accuracies in one pass, and that of the first 32 tokens generated with the cache."""
    torch.manual_seed(seed)
    model = PerceiverAR(
        VOCABULARY + 1,
        length=2 * length,
        latents=length,
        width=64,
        self_attends=1,
        heads=4,
        rotated=1.0,
        tie_embeddings=True,
    )

    baseline = Transformer(VOCABULARY + 1, 2 * length, VOCABULARY + 1, layers=2, widening=4, ids=True, causal=True)

    def loss(network: torch.nn.Module) -> Tensor:
        text = texts(8, length)
        logits = network(text[:, :-1])[:, -length:]
        return F.cross_entropy(logits.flatten(0, 1), text[:, -length:].flatten())

    seconds = train(model, lambda step: loss(model), steps, rate=3e-3)
    train(baseline, lambda step: loss(baseline), seconds=seconds, rate=3e-3)
    with torch.no_grad():
        text = texts(8, length)
        right, other = (
            (network(text[:, :-1])[:, -length:].argmax(-1) == text[:, -length:]).float().mean().item()
            for network in (model, baseline)
        )
    count = min(32, length)
    made = model.generate(text[:, : length + 1], count, latents=1, temperature=0.0)
    generated = (made == text[:, length + 1 : length + 1 + count]).float().mean().item()
    print(
        f"accuracy over a context of {2 * length:,}: {right:.3f}; generated with the cache: {generated:.3f}; "
        f"Transformer {other:.3f}"
    )
    if picture:
        draw(model, length, picture)
    return {"accuracy": right, "generated": generated, "transformer": other, "seconds": seconds}


def draw(model: PerceiverAR, length: int, path: str) -> None:
    """The cross-attention of every head, latents downwards, the context to the right: a line one text back."""
    with torch.no_grad():
        weights = attention_maps(model, texts(1, length)[:, :-1])["cross.attention"][0]
    pooled = torch.nn.functional.max_pool2d(weights[:, None], max(1, length // 128))[:, 0]
    heatmaps(path, {f"head {i}": head for i, head in enumerate(pooled)}, columns=4)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--picture")
    main(**vars(parser.parse_args()))
