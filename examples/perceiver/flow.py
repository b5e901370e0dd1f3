"""Dense prediction: optical flow between two frames, for which the truth is known because the motion is made up.

    python -m examples.perceiver.flow [--steps 1500] [--picture flow.png]

A smooth random texture moves by up to two pixels, each half of the frame in a direction of its own. Every pixel of both
frames is an input, with its 3x3 neighborhood, and every pixel is a query. The figure is the mean distance between the
predicted and the true motion (end-point error), in pixels, on fresh frames; predicting no motion at all has an error of
about 1.5.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor
from torch.nn import functional as F

from examples.perceiver.pictures import heatmaps, traced
from examples.perceiver.training import train
from perceiver_policy.family.presets import optical_flow

SIZE = 16


def frames(batch: int) -> tuple[Tensor, Tensor]:
    """Two frames with their 3x3 neighborhoods, `[B, 2, 9, SIZE, SIZE]`, and the motion from the first to the second,
    `[B, SIZE, SIZE, 2]`."""
    noise = torch.randn(batch, 1, 12, 12)
    texture = F.interpolate(noise, size=(2 * SIZE, 2 * SIZE), mode="bicubic")
    motion = 4 * torch.rand(batch, 2, 2) - 2
    flow = torch.where((torch.arange(SIZE) < SIZE // 2)[None, None, :, None], motion[:, None, :1], motion[:, None, 1:])
    flow = flow.expand(-1, SIZE, -1, -1)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    here = torch.stack((columns, rows), -1).float() + SIZE / 2
    # The second frame shows at each place what was at that place minus the motion.
    pictures = [sample(texture, here.expand(batch, -1, -1, -1)), sample(texture, here - flow)]
    patches = [F.unfold(p, 3, padding=1).unflatten(-1, (SIZE, SIZE)) for p in pictures]
    return torch.stack(patches, 1), flow


def sample(texture: Tensor, places: Tensor) -> Tensor:
    """The texture `[B, 1, S, S]` at pixel coordinates (column, row) `[B, H, W, 2]`."""
    scale = 2 / (texture.shape[-1] - 1)
    return F.grid_sample(texture, places * scale - 1, align_corners=True)


def main(steps: int = 1500, seed: int = 0, picture: str | None = None) -> dict[str, float]:
    """Trains and returns the end-point error, and that of predicting no motion."""
    torch.manual_seed(seed)
    encoder = {"latents": 64, "latent_width": 96, "self_attends": 3, "self_heads": 4}
    model = optical_flow(encoder, shape=(SIZE, SIZE), bands=8, patch_channels=9, width=32)

    def loss(step: int) -> Tensor:
        pair, flow = frames(16)
        return error(100 * model(pair), flow)

    seconds = train(model, loss, steps, rate=2e-3)
    with torch.no_grad():
        pair, flow = frames(256)
        found = error(100 * model(pair), flow).item()
    still = flow.norm(dim=-1).mean().item()
    print(f"end-point error: {found:.3f} pixels; of predicting no motion: {still:.3f}")
    if picture:
        draw(model, picture)
    return {"error": found, "still": still, "seconds": seconds}


def draw(model: torch.nn.Module, path: str) -> None:
    """Two frames, the true and the found motion along the columns, and what the answers of three pixels rest on."""
    pair, flow = frames(1)
    with torch.no_grad():
        found = 100 * model(pair)[0]
    weights = traced(model, pair)[0].unflatten(1, (SIZE, SIZE)).unflatten(0, (SIZE, SIZE))
    panels = {"=first": pair[0, 0, 4], "=second": pair[0, 1, 4], "true": flow[0, ..., 0], "found": found[..., 0]}
    panels |= {f"pixel {y}, {x}": weights[y, x] for y, x in ((4, 3), (8, 8), (12, 12))}
    heatmaps(path, panels, columns=7)


def error(found: Tensor, flow: Tensor) -> Tensor:
    """Mean distance between two fields of motion."""
    return (found - flow).norm(dim=-1).mean()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--picture")
    main(**vars(parser.parse_args()))
