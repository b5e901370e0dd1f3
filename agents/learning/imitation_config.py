"""The options of behaviour cloning. Importing this does not import torch."""

from pydantic import BaseModel, ConfigDict, Field


class ImitationConfig(BaseModel):
    """How demonstrations are cloned."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    epochs: int = Field(10, ge=1)
    """Passes over the demonstrations."""
    minibatch: int = Field(512, ge=1)
    """Steps in a minibatch."""
    learning_rate: float = Field(2e-3, gt=0)
    """Adam's step size, falling linearly to zero."""
    value_coefficient: float = Field(0.5, ge=0)
    """Weight of the value loss."""
    gamma: float = Field(0.99, ge=0, le=1)
    """Discount of the returns that the value learns."""
    sequence: int = Field(32, ge=1)
    """Steps in a row that a policy with memory learns from; its memory is empty before them."""
    dagger_rounds: int = Field(0, ge=0)
    """How often, after a first cloning, the clone plays as evaluation_sampled says, the demonstrator says what it would
    have done, and the clone learns from all there is (DAgger, arXiv 1011.0686)."""
    dagger_episodes: int = Field(32, ge=1)
    """Episodes that the clone plays in each of these rounds."""
    rare: float = Field(0.0, ge=0, le=1)
    """How much more often steps with rare choices are learned from, in the first pass: a function that one step in n
    has is drawn n^rare times as often. It falls linearly to none in the last pass, so that probabilities are those of
    what was shown."""
    held_out: float = Field(0.1, ge=0, lt=1)
    """Share of the steps, the last episodes', that tells how well unseen ones are foretold."""
