"""What hand-written players share: an observation read by name, an action written by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.spaces import ACTION_MASK
from envs.starcraft.interface import UNIT_TYPES, Interface

Observation = dict[str, Any]
Action = dict[str, npt.NDArray[Any]]
Player = Callable[[Observation], Action]
Floats = npt.NDArray[np.floating[Any]]

KINDS = {name: i + 1 for i, name in enumerate(UNIT_TYPES.values())}
"""What the column ``unit_type`` holds for each kind of unit."""


class Sight:
    """Reads an observation batch of an :class:`Interface` and writes actions for it."""

    def __init__(self, interface: Interface, functions: tuple[str, ...], columns: tuple[str, ...]) -> None:
        missing = [f for f in functions if f not in interface.functions]
        missing += [c for c in columns if not interface.max_units or c not in interface.unit_features]
        if missing:
            raise ValueError(f"this player needs an interface with {', '.join(missing)}")
        self.interface = interface
        self.column = {name: i for i, name in enumerate(interface.unit_features)}
        self.function = {name: i for i, name in enumerate(interface.functions)}
        self.arguments = dict(interface.action_space.spaces)

    def units(self, observation: Observation, name: str) -> Floats:
        """One column of the units, [B, U]."""
        return np.asarray(observation["units"]["features"][..., self.column[name]])

    def are(self, observation: Observation, kind: str) -> npt.NDArray[np.bool_]:
        """Which units are of a kind, [B, U]."""
        return (self.units(observation, "unit_type") == KINDS[kind]) & (observation["units"]["mask"] > 0)

    def can(self, observation: Observation, function: str) -> npt.NDArray[np.bool_]:
        """In which games a function is available, [B]."""
        return np.asarray(observation[ACTION_MASK]["function"][:, self.function[function]] > 0)

    def nothing(self, games: int) -> Action:
        """The choice of doing nothing, for a batch."""
        return {name: np.zeros((games, *(space.shape or ())), np.int64) for name, space in self.arguments.items()}

    def cell(self, x: Any, y: Any) -> npt.NDArray[np.int64]:
        """The screen cell that holds a place in the frame of the screen."""
        width, height = self.interface.screen_size
        column = np.clip(np.asarray(x * width).astype(np.int64), 0, width - 1)
        row = np.clip(np.asarray(y * height).astype(np.int64), 0, height - 1)
        return row * width + column


def pick(choose: npt.NDArray[np.bool_], values: Floats) -> Floats:
    """Of each game, the value at its first chosen unit."""
    return np.take_along_axis(values, choose.argmax(1)[:, None], 1)[:, 0]
