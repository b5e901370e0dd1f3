"""Classifies point clouds of generated shapes, beside a PointNet that is trained for the same processor time.

    python -m examples.perceiver.points [--steps 600] [--picture points.png]

Eight kinds of solids and surfaces, stretched and turned at random, of which one side is seen (the 256 of 512 points of
the surface that are nearest to the viewer), with noise. Each point is an input: its Fourier features, nothing else.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from examples.perceiver.baselines import PointNet
from examples.perceiver.pictures import save, traced
from examples.perceiver.training import ENCODER, train
from perceiver_policy.family.modalities import PointTokens
from perceiver_policy.family.presets import classifier

SHAPES = ("sphere", "cube", "cylinder", "cone", "torus", "disc", "tetrahedron", "helix")
POINTS = 256


def surface(shape: str, clouds: int, points: int) -> Tensor:
    """Points on a surface about one unit across, `[clouds, points, 3]`."""
    size = (clouds, points)
    turn, height = 2 * math.pi * torch.rand(size), 2 * torch.rand(size) - 1
    round_ = torch.stack((turn.cos(), turn.sin()), -1)
    if shape == "sphere":
        return F.normalize(torch.randn(*size, 3), dim=-1)
    if shape == "cube":
        flat = 2 * torch.rand(*size, 3) - 1
        side = torch.randint(3, size)[..., None]
        return 0.8 * flat.scatter(-1, side, torch.randint(2, (*size, 1)) * 2.0 - 1)
    if shape == "cylinder":
        lid = torch.rand(size) < 0.3
        radius = torch.where(lid, torch.rand(size).sqrt(), 1.0)
        return 0.8 * torch.cat((radius[..., None] * round_, torch.where(lid, height.sign(), height)[..., None]), -1)
    if shape == "cone":
        radius = torch.rand(size).sqrt()
        base = torch.rand(size) < 0.3
        up = torch.where(base, -1.0, 1 - 2 * radius)
        return 0.8 * torch.cat((radius[..., None] * round_, up[..., None]), -1)
    if shape == "torus":
        tube = 2 * math.pi * torch.rand(size)
        return torch.cat(((0.75 + 0.3 * tube.cos())[..., None] * round_, 0.3 * tube.sin()[..., None]), -1)
    if shape == "disc":
        return torch.cat((torch.rand(size).sqrt()[..., None] * round_, 0.05 * height[..., None]), -1)
    if shape == "tetrahedron":
        corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.8
        faces = corners[torch.tensor([[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]])[torch.randint(4, size)]]
        shares = torch.distributions.Dirichlet(torch.ones(3)).sample(size)
        return (shares[..., None] * faces).sum(-2)
    twist = 2.5 * math.pi * height
    coil = torch.stack((0.7 * twist.cos(), 0.7 * twist.sin(), height), -1)
    return coil + 0.1 * F.normalize(torch.randn(*size, 3), dim=-1)


def clouds(batch: int) -> tuple[Tensor, Tensor]:
    """Points `[B, POINTS, 3]` within [-1, 1] and the number of each cloud's shape `[B]`."""
    labels = torch.arange(batch) % len(SHAPES)
    points = torch.empty(batch, 2 * POINTS, 3)
    for number, shape in enumerate(SHAPES):
        rows = labels == number
        points[rows] = surface(shape, int(rows.sum()), 2 * POINTS)
    points = points * (0.6 + 0.6 * torch.rand(batch, 1, 3))
    rotation = torch.linalg.qr(torch.randn(batch, 3, 3)).Q
    points = points @ rotation + 0.03 * torch.randn(points.shape)
    near = points[..., 2].topk(POINTS, 1).indices[..., None].expand(-1, -1, 3)
    seen = points.gather(1, near)
    seen = seen - seen.mean(1, keepdim=True)
    return seen / seen.norm(dim=-1).amax(1)[:, None, None], labels


def main(steps: int = 600, seed: int = 0, picture: str | None = None) -> dict[str, float]:
    """Trains both; returns their accuracies on fresh clouds."""
    torch.manual_seed(seed)
    model = classifier(PointTokens(3, 8, max_resolution=16), ENCODER, len(SHAPES))
    baseline = PointNet(len(SHAPES))

    def loss(network: torch.nn.Module) -> Tensor:
        points, labels = clouds(64)
        return F.cross_entropy(network(points), labels)

    seconds = train(model, lambda step: loss(model), steps, rate=2e-3)
    train(baseline, lambda step: loss(baseline), seconds=seconds, rate=2e-3)
    found = {"accuracy": 0.0, "pointnet": 0.0}
    for _ in range(16):
        points, labels = clouds(64)
        for name, network in (("accuracy", model), ("pointnet", baseline)):
            with torch.no_grad():
                found[name] += (network(points).argmax(-1) == labels).float().mean().item() / 16
    print(
        f"accuracy on 1,024 clouds of {len(SHAPES)} shapes: {found['accuracy']:.3f}; PointNet {found['pointnet']:.3f}"
    )
    if picture:
        draw(model, picture)
    return {**found, "seconds": seconds}


def draw(model: torch.nn.Module, path: str) -> None:
    """One cloud a shape, its points colored by how much the answer rests on them."""
    from matplotlib.figure import Figure

    points, labels = clouds(len(SHAPES))
    weights = traced(model, points)[:, 0]
    figure = Figure(figsize=(10, 5), dpi=110, layout="constrained")
    for i, label in enumerate(labels.tolist()):
        axes = figure.add_subplot(2, 4, i + 1)
        order = weights[i].argsort()
        x, y = points[i, order, 0].numpy(), points[i, order, 1].numpy()
        axes.scatter(x, y, c=(weights[i, order] * POINTS).numpy(), s=9, cmap="magma", vmin=0)
        axes.set_title(SHAPES[label], fontsize=9)
        axes.set_aspect("equal")
        axes.set_axis_off()
    save(figure, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--picture")
    main(**vars(parser.parse_args()))
