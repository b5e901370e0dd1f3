"""A Hierarchical Perceiver on 65,536 inputs: learns where its inputs are by masked autoencoding, then fills in what is
hidden.

    python -m examples.perceiver.hierarchy [--steps 900] [--size 256]

Images of `size` x `size` pixels show a slope of random direction and height; half of the pixels are hidden. Positions
are a learned table of 4 channels a pixel that starts as noise: nothing says that the inputs are an image. The figure is
the mean squared error on hidden pixels of fresh images, divided by that of predicting each image's mean.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from examples.perceiver.training import train
from perceiver_policy.family.hierarchical import hierarchical, masked_autoencoding_loss


def slopes(batch: int, size: int) -> dict[str, Tensor]:
    """`{"image": [batch, size * size, 1]}`."""
    axis = torch.linspace(-1, 1, size)
    down, across, level = torch.randn(3, batch, 1, 1)
    return {"image": (down * axis[:, None] + across * axis + level).flatten(1)[..., None]}


def main(steps: int = 900, size: int = 256, seed: int = 0) -> dict[str, float]:
    """Trains and returns the relative error on hidden pixels."""
    torch.manual_seed(seed)
    model = hierarchical(
        "mini",
        {"image": (size * size, 1)},
        position_width=4,
        latents=(16, 32, 16),
        widths=(32, 64, 32),
        self_heads=(2, 4, 2),
        embedding_width=16,
    )
    print(f"{size * size:,} inputs, {sum(p.numel() for p in model.parameters()):,} parameters")
    seconds = train(model, lambda step: masked_autoencoding_loss(model, slopes(2, size)), steps, rate=1e-2)
    with torch.no_grad():
        images = slopes(16, size)
        found = masked_autoencoding_loss(model, images).item()
    variance = images["image"].var(1, correction=0).mean().item()
    print(f"error on hidden pixels, relative to predicting the mean: {found / variance:.3f}")
    return {"error": found / variance, "seconds": seconds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--size", type=int, default=256)
    main(**vars(parser.parse_args()))
