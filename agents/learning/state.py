"""What an algorithm's update finds in the learner."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from agents.acting.rollout import Trajectory
from agents.config import Learning
from agents.learning.returns import ReturnScale
from perceiver_policy.policy.policy import PerceiverPolicy


class Algorithm:
    """Base class of an algorithm of one's own: a name for its options and its update, never an object."""

    Options: type[Learning] = Learning
    """Its options, a subclass of :class:`~agents.config.Learning`: an experiment's ``algorithm_options``."""
    on_policy: bool = True
    """Whether its data must be the newest policy's: with workers, these then wait for each update."""

    @staticmethod
    def update(learner: LearnerState, trajectory: Trajectory) -> dict[str, float]:
        """Learn from a trajectory, and return what was measured on the way."""
        raise NotImplementedError


class LearnerState(Protocol):
    """The part of :class:`~agents.learning.learner.Learner` that an update may read and change."""

    policy: PerceiverPolicy
    optimizer: torch.optim.Optimizer
    version: int
    options: Any
    """The algorithm's own group of options."""
    returns: ReturnScale
    generator: torch.Generator
    reference: PerceiverPolicy | None
