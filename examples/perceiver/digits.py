"""Classifies scikit-learn's handwritten digits (8x8) from raw pixels, each pixel one input.

    python -m examples.perceiver.digits [--permute] [--steps 1200]

With `--permute` all images are shuffled by one fixed permutation and positions are learned, so nothing says which
pixels are neighbors. Half of the 1,797 images are for training, half for testing.
"""

from __future__ import annotations

import argparse

import torch
from torch.nn import functional as F

from examples.perceiver.training import train
from perceiver_policy.core.positions import FourierPositions, LearnedPositions
from perceiver_policy.family.modalities import GridTokens, Pixels
from perceiver_policy.family.presets import classifier


def main(permute: bool = False, steps: int = 1200, seed: int = 0) -> dict[str, float]:
    """Trains and returns the accuracy on the test images."""
    from sklearn.datasets import load_digits

    torch.manual_seed(seed)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1
    labels = torch.tensor(digits.target)
    if permute:
        order = torch.randperm(64)
        images = images.flatten(2)[..., order].unflatten(2, (8, 8))
    shuffled = torch.randperm(len(images))
    learn, test = shuffled[360:], shuffled[:360]
    positions = LearnedPositions(64, 32, std=0.5) if permute else FourierPositions((8, 8), 8)
    inputs = GridTokens(Pixels(1) if not permute else Flat(), positions)
    encoder = {"latents": 16, "latent_width": 64, "blocks": 2, "self_attends": 2, "self_heads": 4, "dropout": 0.1}
    model = classifier(inputs, encoder, 10)

    def loss(step: int) -> torch.Tensor:
        chosen = learn[torch.randint(len(learn), (64,))]
        noisy = images[chosen] + 0.3 * torch.randn(64, 1, 8, 8)
        return F.cross_entropy(model(noisy), labels[chosen], label_smoothing=0.1)

    seconds = train(model, loss, steps, rate=3e-3)
    with torch.no_grad():
        right = (model(images[test]).argmax(-1) == labels[test]).float().mean().item()
    print(f"accuracy on {len(test)} test images: {right:.3f}")
    return {"accuracy": right, "seconds": seconds}


class Flat(torch.nn.Module):
    """Pixels as a sequence: `[B, 1, H, W]` -> `[B, H * W, 1]`."""

    width = 1

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return images.flatten(1)[..., None]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--permute", action="store_true")
    parser.add_argument("--steps", type=int, default=1200)
    main(**vars(parser.parse_args()))
