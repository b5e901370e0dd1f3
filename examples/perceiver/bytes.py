"""Masked language modelling on raw bytes of the Python documentation that ships with Python (`pydoc_data.topics`, 460
kB).

    python -m examples.perceiver.bytes [--steps 1500] [--picture bytes.png]

Fifteen in a hundred bytes are hidden; the model says what they were. The last tenth of the text is for testing. Always
guessing the most frequent byte (the space) is right about one time in four. Beside it a Transformer of the same width
that is trained for the same processor time; it has no latents to go through.
"""

from __future__ import annotations

import argparse
from pydoc_data import topics

import torch
from torch import Tensor
from torch.nn import functional as F

from examples.perceiver.baselines import Transformer
from examples.perceiver.pictures import heatmaps, traced
from examples.perceiver.training import train
from perceiver_policy.core.positions import sinusoidal
from perceiver_policy.family.modalities import MASK, decode_text
from perceiver_policy.family.presets import masked_language_model

LENGTH = 32


def main(steps: int = 1500, seed: int = 0, picture: str | None = None) -> dict[str, float]:
    """Trains both; returns their accuracies on hidden bytes of the test text, and that of the most frequent byte."""
    torch.manual_seed(seed)
    documentation = "\n".join(topics.topics[name] for name in sorted(topics.topics)).encode()
    ids = torch.tensor(list(documentation)) + 6
    learn, test = ids[: len(ids) * 9 // 10], ids[len(ids) * 9 // 10 :]
    encoder = {"latents": 32, "latent_width": 128, "self_attends": 3, "cross_heads": 4, "self_heads": 4}
    model = masked_language_model(encoder, width=96, length=LENGTH, qk_width=64, heads=4, per_input=True)
    # Learned positions that start as sinusoids find their neighbors sooner than those that start as noise.
    start = 0.03 * sinusoidal(torch.arange(LENGTH), 96, max_period=LENGTH)
    with torch.no_grad():
        model.inputs.positions.weight.copy_(start)
        model.get_parameter("task.queries.positions.table").copy_(start)

    baseline = Transformer(262, LENGTH, 262, width=96, layers=3, widening=4, ids=True)

    def loss(network: torch.nn.Module) -> Tensor:
        text, seen, hidden = batch(learn, 64)
        return F.cross_entropy(network(seen)[hidden], text[hidden])

    seconds = train(model, lambda step: loss(model), steps, rate=4e-3)
    train(baseline, lambda step: loss(baseline), seconds=seconds, rate=1e-3)
    with torch.no_grad():
        text, seen, hidden = batch(test, 1024)
        guesses = model(seen).argmax(-1)
        right, other = ((found == text)[hidden].float().mean().item() for found in (guesses, baseline(seen).argmax(-1)))
    frequent = (learn.mode().values == text)[hidden].float().mean().item()
    print("hidden:", decode_text(torch.where(hidden, 6 + ord("_"), text)[:1]))
    print("filled:", decode_text(torch.where(hidden, guesses, text)[:1]))
    print(
        f"accuracy on {int(hidden.sum())} hidden bytes: {right:.3f}; Transformer {other:.3f}; "
        f"the most frequent byte {frequent:.3f}"
    )
    if picture:
        rests = traced(model, seen[:256])
        heatmaps(picture, {"each answer rests on": rests.mean(0), "in one text": rests[0]}, columns=2)
    return {"accuracy": right, "transformer": other, "frequent": frequent, "seconds": seconds}


def batch(ids: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random pieces `[size, LENGTH]` of the text, the same with MASK in places, and which places."""
    starts = torch.randint(len(ids) - LENGTH, (size, 1))
    text = ids[starts + torch.arange(LENGTH)]
    hidden = torch.rand(size, LENGTH) < 0.15
    return text, text.masked_fill(hidden, MASK), hidden


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--picture")
    main(**vars(parser.parse_args()))
