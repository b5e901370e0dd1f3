"""What an algorithm's update finds in the learner."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch

from agents.acting.rollout import Trajectory
from agents.config import Learning
from agents.graphs import Graphs
from agents.learning.returns import ReturnScale
from perceiver_policy.policy.policy import PerceiverPolicy


class Algorithm(ABC):
    """Base class of an algorithm of one's own: a name for its options and its update, never an object.

    Raises TypeError where a class derived from it has no update.
    """

    Options: type[Learning] = Learning
    """Its options, a subclass of :class:`~agents.config.Learning`: an experiment's ``algorithm_options``."""
    on_policy: bool = True
    """Whether its data must be the newest policy's: with workers, these then wait for each update."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.update is Algorithm.update:
            raise TypeError(f"the algorithm {cls.__name__} lacks its update(learner, trajectory), a static method")

    @staticmethod
    @abstractmethod
    def update(learner: LearnerState, trajectory: Trajectory) -> dict[str, float]:
        """Learn from a trajectory, and return what was measured on the way."""


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
    graphs: Graphs
    """What a minibatch's step is called by."""
