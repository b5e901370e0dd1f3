"""Says which of eight kinds of sound are in a clip, beside a ResNet that is trained for the same processor time.

    python -m examples.perceiver.sound [--steps 600] [--picture sound.png]

Clips of half a second hold one to three sounds of different kinds, of random pitch, loudness, start and length, in
noise. Both networks read the logarithm of the clip's spectrogram; the Perceiver as 256 patches of 4 x 4 with the
Fourier features of their places. The figure is that of AudioSet: the mean, over the kinds, of the average precision.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from examples.perceiver.baselines import resnet
from examples.perceiver.pictures import heatmaps, traced
from examples.perceiver.training import ENCODER, train
from perceiver_policy.core.positions import FourierPositions
from perceiver_policy.family.modalities import GridTokens, Patches
from perceiver_policy.family.presets import classifier

KINDS = ("tone", "rising", "falling", "vibrato", "tremolo", "chord", "noise", "clicks")
RATE, SAMPLES, SIZE = 8000, 4096, 64


def sounds(kind: str, count: int) -> Tensor:
    """`[count, SAMPLES]` of one kind, each somewhere within its clip."""
    time = torch.arange(SAMPLES) / RATE
    start = 0.3 * torch.rand(count, 1)
    length = 0.12 + 0.1 * torch.rand(count, 1)
    into = (time - start) / length
    window = torch.where((into > 0) & (into < 1), torch.sin(math.pi * into.clamp(0, 1)), 0.0)
    pitch = 300 * 8 ** torch.rand(count, 1)
    passed = (time - start).clamp(min=0)
    phase = 2 * math.pi * (torch.rand(count, 1) + pitch * passed)
    if kind in ("rising", "falling"):
        slope = (1 if kind == "rising" else -1) * pitch * (0.3 + 0.4 * torch.rand(count, 1)) / length
        wave = torch.sin(phase + math.pi * slope * passed**2)
    elif kind == "vibrato":
        wave = torch.sin(phase + 6 * torch.sin(2 * math.pi * (15 + 10 * torch.rand(count, 1)) * passed))
    elif kind == "tremolo":
        wave = torch.sin(phase) * (0.5 + 0.5 * torch.sin(2 * math.pi * (20 + 15 * torch.rand(count, 1)) * passed))
    elif kind == "chord":
        wave = (torch.sin(phase) + torch.sin(1.26 * phase) + torch.sin(1.5 * phase)) / 2
    elif kind == "noise":
        wave = torch.randn(count, SAMPLES)
    elif kind == "clicks":
        wave = 4.0 * ((passed * (25 + 20 * torch.rand(count, 1))) % 1 < 0.01)
    else:
        wave = torch.sin(phase)
    return wave * window * 10 ** (-0.6 * torch.rand(count, 1))


def clips(batch: int) -> tuple[Tensor, Tensor]:
    """Log spectrograms `[B, 1, SIZE, SIZE]` (frequency upwards, then time) and which kinds there are `[B,
    len(KINDS)]`."""
    present = torch.rand(batch, len(KINDS)).argsort(1) < torch.randint(1, 4, (batch, 1))
    wave = 0.02 * torch.randn(batch, SAMPLES)
    for number, kind in enumerate(KINDS):
        rows = present[:, number]
        wave[rows] += sounds(kind, int(rows.sum()))
    spectrum = torch.stft(wave, 128, 64, window=torch.hann_window(128), return_complex=True).abs()
    return (spectrum[:, None, 1 : SIZE + 1, :SIZE] + 1e-2).log() / 2, present.float()


def main(steps: int = 600, seed: int = 0, picture: str | None = None) -> dict[str, float]:
    """Trains both; returns their mean average precisions on fresh clips, and that of guessing."""
    from sklearn.metrics import average_precision_score

    torch.manual_seed(seed)
    inputs = GridTokens(Patches(1, spatial=4), FourierPositions((SIZE // 4, SIZE // 4), 8))
    model = classifier(inputs, ENCODER, len(KINDS))
    baseline = resnet(1, len(KINDS), (8, 16, 32))

    def loss(network: torch.nn.Module) -> Tensor:
        heard, present = clips(32)
        return F.binary_cross_entropy_with_logits(network(heard), present)

    seconds = train(model, lambda step: loss(model), steps, rate=2e-3)
    train(baseline, lambda step: loss(baseline), seconds=seconds, rate=2e-3)
    with torch.no_grad():
        heard, present = clips(512)
        found = {
            name: float(average_precision_score(present.numpy(), network(heard).numpy()))
            for name, network in (("precision", model), ("resnet", baseline))
        }
    found["guessing"] = present.mean().item()
    print(
        f"mean average precision on 512 clips: {found['precision']:.3f}; ResNet {found['resnet']:.3f}; "
        f"guessing {found['guessing']:.3f}"
    )
    if picture:
        draw(model, picture)
    return {**found, "seconds": seconds}


def draw(model: torch.nn.Module, path: str) -> None:
    """Clips of one sound each, and under them what the answer rests on."""
    torch.manual_seed(1)
    heard, present = clips(512)
    alone = [int(((present.sum(1) == 1) & (present[:, k] == 1)).nonzero()[0]) for k in range(len(KINDS))]
    weights = traced(model, heard[alone])[:, 0].unflatten(-1, (SIZE // 4, SIZE // 4))
    shown = {f"={KINDS[k]}": heard[row, 0].flip(0) for k, row in enumerate(alone)}
    under = {f"looks at, {KINDS[k]}": weights[k].flip(0) for k in range(len(KINDS))}
    heatmaps(path, {**shown, **under}, columns=len(KINDS))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--picture")
    main(**vars(parser.parse_args()))
