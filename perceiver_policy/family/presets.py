"""The published models: what each is made of, and its configuration by name.

Numbers: the Perceiver IO paper (arXiv 2107.14795, appendices A to F), the first Perceiver's (arXiv 2103.03206), and,
for the six checkpoints, the configuration they were published with. `published(name)` builds with random weights;
`pretrained` loads weights. All but the language model, which learns slower so, start as
the original code does (`initialize`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.nn import functional as F

from perceiver_policy.core.attention import Activation, OutputLinear
from perceiver_policy.core.decoder import Decoder
from perceiver_policy.core.encoder import Encoder
from perceiver_policy.core.positions import FourierPositions, LearnedPositions
from perceiver_policy.family.autoregressive import PerceiverAR
from perceiver_policy.family.initialization import initialize
from perceiver_policy.family.modalities import (
    AudioPatches,
    ByteTokens,
    Conv1x1,
    ConvStem,
    GridTokens,
    Modalities,
    OneVector,
    Patches,
    Pixels,
    SetTokens,
)
from perceiver_policy.family.perceiver import (
    AudioAnswers,
    Grid,
    MaskedLanguageModel,
    ModalityTask,
    OneAnswer,
    Perceiver,
    PerceiverIO,
    Task,
)
from perceiver_policy.family.queries import InputQueries, ModalityQueries, PositionQueries, learned_queries

Options = Mapping[str, Any]
"""Keyword arguments of `Encoder` other than its input width. Its `activation` is the preset's unless given here."""


def masked_language_model(
    encoder: Options,
    *,
    width: int = 768,
    length: int = 2048,
    vocabulary: int = 262,
    qk_width: int = 256,
    heads: int = 8,
    per_input: bool = False,
    activation: Activation = F.gelu,
) -> MaskedLanguageModel:
    """Bytes in, logits out: one learned query a position, tied output embeddings (paper, appendix F).

    `per_input` answers for as many positions as the input has; the published model answers for all `length`.
    """
    return MaskedLanguageModel(
        Encoder(width, **{"activation": activation, **encoder}),
        Decoder(
            width,
            encoder["latent_width"],
            heads=heads,
            qk_width=qk_width,
            v_width=width,
            residual=False,
            activation=activation,
        ),
        ByteTokens(width, length=length, vocabulary=vocabulary),
        PositionQueries(LearnedPositions(length, width), per_input=per_input),
    )


def classifier(
    inputs: nn.Module,
    encoder: Options,
    classes: int,
    *,
    decoder_qk_width: int | None = None,
    residual: bool = True,
    activation: Activation = F.gelu,
) -> PerceiverIO:
    """Any inputs, one learned query as wide as the latents, with the query `residual` or without, one linear layer to
    `[B, classes]`. `inputs` stay as they are; the rest is drawn."""
    width = encoder["latent_width"]
    decoder = Decoder(
        width, width, qk_width=decoder_qk_width, residual=residual, output_width=classes, activation=activation
    )
    input_width: Any = inputs.width
    task = Task(decoder, learned_queries(1, width), OneAnswer())
    reader = Encoder(input_width, **{"activation": activation, **encoder})
    return PerceiverIO(initialize(reader), initialize(task), inputs=inputs)


def learned_position_pixels(size: int = 224, width: int = 256) -> GridTokens:
    """Pixels by a learned map, with learned positions projected once more: nothing tells it that an image is
    two-dimensional."""
    return GridTokens(Conv1x1(3, width), LearnedPositions((size, size), width, project_to=width))


def fourier_pixels(size: int = 224, bands: int = 64, max_resolution: tuple[int, int] = (224, 224)) -> GridTokens:
    """Raw pixels with 2-D Fourier features."""
    return GridTokens(Pixels(3), FourierPositions((size, size), bands, max_resolution=max_resolution))


def conv_pixels(size: int = 224, *, padding: Any = "same", bands: int = 64) -> GridTokens:
    """A convolution and max-pooling, then 2-D Fourier features at a maximal resolution of 56."""
    half = (size + 1) // 2 if padding == "same" else (size - 1) // 2 + 1
    quarter = (half + 1) // 2 if padding == "same" else (half - 3) // 2 + 1
    positions = FourierPositions((quarter, quarter), bands, max_resolution=(56, 56))
    return GridTokens(ConvStem(3, 64, padding=padding), positions)


