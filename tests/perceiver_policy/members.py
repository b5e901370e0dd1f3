"""Every member of the family, small, with inputs: what holds for one is tested for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from perceiver_policy.core.decoder import Decoder
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.core.latents import InputLatents
from perceiver_policy.core.positions import FourierPositions, LearnedPositions
from perceiver_policy.family.autoregressive import PerceiverAR
from perceiver_policy.family.hierarchical import HierarchicalPerceiver
from perceiver_policy.family.modalities import ConvStem, GridTokens, Patches, PointTokens
from perceiver_policy.family.perceiver import MultiTask, OneAnswer, Perceiver, PerceiverIO, Task
from perceiver_policy.family.presets import (
    classifier,
    conv_pixels,
    entity_encoder,
    fourier_pixels,
    learned_position_pixels,
    masked_language_model,
    multimodal_autoencoder,
    optical_flow,
)
from perceiver_policy.family.queries import InputQueries, learned_queries
from perceiver_policy.family.resampler import Resampler

SMALL: dict[str, Any] = {"latents": 4, "latent_width": 16, "self_attends": 2, "self_heads": 2}


@dataclass
class Member:
    """`build()` makes it, `inputs()` a batch of two for it; `mask()` marks some of its inputs, where it takes a mask as
    the second argument."""

    build: Callable[[], nn.Module]
    inputs: Callable[[], Any]
    mask: Callable[[], Any] | None = None
    keywords: Callable[[], dict[str, Any]] = field(default=dict)


def some(*shape: int) -> Callable[[], Tensor]:
    """A mask: the second row lacks its last third."""

    def mask() -> Tensor:
        valid = torch.ones(shape, dtype=torch.bool)
        valid[1, shape[1] - shape[1] // 3 :] = False
        return valid

    return mask


def _multitask() -> MultiTask:
    inputs = fourier_pixels(8, bands=3)
    tasks = {
        "kind": Task(Decoder(16, 16, output_width=3), learned_queries(1, 16), OneAnswer()),
        "depth": Task(Decoder(inputs.width, 16, output_width=1), InputQueries(inputs.width)),
    }
    return MultiTask(Encoder(inputs.width, **SMALL), tasks, inputs=inputs)


def _perceiver() -> Perceiver:
    options = {**SMALL, "cross_attends": 3, "share_cross_attends": "after_first", "share_blocks": "none"}
    inputs = PointTokens(3, 4, 10.0, features=1)
    return Perceiver(Encoder(inputs.width, **options), inputs=inputs, classes=3)


def _input_latents() -> PerceiverIO:
    return PerceiverIO(Encoder(6, **(SMALL | {"latents": InputLatents(6, 4, 16)})))


def _patches() -> PerceiverIO:
    inputs = GridTokens(Patches(3, spatial=2, project_to=7), LearnedPositions((4, 4), 7), combine="add")
    return classifier(inputs, SMALL, 3)


def _stem() -> PerceiverIO:
    return classifier(GridTokens(ConvStem(3, 8), FourierPositions((4, 4), 3)), SMALL, 3)


def images(size: int, channels: int = 3) -> Callable[[], Tensor]:
    return lambda: torch.randn(2, channels, size, size)


def ids(count: int, vocabulary: int = 262) -> Callable[[], Tensor]:
    return lambda: torch.randint(6, vocabulary, (2, count))


def _hip() -> HierarchicalPerceiver:
    return HierarchicalPerceiver(
        {"x": (12, 5), "y": (6, 2)},
        groups=(4, 2, 1, 2, 4),
        self_attends=(1, 1, 2, 1, 1),
        latents=(4, 4, 6, 4, 4),
        widths=(8, 12, 16, 8, 4),
        self_heads=(2, 2, 4, 2, 1),
        embedding_width=6,
        position_width=3,
    )


MEMBERS: dict[str, Member] = {
    "Perceiver, on points": Member(_perceiver, lambda: torch.rand(2, 12, 4) * 2 - 1, some(2, 12)),
    "Perceiver IO, latents only": Member(
        lambda: PerceiverIO(Encoder(5, **SMALL)), lambda: torch.randn(2, 9, 5), some(2, 9)
    ),
    "Perceiver IO, latents from the inputs": Member(_input_latents, lambda: torch.randn(2, 9, 6), some(2, 9)),
    "Perceiver IO, queries in the call": Member(
        lambda: PerceiverIO(Encoder(5, **SMALL), Task(Decoder(6, 16, output_width=3))),
        lambda: torch.randn(2, 9, 5),
        some(2, 9),
        lambda: {"queries": torch.randn(2, 7, 6)},
    ),
    "image classifier, Fourier": Member(
        lambda: classifier(fourier_pixels(8, bands=3), SMALL, 3), images(8), some(2, 64)
    ),
    "image classifier, learned positions": Member(
        lambda: classifier(learned_position_pixels(8, 12), SMALL, 3), images(8), some(2, 64)
    ),
    "image classifier, convolution": Member(_stem, images(16), some(2, 16)),
    "image classifier, patches": Member(_patches, images(8), some(2, 16)),
    "image classifier, convolution of transformers": Member(
        lambda: classifier(conv_pixels(16, padding="transformers", bands=3), SMALL, 3), images(16)
    ),
    "masked language model": Member(
        lambda: masked_language_model(SMALL, width=12, length=10, qk_width=8, heads=2, per_input=True),
        ids(9),
        some(2, 9),
    ),
    "optical flow": Member(
        lambda: optical_flow(SMALL, shape=(6, 7), bands=3, width=5), lambda: torch.randn(2, 2, 27, 6, 7), some(2, 42)
    ),
    "multimodal autoencoder": Member(
        lambda: multimodal_autoencoder(
            SMALL,
            frames=2,
            size=8,
            samples_per_frame=32,
            samples_per_patch=16,
            labels=5,
            audio_bands=4,
            video_bands=3,
            label_width=8,
            output_width=6,
        ),
        lambda: {"image": torch.randn(2, 2, 3, 8, 8), "audio": torch.randn(2, 64, 1), "label": torch.randn(2, 5)},
        some(2, 4 + 8 + 1),
    ),
    "several tasks": Member(_multitask, images(8), some(2, 64)),
    "entity encoder": Member(
        lambda: entity_encoder(6, width=8, latents=4, latent_width=16, layers=2),
        lambda: torch.randn(2, 9, 6),
        some(2, 9),
    ),
    "Hierarchical Perceiver": Member(
        _hip,
        lambda: {"x": torch.randn(2, 12, 5), "y": torch.randn(2, 6, 2)},
        lambda: {"x": some(2, 12)(), "y": some(2, 6)()},
    ),
    "Perceiver AR": Member(
        lambda: PerceiverAR(11, length=24, latents=6, width=16, self_attends=2, heads=2),
        ids(15, 11),
        lambda: some(2, 15)().flip(1),
    ),
    "Resampler": Member(
        lambda: Resampler(16, depth=2, latents=4, heads=2, frames=4), lambda: torch.randn(2, 3, 5, 16), some(2, 3, 5)
    ),
}


def make(name: str, seed: int = 0) -> tuple[nn.Module, Any, dict[str, Any]]:
    """The member in eval mode, moved from its start so that no zero hides an error; its inputs; its keywords."""
    torch.manual_seed(seed)
    member = MEMBERS[name]
    model = member.build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model, member.inputs(), member.keywords()
