"""What an algorithm's update finds in the learner."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from agents.learning.returns import ReturnScale
from perceiver_policy.policy.policy import PerceiverPolicy


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
