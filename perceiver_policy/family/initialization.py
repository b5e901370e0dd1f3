"""How the original code starts its parameters.

Most weights are drawn from a normal distribution cut at two deviations, with a standard deviation of 1/sqrt(inputs)
after the cut (Haiku's `VarianceScaling`); where the original says nothing, Haiku's default is the same before the cut,
which leaves 0.88 of it. Biases are zeros. The modules here otherwise start as PyTorch's do.
"""

from __future__ import annotations

import math
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from perceiver_policy.core.decoder import Decoder
from perceiver_policy.core.latents import Latents
from perceiver_policy.core.positions import LearnedPositions
from perceiver_policy.family.modalities import ByteTokens, Conv1x1, ConvStem, Patches
from perceiver_policy.family.perceiver import Grid, Perceiver, Task

Model = TypeVar("Model", bound=nn.Module)

_CUT = 0.8796256610342398
"""The standard deviation of a standard normal distribution cut at two deviations."""


@runtime_checkable
class Special(Protocol):
    """A model some of whose parts start otherwise than such parts do elsewhere."""

    def draw_special(self) -> None:
        """Draws those parts anew; called after all parts have been drawn as usual."""


@torch.no_grad()
def initialize(model: Model) -> Model:
    """Draws every parameter of a model of this family anew, in place, as the original code does; returns the model.

    A Resampler's are those of the public implementations (latents and embeddings of deviation 1).
    """
    for module in reversed(list(model.modules())):  # parts before what they are a part of, which knows better
        if isinstance(module, nn.Linear):
            scaled_normal_(module.weight, module.in_features)
            _zero(module.bias)
        elif isinstance(module, nn.LayerNorm | nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, Latents):
            cut_normal_(module.value, 0.02)
        elif isinstance(module, LearnedPositions):
            cut_normal_(module.table, 0.02)
            _default(module.projection)
        elif isinstance(module, ByteTokens):
            cut_normal_(module.embedding.weight, 1.0)
            cut_normal_(module.positions.weight, 0.02)
        elif isinstance(module, Conv1x1 | ConvStem):
            _default(module.conv)
        elif isinstance(module, Patches):
            _default(module.projection)
        elif isinstance(module, Decoder):
            _default(module.final)
        elif isinstance(module, Task):
            _task(module)
        elif isinstance(module, Perceiver):
            _zero(None if module.classifier is None else module.classifier.weight)
        elif isinstance(module, Special):
            module.draw_special()
    return model


def _task(task: Task) -> None:
    if task.outputs is not None:
        for layer in task.outputs.modules():
            _default(layer)
    if isinstance(task.outputs, Grid) and task.decoder.final is not None:
        _zero(task.decoder.final.weight)


def scaled_normal_(value: Tensor, fan_in: int) -> None:
    """Haiku's `VarianceScaling`: of deviation `1/sqrt(fan_in)` after the cut."""
    cut_normal_(value, 1 / _CUT / math.sqrt(fan_in))


def _default(layer: nn.Module | None) -> None:
    if isinstance(layer, nn.Linear | nn.Conv2d):
        cut_normal_(layer.weight, 1 / math.sqrt(layer.weight[0].numel()))
        _zero(layer.bias)


def cut_normal_(value: Tensor, deviation: float) -> None:
    """Normal, cut at two deviations: 0.88 of `deviation` is left."""
    nn.init.trunc_normal_(value, std=deviation, a=-2 * deviation, b=2 * deviation)


def _zero(value: Tensor | None) -> None:
    if value is not None:
        nn.init.zeros_(value)
