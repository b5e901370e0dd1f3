"""The options of a :class:`~perceiver_policy.policy.policy.PerceiverPolicy`. Importing this does not import torch."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Sharing = Literal["none", "after_first", "all"]


class Picture(BaseModel):
    """How a picture is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    patch: int = Field(ge=1)


class Categories(BaseModel):
    """How an array is read whose numbers are kinds of something: one token, or a picture in patches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    categories: int = Field(ge=2, le=1024)
    """How many kinds there are; what is beyond is read as the last."""
    patch: int | None = Field(None, ge=1)
    scaled: bool = False
    """Whether each kind, in its place, counts by its running deviation: of many that hardly change a few that matter
    stand out."""


class PolicyConfig(BaseModel):
    """Size and shape of the network."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    network: str = "perceiver"
    """What makes latents of the tokens: the perceiver, or a network of your own."""
    network_options: dict[str, Any] = Field(default_factory=dict)
    """What a network of your own is told."""
    token_width: int = Field(32, ge=1)
    """Channels of an input token and of an output query."""
    latents: int = Field(8, ge=1)
    """Number of latents."""
    latent_width: int = Field(32, ge=1)
    """Channels of a latent."""
    cross_attends: int = Field(1, ge=1)
    """How often the latents read the input; of a memory's window the first of several reads the present alone."""
    share_cross_attends: Sharing = "after_first"
    """Which cross-attends use the same weights."""
    self_attends: int = Field(1, ge=0)
    """Self-attention layers of the latents in a block; one block follows every cross-attend."""
    share_blocks: Sharing = "all"
    """Which blocks use the same weights."""
    cross_heads: int = Field(1, ge=1)
    """Heads of the encoder's cross-attends; must divide token_width."""
    heads: int = Field(4, ge=1)
    """Heads of the latents' self-attention and of the decoder; must divide latent_width."""
    widening: int = Field(1, ge=1)
    """Hidden channels of an MLP as a multiple of its width."""
    position_bands: int = Field(4, ge=0)
    """Frequency bands of the Fourier encoding of positions, per axis."""
    initialization: Literal["torch", "lecun"] = "torch"
    """How the encoder's linear layers begin: as PyTorch's do, or as the papers' (weights of variance 1 / inputs, LeCun
    et al. 1998, and no biases): by PyTorch's each layer leaves a third of a signal's variance, beside its biases."""
    neighborhood: int = Field(3, ge=1)
    """Side of the square of cells that a map's cell is embedded from (odd), as in the paper's optical flow inputs."""
    decode_units: bool | None = None
    """Whether output queries read the units' tokens beside the latents; none: where each unit is given orders. The
    value's query reads the latents alone."""
    distances: bool = False
    """Whether units' tokens tell what is how near around them, and orders weigh how far away is whom they point to."""
    scatter: bool = False
    """Whether a cell that an action may choose is known by who stands in it, too: the units' tokens are added there."""
    patch: int = Field(2, ge=1)
    """Side of the square of a map's cells that are merged into one token."""
    read: dict[str, Literal["numbers", "rows", "picture", "ignore"] | Picture | Categories] = Field(
        default_factory=dict
    )
    """How parts of the observation are read, by their paths (of an observation without parts ""): numbers (one token),
    rows (a token a row), picture, {patch: side} (a picture in patches of so many cells), {categories: count} (one token
    of numbers that are kinds of something, one-hot; with a patch a picture of such; with scaled: true by their running
    deviations), or ignore; else as suits."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What layers compute in (automatic mixed precision); parameters, logits and losses are float32."""
    deviation: Literal["independent", "state"] = "independent"
    """Of continuous actions: learned numbers, or what the observation makes of them."""
    bounds: Literal["clip", "squash"] = "clip"
    """How continuous actions stay within their bounds: cut where they are handed over, or by a bijection (tanh; where
    there is one bound, softplus)."""
    noise_correlation: float = Field(0.0, ge=0, lt=1)
    """Of continuous actions: how alike the noise of successive steps is while it explores, 0 for not at all; pushes
    that last get a swing going where one-step noise averages out."""
    memory: str = "none"
    """What is carried from step to step within an episode: none (nothing), latents (a gated vector a latent), lstm (an
    LSTM's state), window (the latest observations' tokens), or a memory of your own."""
    window: int = Field(16, ge=2)
    """Observations that a window holds, the present one among them."""

    @model_validator(mode="after")
    def _check(self) -> "PolicyConfig":
        for width, heads in (("token_width", "cross_heads"), ("latent_width", "heads")):
            if getattr(self, width) % getattr(self, heads):
                raise ValueError(
                    f"{width} ({getattr(self, width)}) must be a multiple of {heads} ({getattr(self, heads)})"
                )
        if self.neighborhood % 2 == 0:
            raise ValueError(f"neighborhood must be odd, got {self.neighborhood}")
        return self
