"""What is not finite is named before anything learns from it."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor

from agents.acting.rollout import Trajectory
from agents.errors import UserError
from agents.learning.gradient import total
from envs.spaces import Units, array_leaves, at, path_of


def check_data(trajectory: Trajectory, space: spaces.Space[Any]) -> None:
    """Raises UserError, on every learner, where a reward or an observation of ``space`` is not finite.

    Gymnasium's environments are looked at as they are stepped (`envs.observations`); this is for all others.
    """
    parts = {"the reward": trajectory.reward}
    for keys, part in array_leaves(space):
        value = at(trajectory.observation, keys)
        if isinstance(part, Units):
            # what a row without a unit holds means nothing
            value = value["features"].masked_fill(value["mask"][..., None] == 0, 0)
        if value.is_floating_point():
            parts[f"observation {path_of(space, keys)!r}" if keys else "the observation"] = value
    spoiled = torch.stack([(~value.isfinite()).any() for value in parts.values()]).float()
    for (name, value), found in zip(parts.items(), total(spoiled).tolist(), strict=True):
        if found:
            raise UserError(
                f"{name} is not finite{_where(value)}: training cannot go on. Nothing was learned from it, and nothing "
                "of it is in a checkpoint."
            )


def _where(value: Tensor) -> str:
    found = (~value.isfinite()).nonzero()
    if not len(found):
        return " (at another learner)"
    step, game, *_ = found[0].tolist()
    return f" ({float(value[tuple(found[0].tolist())])} in step {step} of the unroll, game {game + 1})"