def optical_flow(
    encoder: Options,
    *,
    shape: tuple[int, int] = (368, 496),
    bands: int = 64,
    patch_channels: int = 27,
    width: int = 64,
    decoder_qk_width: int | None = None,
    activation: Activation = F.gelu,
) -> PerceiverIO:
    """Two frames `[B, 2, patch_channels, H, W]` -> flow `[B, H, W, 2]`; the queries are the input tokens (appendix H of
    the paper).

    `patch_channels` 27 is each pixel's 3x3 neighbourhood of RGB.
    """
    inputs = GridTokens(
        Patches(patch_channels, spatial=1, temporal=2, project_to=width), FourierPositions(shape, bands)
    )
    decoder = Decoder(
        inputs.width,
        encoder["latent_width"],
        qk_width=decoder_qk_width,
        residual=False,
        output_width=2,
        activation=activation,
    )
    task = Task(decoder, InputQueries(inputs.width), Grid(shape, 1 / 100))
    return initialize(PerceiverIO(Encoder(inputs.width, **{"activation": activation, **encoder}), task, inputs=inputs))


def multimodal_autoencoder(
    encoder: Options,
    *,
    frames: int = 16,
    size: int = 224,
    samples_per_frame: int = 1920,
    samples_per_patch: int = 16,
    labels: int = 700,
    audio_bands: int = 192,
    video_bands: int = 32,
    video_patch: int = 4,
    label_width: int = 1024,
    output_width: int = 512,
    max_resolution: tuple[int, int, int] | None = None,
    video_shape: tuple[int, int, int] | None = None,
    decoder_qk_width: int | None = None,
    activation: Activation = F.gelu,
) -> PerceiverIO:
    """Video, its sound and a label, in and out (appendix G of the paper): a dict by modality in, a dict by modality
    out.

    In: `image` `[B, frames, 3, size, size]`, `audio` `[B, samples, 1]`, `label` `[B, labels]` (always hidden behind a
    mask token). Out: `image` `[B, frames * size * size, 3]` (or the asked points), `audio` `[B, samples]`, `label` `[B,
    labels]`. `max_resolution` of the video's positions, in and out, is by default that of its patches, as published.
    """
    samples = frames * samples_per_frame
    patches = samples // samples_per_patch
    grid = (frames, size // video_patch, size // video_patch)
    resolution = max_resolution or grid
    inputs = Modalities(
        {
            "audio": GridTokens(
                AudioPatches(samples_per_patch), FourierPositions((patches,), audio_bands, max_resolution=(samples,))
            ),
            "image": GridTokens(
                Patches(3, spatial=video_patch), FourierPositions(grid, video_bands, max_resolution=resolution)
            ),
            "label": GridTokens(OneVector(labels)),
        },
        padding=4,
        masking={"audio": 0.0, "image": 0.0, "label": 1.0},
    )
    audio = FourierPositions((patches,), audio_bands, max_resolution=(samples,), inclusive=False)
    video = FourierPositions(
        video_shape or (frames, size, size), video_bands, max_resolution=resolution, inclusive=False, cached=False
    )
    queries = ModalityQueries(
        {"audio": PositionQueries(audio), "image": PositionQueries(video), "label": learned_queries(1, label_width)}
    )
    decoder = Decoder(
        queries.width,
        encoder["latent_width"],
        qk_width=decoder_qk_width,
        residual=False,
        output_width=output_width,
        activation=activation,
    )
    outputs = {
        "audio": AudioAnswers(output_width, samples_per_patch),
        "image": OutputLinear(output_width, 3),
        "label": OneAnswer(output_width, labels),
    }
    reader = Encoder(inputs.width, **{"activation": activation, **encoder})
    return initialize(PerceiverIO(reader, ModalityTask(decoder, queries, outputs), inputs=inputs))


def entity_encoder(
    features: int = 128,
    *,
    width: int = 128,
    latents: int = 32,
    latent_width: int = 512,
    layers: int = 3,
    activation: Activation = F.gelu,
) -> PerceiverIO:
    """The StarCraft entity encoder of the Perceiver IO paper (appendix B): entities in, one embedding each out.

    Up to 512 entities, `[B, M, features]` with mask -> `[B, M, width]`. The paper gives 32 latents, 3 layers and 128
    channels for inputs and queries, and that other settings are those for ImageNet (8 heads in the latents, 1 across);
    it does not give the latents' width: 512 is the power of two that stays under the paper's count of 0.93 GFLOP.
    """
    inputs = SetTokens(features, width)
    encoder = Encoder(
        width,
        latents=latents,
        latent_width=latent_width,
        self_attends=layers,
        activation=activation,
        project_inputs=False,
    )
    decoder = Decoder(width, latent_width, qk_width=width, v_width=width, activation=activation)
    return initialize(PerceiverIO(encoder, Task(decoder, InputQueries(width)), inputs=inputs))


LANGUAGE: Options = {
    "latents": 256,
    "latent_width": 1280,
    "self_attends": 26,
    "cross_heads": 8,
    "cross_qk_width": 256,
    "cross_v_width": 1280,
    "self_qk_width": 256,
    "self_v_width": 1280,
}
IMAGENET: Options = {"latents": 512, "latent_width": 1024, "blocks": 8, "self_attends": 6, "project_inputs": False}
FLOW: Options = {"latents": 2048, "latent_width": 512, "self_attends": 24, "self_heads": 16, "project_inputs": False}
MULTIMODAL: Options = {"latents": 784, "latent_width": 512, "self_attends": 8, "project_inputs": False}

PUBLISHED_AR: dict[str, Options] = {
    "perceiver-ar-copy-32": {"length": 32, "latents": 16, "self_attends": 1, "position_rows": (33,)},
    "perceiver-ar-copy-131072": {"length": 131_072, "latents": 1024, "self_attends": 6, "position_rows": (131_073,)},
    "perceiver-ar-imagenet64": {
        "length": 12_416,
        "latents": 1024,
        "self_attends": 60,
        "positions": "learned",
        "position_rows": (66, 66, 5),
    },
    "perceiver-ar": {"length": 1024, "latents": 1024, "self_attends": 12, "positions": "rotary"},
}
"""Perceiver AR as the authors' `experiment.py` has it: copying tasks, ImageNet of 64 x 64 pixels as bytes, and what it
has where nothing else is said. All read bytes and three special tokens (padding, end, start; byte b is token 3 + b)."""


def _perceiver_ar(options: Options) -> PerceiverAR:
    settings = {"width": 1024, "heads": 16, "positions": "sinusoidal", "count_from": 1, **options}
    return PerceiverAR(259, **settings)


def _perceiver(cross_attends: int, blocks: int, activation: Activation) -> Perceiver:
    inputs = fourier_pixels()
    options = {**IMAGENET, "cross_attends": cross_attends, "blocks": blocks, "activation": activation}
    return initialize(Perceiver(Encoder(inputs.width, **options), inputs=inputs, classes=1000))


PUBLISHED: dict[str, Callable[[Activation], nn.Module]] = {
    "language-perceiver": lambda a: masked_language_model(LANGUAGE, activation=a),
    "vision-perceiver-learned": lambda a: classifier(learned_position_pixels(), IMAGENET, 1000, activation=a),
    "vision-perceiver-fourier": lambda a: classifier(fourier_pixels(), IMAGENET, 1000, activation=a),
    "vision-perceiver-conv": lambda a: classifier(conv_pixels(), IMAGENET, 1000, activation=a),
    "optical-flow-perceiver": lambda a: optical_flow(FLOW, activation=a),
    "multimodal-perceiver": lambda a: multimodal_autoencoder(MULTIMODAL, activation=a),
    "perceiver-imagenet": lambda a: _perceiver(cross_attends=8, blocks=1, activation=a),
    "perceiver-imagenet-1-cross-attend": lambda a: _perceiver(cross_attends=1, blocks=8, activation=a),
    "starcraft-entity-encoder": lambda a: entity_encoder(activation=a),
}
"""Builders by name. "perceiver-imagenet" is the first Perceiver with its 8 cross-attends; the rest is Perceiver IO. See
`PUBLISHED_AR` for Perceiver AR, `hierarchical.VARIANTS` for the Hierarchical Perceiver."""


def published(name: str, *, activation: Activation = F.gelu) -> nn.Module:
    """A published configuration with random weights. Raises ValueError for an unknown name.

    `activation` of all but Perceiver AR (which has the squared ReLU): the exact GELU, as in the PyTorch checkpoints, or
    `tanh_gelu`, as in DeepMind's own code.

    Build under `torch.device("meta")` to count parameters without allocating them.
    """
    if name in PUBLISHED_AR:
        return _perceiver_ar(PUBLISHED_AR[name])
    if name not in PUBLISHED:
        known = [*PUBLISHED, *PUBLISHED_AR]
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no published configuration {name!r}: expected one of {', '.join(known)}{hint}")
    return PUBLISHED[name](activation)
