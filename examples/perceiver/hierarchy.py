"""A Hierarchical Perceiver on 65,536 inputs: learns where its inputs are by masked autoencoding, then fills in what is
hidden.

    python -m examples.perceiver.hierarchy [--steps 900] [--size 256] [--picture hierarchy.png]

Images of `size` x `size` pixels show a slope of random direction and height; half of the pixels are hidden. Positions
are a learned table of 4 channels a pixel that starts as noise: nothing says that the inputs are an image. The figure is
the mean squared error on hidden pixels of fresh images, divided by that of predicting each image's mean.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from examples.perceiver.pictures import heatmaps
from examples.perceiver.training import train
from perceiver_policy.core.attention import attention_maps
from perceiver_policy.family.hierarchical import HierarchicalPerceiver, hierarchical, masked_autoencoding_loss


def slopes(batch: int, size: int) -> dict[str, Tensor]:
    """`{"image": [batch, size * size, 1]}`."""
    axis = torch.linspace(-1, 1, size)
    down, across, level = torch.randn(3, batch, 1, 1)
    return {"image": (down * axis[:, None] + across * axis + level).flatten(1)[..., None]}


def main(steps: int = 900, size: int = 256, seed: int = 0, picture: str | None = None) -> dict[str, float]:
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
    if picture:
        draw(model, size, picture)
    return {"error": found / variance, "seconds": seconds}


def draw(model: HierarchicalPerceiver, size: int, path: str) -> None:
    """An image, the four channels of the learned positions as images, and, of the first group (the topmost rows), what
    six of its latents look at."""
    image = slopes(1, size)
    with torch.no_grad():
        maps = attention_maps(model, image)
        where = model.positions["image"]().detach()[0].unflatten(0, (size, size))
    seen = maps["blocks.0.cross.attention"][0, 0].unflatten(-1, (-1, size))
    panels = {"=image": image["image"][0].unflatten(0, (size, size))[..., 0]}
    panels |= {f"position {i}": where[..., i] for i in range(where.shape[-1])}
    heatmaps(path, {**panels, **{f"latent {i}": seen[i] for i in range(6)}}, columns=6)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--picture")
    main(**vars(parser.parse_args()))
