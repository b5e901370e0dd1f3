"""Multimodal autoencoding: video, its sound and a label through one small set of latents and back; the label is never
shown.

    python -m examples.perceiver.multimodal [--steps 2400] [--picture multimodal.png]

A bright square moves in one of four directions while a tone sounds whose pitch depends on the direction. The model gets
the video and the sound, has a mask token in the label's place, and gives back all three. Figures on fresh clips: peak
signal-to-noise ratios of video and sound, and how often the label is right (by chance: one in four).
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from examples.perceiver.pictures import heatmaps, traced
from examples.perceiver.training import train
from perceiver_policy.family.presets import multimodal_autoencoder

FRAMES, SIZE, SAMPLES = 4, 16, 64
DIRECTIONS = torch.tensor([[0, 1], [0, -1], [1, 0], [-1, 0]])


def clips(batch: int) -> tuple[dict[str, Tensor], Tensor]:
    """Video `[B, FRAMES, 3, SIZE, SIZE]`, sound `[B, FRAMES * SAMPLES, 1]`, an empty label `[B, 4]`; and the true
    labels."""
    labels = torch.randint(4, (batch,))
    start = torch.randint(5, 8, (batch, 2))
    places = start[:, None] + torch.arange(FRAMES)[:, None] * DIRECTIONS[labels][:, None]
    axis = torch.arange(SIZE)
    rows = (axis >= places[..., :1]) & (axis < places[..., :1] + 4)
    columns = (axis >= places[..., 1:]) & (axis < places[..., 1:] + 4)
    square = (rows[..., None] & columns[..., None, :]).float()
    colors = torch.rand(batch, 1, 3, 1, 1)
    video = square[:, :, None] * colors
    time = torch.arange(FRAMES * SAMPLES) / SAMPLES
    phase = 2 * math.pi * torch.rand(batch, 1)
    sound = torch.sin(2 * math.pi * (2 + 2 * labels[:, None]) * time + phase)
    return {"image": video, "audio": sound[..., None], "label": torch.zeros(batch, 4)}, labels


def main(steps: int = 2400, seed: int = 0, picture: str | None = None) -> dict[str, float]:
    """Trains and returns both signal-to-noise ratios and the accuracy of the label."""
    torch.manual_seed(seed)
    encoder = {"latents": 32, "latent_width": 96, "self_attends": 3, "self_heads": 4}
    model = multimodal_autoencoder(
        encoder,
        frames=FRAMES,
        size=SIZE,
        samples_per_frame=SAMPLES,
        samples_per_patch=8,
        labels=4,
        audio_bands=16,
        video_bands=8,
        label_width=64,
        output_width=64,
        max_resolution=(FRAMES, SIZE, SIZE),
    )

    def errors(inputs: dict[str, Tensor], labels: Tensor, points: dict[str, Tensor] | None) -> dict[str, Tensor]:
        outputs = model(inputs, subsampled_output_points=points)
        video = inputs["image"].movedim(2, -1).flatten(1, 3)
        wanted = video if points is None else video[:, points["image"]]
        return {
            "image": F.mse_loss(outputs["image"], wanted),
            "audio": F.mse_loss(outputs["audio"], inputs["audio"][..., 0]),
            "label": F.cross_entropy(outputs["label"], labels),
            "right": (outputs["label"].argmax(-1) == labels).float().mean(),
        }

    def loss(step: int) -> Tensor:
        inputs, labels = clips(16)
        # As published, a step decodes a part of the video only.
        points = {"image": torch.randperm(FRAMES * SIZE * SIZE)[:256]}
        found = errors(inputs, labels, points)
        return 30 * found["image"] + found["audio"] + 0.1 * found["label"]

    seconds = train(model, loss, steps, rate=2e-3)
    with torch.no_grad():
        found = errors(*clips(64), None)
    video, sound = -10 * math.log10(found["image"].item()), -10 * math.log10(found["audio"].item() / 4)
    print(f"video {video:.1f} dB, sound {sound:.1f} dB, label right {found['right']:.3f}")
    if picture:
        draw(model, picture)
    return {"video": video, "sound": sound, "accuracy": found["right"].item(), "seconds": seconds}


def draw(model: torch.nn.Module, path: str) -> None:
    """The frames of a clip and its sound, and how much the answers for the label, for a pixel and for the end of the
    sound rest on the patches of both."""
    torch.manual_seed(1)
    inputs, _ = clips(1)
    center = (FRAMES // 2 * SIZE + SIZE // 2) * SIZE + SIZE // 2
    points = {"image": torch.tensor([center]), "audio": torch.tensor([FRAMES * SAMPLES // 8 - 1])}
    weights = traced(model, inputs, subsampled_output_points=points)[0]
    panels = {f"=frame {i}": inputs["image"][0, i].mean(0) for i in range(FRAMES)}
    panels["=sound"] = inputs["audio"][0, :, 0].unflatten(0, (-1, SAMPLES // 8))
    sounds, side = FRAMES * SAMPLES // 8, SIZE // 4
    # Queries and inputs are in the order of the modalities' names.
    for name, row in zip(("sound", "pixel", "label"), weights, strict=True):
        seen = row[sounds : sounds + FRAMES * side**2].unflatten(0, (FRAMES, side, side))
        panels |= {f"{name}: frame {i}": seen[i] for i in range(FRAMES)}
        panels[f"{name}: sound"] = row[:sounds].unflatten(0, (-1, 8))
    heatmaps(path, panels, columns=FRAMES + 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--picture")
    main(**vars(parser.parse_args()))
