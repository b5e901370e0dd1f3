"""Hand-written players: baselines that see and act through the interface alone, a whole batch of games at a time.

``scripted`` is the plain policy that one would write first (where the map's script has a demo mode, the same idea).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.spaces import ACTION_MASK
from envs.starcraft.interface import UNIT_TYPES, Interface

Player = Callable[[dict[str, Any]], dict[str, npt.NDArray[Any]]]

_KINDS = {name: i + 1 for i, name in enumerate(UNIT_TYPES.values())}


class Sight:
    """Reads an observation batch of an :class:`Interface` and writes choices for it."""

    def __init__(self, interface: Interface, functions: tuple[str, ...], columns: tuple[str, ...]) -> None:
        missing = [f for f in functions if f not in interface.functions]
        missing += [c for c in columns if not interface.max_units or c not in interface.unit_features]
        if missing:
            raise ValueError(f"this player needs an interface with {', '.join(missing)}")
        self.interface = interface
        self.column = {name: i for i, name in enumerate(interface.unit_features)}
        self.function = {name: i for i, name in enumerate(interface.functions)}
        self.arguments = dict(interface.action_space.items())

    def units(self, observation: dict[str, Any], name: str) -> npt.NDArray[Any]:
        """One column of the units, [B, U]."""
        return np.asarray(observation["units"]["features"][..., self.column[name]])

    def are(self, observation: dict[str, Any], kind: str) -> npt.NDArray[np.bool_]:
        """Which units are of a kind, [B, U]."""
        return (self.units(observation, "unit_type") == _KINDS[kind]) & (observation["units"]["mask"] > 0)

    def can(self, observation: dict[str, Any], function: str) -> npt.NDArray[np.bool_]:
        """In which games a function is available, [B]."""
        return np.asarray(observation[ACTION_MASK]["function"][:, self.function[function]] > 0)

    def nothing(self, games: int) -> dict[str, npt.NDArray[Any]]:
        """The choice of doing nothing, for a batch."""
        return {name: np.zeros((games, *(space.shape or ())), np.int64) for name, space in self.arguments.items()}

    def cell(self, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The screen cell that holds a place in the frame of the screen."""
        size = self.interface.screen
        column = np.clip((x * size).astype(np.int64), 0, size - 1)
        row = np.clip((y * size).astype(np.int64), 0, size - 1)
        return row * size + column


def _first(choose: npt.NDArray[np.bool_], values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of each game, the value at its first chosen unit."""
    return np.take_along_axis(values, choose.argmax(1)[:, None], 1)[:, 0]


def move_to_beacon(interface: Interface) -> Player:
    """Select the marine; from then on go to where the beacon is."""
    see = Sight(interface, ("select_army", "Move_screen"), ("unit_type", "x", "y"))

    def play(observation: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
        beacon = see.are(observation, "Beacon_Terran")
        choice = see.nothing(len(beacon))
        go = see.can(observation, "Move_screen")
        choice["function"] = np.where(go, see.function["Move_screen"], see.function["select_army"])
        target = see.cell(_first(beacon, see.units(observation, "x")), _first(beacon, see.units(observation, "y")))
        choice["screen"] = np.where(go, target, 0)
        return choice

    return play


_PLAYERS: dict[tuple[str, str], Callable[[Interface], Player]] = {
    ("MoveToBeacon", "scripted"): move_to_beacon,
}


def make_player(name: str, scenario: str, interface: Interface) -> Player:
    """The player ``name`` for a mini-game: a function from a batch of observations to a batch of choices."""
    if (scenario, name) not in _PLAYERS:
        known = ", ".join(sorted({n for m, n in _PLAYERS if m == scenario})) or "none"
        raise ValueError(f"no player {name!r} for {scenario}; known: {known}")
    return _PLAYERS[scenario, name](interface)
