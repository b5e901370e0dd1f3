"""Masked language modelling on raw bytes of the Python documentation that ships with Python (`pydoc_data.topics`, 460
kB).

    python -m examples.perceiver.bytes [--steps 3000] [--picture bytes.png]

Fifteen in a hundred bytes are hidden; the model says what they were. The last tenth of the text is for testing. Always
guessing the most frequent byte (the space) is right about one time in four. Beside it a Transformer of the same width
that is trained for the same processor time; it has no latents to go through.
"""

from __future__ import annotations

import argparse
from pydoc_data import topics
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from examples.perceiver.baselines import Transformer
from examples.perceiver.pictures import heatmaps, traced
from examples.perceiver.training import train
from perceiver_policy.core.attention import Attention
from perceiver_policy.core.positions import sinusoidal
from perceiver_policy.family.initialization import initialize
from perceiver_policy.family.modalities import MASK, decode_text
from perceiver_policy.family.perceiver import MaskedLanguageModel
from perceiver_policy.family.presets import masked_language_model

LENGTH = 32


def main(steps: int = 3000, seed: int = 0, picture: str | None = None) -> dict[str, float]:
    """Trains both; returns their accuracies on hidden bytes of the test text, and that of the most frequent byte."""
    torch.manual_seed(seed)
    documentation = "\n".join(topics.topics[name] for name in sorted(topics.topics)).encode()
    ids = torch.tensor(list(documentation)) + 6
    learn, test = ids[: len(ids) * 9 // 10], ids[len(ids) * 9 // 10 :]
    encoder = {"latents": 32, "latent_width": 128, "self_attends": 3, "cross_heads": 4, "self_heads": 4}
    model = initialize(masked_language_model(encoder, width=96, length=LENGTH, qk_width=64, heads=4, per_input=True))
    start_where_they_are(model, 96)
    baseline = Transformer(262, LENGTH, 262, width=96, layers=3, widening=4, ids=True)

    def loss(network: torch.nn.Module) -> Tensor:
        text, seen, hidden = batch(learn, 64)
        return F.cross_entropy(network(seen)[hidden], text[hidden])

    seconds = train(model, lambda step: loss(model), steps, rate=2e-3)
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


@torch.no_grad()
def start_where_they_are(model: MaskedLanguageModel, width: int) -> None:
    """Inputs, latents and output queries start as sinusoids of their positions, and queries and keys alike, so that
    each looks first at what stands where it stands itself. What a byte is, its neighbors tell; to find them is most of
    the work."""
    start = 0.03 * sinusoidal(torch.arange(LENGTH), width, max_period=LENGTH)
    model.get_parameter("inputs.embedding.weight").mul_(0.02)  # tied to the output: its logits would be large
    for table in ("inputs.positions.weight", "task.queries.positions.table"):
        model.get_parameter(table).copy_(start)
    latents = model.get_parameter("encoder.latents.value").zero_()
    latents[:, :width] = start
    for name in ("encoder.cross.0.attention", "task.decoder.cross.attention"):
        attention = cast(Attention, model.get_submodule(name))
        turned = torch.nn.init.orthogonal_(torch.empty(attention.qk_width, width))
        attention.query.weight[:, :width] = attention.key_value.weight[: attention.qk_width, :width] = turned


def batch(ids: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random pieces `[size, LENGTH]` of the text, the same with MASK in places, and which places."""
    starts = torch.randint(len(ids) - LENGTH, (size, 1))
    text = ids[starts + torch.arange(LENGTH)]
    hidden = torch.rand(size, LENGTH) < 0.15
    return text, text.masked_fill(hidden, MASK), hidden


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--picture")
    main(**vars(parser.parse_args()))
