"""How the original code starts its parameters.

Most weights are drawn from a normal distribution cut at two deviations, with a standard deviation of 1/sqrt(inputs)
after the cut (Haiku's `VarianceScaling`); where the original says nothing, Haiku's default is the same before the cut,
which leaves 0.88 of it. Biases are zeros. The modules here otherwise start as PyTorch's do.
"""

from __future__ import annotations

import math
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from perceiver_policy.core.decoder import Decoder
from perceiver_policy.core.latents import Latents
from perceiver_policy.core.positions import LearnedPositions
from perceiver_policy.family.autoregressive import PerceiverAR
from perceiver_policy.family.hierarchical import HierarchicalPerceiver
from perceiver_policy.family.modalities import ByteTokens, Conv1x1, ConvStem, Patches
from perceiver_policy.family.perceiver import Grid, Perceiver, Task
from perceiver_policy.family.resampler import Resampler

Model = TypeVar("Model", bound=nn.Module)

_CUT = 0.8796256610342398
"""The standard deviation of a standard normal distribution cut at two deviations."""


@torch.no_grad()
def initialize(model: Model) -> Model:
    """Draws every parameter of a model of this family anew, in place, as the original code does; returns the model.

    A Resampler's are those of the public implementations (latents and embeddings of deviation 1).
    """
    for module in reversed(list(model.modules())):  # parts before what they are a part of, which knows better
        if isinstance(module, nn.Linear):
            _cut(module.weight, 1 / _CUT / math.sqrt(module.in_features))
            _zero(module.bias)
        elif isinstance(module, nn.LayerNorm | nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, Latents):
            _cut(module.value, 0.02)
        elif isinstance(module, LearnedPositions):
            _cut(module.table, 0.02)
            _default(module.projection)
        elif isinstance(module, ByteTokens):
            _cut(module.embedding.weight, 1.0)
            _cut(module.positions.weight, 0.02)
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
        elif isinstance(module, HierarchicalPerceiver):
            _hierarchical(module)
        elif isinstance(module, PerceiverAR):
            _autoregressive(module)
        elif isinstance(module, Resampler):
            _resampler(module)
    return model


def _task(task: Task) -> None:
    if task.outputs is not None:
        for layer in task.outputs.modules():
            _default(layer)
    if isinstance(task.outputs, Grid) and task.decoder.final is not None:
        _zero(task.decoder.final.weight)


def _hierarchical(model: HierarchicalPerceiver) -> None:
    for module in model.modules():
        if isinstance(module, Latents):
            _cut(module.value, 1 / _CUT / math.sqrt(module.count))
        elif isinstance(module, LearnedPositions):
            _cut(module.table, 1 / _CUT / math.sqrt(len(module.table)))
    for layer in model.unembed.values():
        _zero(cast(nn.Linear, layer).weight)


def _autoregressive(model: PerceiverAR) -> None:
    # The original has no tied output; with one, embeddings of deviation 1 make logits of that of sqrt(width).
    _cut(model.embedding.weight, 1.0 if model.output is not None else 0.02)
    for table in model.position_tables:
        _cut(cast(Tensor, table.weight), 1.0)
    _zero(None if model.output is None else model.output.weight)
    _zero(model.output_bias)
    model.reset_parameters()


def _resampler(model: Resampler) -> None:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.reset_parameters()
        elif isinstance(module, Latents):
            nn.init.normal_(module.value)


def _default(layer: nn.Module | None) -> None:
    if isinstance(layer, nn.Linear | nn.Conv2d):
        _cut(layer.weight, 1 / math.sqrt(layer.weight[0].numel()))
        _zero(layer.bias)


def _cut(value: Tensor, deviation: float) -> None:
    nn.init.trunc_normal_(value, std=deviation, a=-2 * deviation, b=2 * deviation)


def _zero(value: Tensor | None) -> None:
    if value is not None:
        nn.init.zeros_(value)
