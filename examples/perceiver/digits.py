"""Classifies scikit-learn's handwritten digits (8x8) from raw pixels, each pixel one input, beside a small ResNet and a
small ViT (patches of 2x2) that are trained on the same images for the same processor time.

    python -m examples.perceiver.digits [--permute] [--steps 1200] [--picture digits.png]

With `--permute` all images are shuffled by one fixed permutation and positions are learned, so nothing says which
pixels are neighbors (table 2 of the first Perceiver's paper). Of the 1,797 images 360 are for testing.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
from torch.nn import functional as F

from examples.perceiver.baselines import resnet, vit
from examples.perceiver.pictures import heatmaps, traced
from examples.perceiver.training import train
from perceiver_policy.core.attention import attention_maps
from perceiver_policy.core.positions import FourierPositions, LearnedPositions
from perceiver_policy.family.modalities import GridTokens, Pixels
from perceiver_policy.family.presets import classifier


def main(permute: bool = False, steps: int = 1200, seed: int = 0, picture: str | None = None) -> dict[str, float]:
    """Trains all three and returns their accuracies on the test images."""
    from sklearn.datasets import load_digits

    torch.manual_seed(seed)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1
    labels = torch.tensor(digits.target)
    order = torch.randperm(64) if permute else torch.arange(64)
    if permute:
        images = images.flatten(2)[..., order].unflatten(2, (8, 8))
    shuffled = torch.randperm(len(images))
    learn, test = shuffled[360:], shuffled[:360]
    positions = LearnedPositions(64, 32, std=0.5) if permute else FourierPositions((8, 8), 8)
    inputs = GridTokens(Pixels(1) if not permute else Flat(), positions)
    encoder = {"latents": 16, "latent_width": 64, "blocks": 2, "self_attends": 2, "self_heads": 4, "dropout": 0.1}
    model = classifier(inputs, encoder, 10)

    def loss(network: torch.nn.Module, step: int) -> torch.Tensor:
        chosen = learn[torch.randint(len(learn), (64,))]
        noisy = images[chosen] + 0.3 * torch.randn(64, 1, 8, 8)
        return F.cross_entropy(network(noisy), labels[chosen], label_smoothing=0.1)

    seconds = train(model, partial(loss, model), steps, rate=3e-3)
    networks = {"accuracy": model, "resnet": resnet(1, 10), "vit": vit(8, 2, 1, 10, dropout=0.1)}
    for name in ("resnet", "vit"):
        train(networks[name], partial(loss, networks[name]), seconds=seconds, rate=3e-3)
    with torch.no_grad():
        found = {
            name: (network(images[test]).argmax(-1) == labels[test]).float().mean().item()
            for name, network in networks.items()
        }
    print(
        f"accuracy on {len(test)} test images: {found['accuracy']:.3f}; "
        f"ResNet {found['resnet']:.3f}; ViT {found['vit']:.3f}"
    )
    if picture:
        draw(model, images, labels, test, order, picture)
    return {**found, "seconds": seconds}


def draw(
    model: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    test: torch.Tensor,
    order: torch.Tensor,
    path: str,
) -> None:
    """One test image a digit, what the answer rests on, and what two of the latents look at; permuted images are put
    back in order."""
    rows = torch.stack([test[(labels[test] == digit).nonzero()[0, 0]] for digit in range(10)])
    with torch.no_grad():
        maps = attention_maps(model, images[rows])
    weights = traced(model, images[rows])[:, 0]
    latents = maps["encoder.cross.0.attention"].mean(1)

    def in_order(pixels: torch.Tensor) -> torch.Tensor:
        return torch.zeros(64).index_copy(0, order, pixels).unflatten(0, (8, 8))

    panels = {f"={digit}": in_order(images[row].flatten()) for digit, row in enumerate(rows)}
    panels |= {f"answer {digit}": in_order(weights[digit]) for digit in range(10)}
    for latent in range(2):
        panels |= {f"latent {latent}, {digit}": in_order(latents[digit, latent]) for digit in range(10)}
    heatmaps(path, panels, columns=10)


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
    parser.add_argument("--picture")
    main(**vars(parser.parse_args()))
