"""Hand-written players: baselines that see and act through the interface alone, a whole batch of games at a time.

``random`` takes any available function with any arguments. ``scripted`` is the plain policy that one would write first
(where the map's script has a demo mode, the same idea). ``strong`` is the best one here, where there is a better one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.spaces import ACTION_MASK
from envs.starcraft.interface import ARGUMENTS, FUNCTIONS, UNIT_TYPES, Interface
from envs.starcraft.maps import interface_for, mini_game

Observation = dict[str, Any]
Choice = dict[str, npt.NDArray[Any]]
Player = Callable[[Observation], Choice]
Floats = npt.NDArray[np.floating[Any]]

PLAYERS = ("random", "scripted", "strong")

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
        self.arguments = dict(interface.action_space.spaces)

    def units(self, observation: Observation, name: str) -> Floats:
        """One column of the units, [B, U]."""
        return np.asarray(observation["units"]["features"][..., self.column[name]])

    def are(self, observation: Observation, kind: str) -> npt.NDArray[np.bool_]:
        """Which units are of a kind, [B, U]."""
        return (self.units(observation, "unit_type") == _KINDS[kind]) & (observation["units"]["mask"] > 0)

    def can(self, observation: Observation, function: str) -> npt.NDArray[np.bool_]:
        """In which games a function is available, [B]."""
        return np.asarray(observation[ACTION_MASK]["function"][:, self.function[function]] > 0)

    def nothing(self, games: int) -> Choice:
        """The choice of doing nothing, for a batch."""
        return {name: np.zeros((games, *(space.shape or ())), np.int64) for name, space in self.arguments.items()}

    def cell(self, x: Any, y: Any) -> npt.NDArray[np.int64]:
        """The screen cell that holds a place in the frame of the screen."""
        size = self.interface.screen
        column = np.clip(np.asarray(x * size).astype(np.int64), 0, size - 1)
        row = np.clip(np.asarray(y * size).astype(np.int64), 0, size - 1)
        return row * size + column


def pick(choose: npt.NDArray[np.bool_], values: Floats) -> Floats:
    """Of each game, the value at its first chosen unit."""
    return np.take_along_axis(values, choose.argmax(1)[:, None], 1)[:, 0]


def random_player(interface: Interface, seed: int = 0) -> Player:
    """Any available function, each as likely as another, with any arguments."""
    rng = np.random.default_rng(seed)
    space = interface.action_space
    sizes = {name: (2 if part.shape else getattr(part, "n", 2), part.shape or ()) for name, part in space.items()}

    def play(observation: Observation) -> Choice:
        mask = observation[ACTION_MASK]["function"]
        choice: Choice = {"function": (rng.random(mask.shape) * mask).argmax(1)}
        for name in space.arguments:
            n, shape = sizes[name]
            choice[name] = rng.integers(0, n, (len(mask), *shape))
        return choice

    return play


def interface_for_player(name: str, scenario: str) -> Interface:
    """The interface that a hand-written player plays best through.

    For ``random`` it is the published one: all functions and arguments, clicks on 64 x 64 cells. The others click as
    finely, and see what the map's own interface shows but for the screen's planes, and all units.
    """
    if name == "random":
        arguments = tuple(a for a, n in ARGUMENTS.items() if n)
        return interface_for(
            scenario, screen=64, minimap=64, screen_planes=(), functions=tuple(FUNCTIONS), arguments=arguments
        )
    chosen = mini_game(scenario).interface.get("arguments", ())
    queued = ("queued",) if scenario == "CollectMineralShards" else ()
    return interface_for(
        scenario,
        max_units=mini_game(scenario).capacity,
        screen=64,
        minimap=32,
        screen_planes=(),
        arguments=(*chosen, *queued),
    )


def make_player(name: str, scenario: str, interface: Interface) -> Player:
    """The player ``name`` for a map: a function from a batch of observations to a batch of choices.

    A player remembers what it is about in each game of the batch, so each batch needs one of its own.
    """
    from envs.standin import builders, fighters

    if mini_game(scenario).melee:
        scenario = "Melee"
    known: dict[tuple[str, str], Callable[[Interface], Player]] = {
        ("MoveToBeacon", "scripted"): fighters.move_to_beacon,
        ("CollectMineralShards", "scripted"): fighters.shards_together,
        ("CollectMineralShards", "strong"): fighters.shards_apart,
        ("DefeatRoaches", "scripted"): fighters.focus_fire,
        ("DefeatZerglingsAndBanelings", "scripted"): lambda face: fighters.focus_fire(face, "Baneling"),
        ("DefeatZerglingsAndBanelings", "strong"): fighters.bait,
        ("FindAndDefeatZerglings", "scripted"): fighters.search_and_attack,
        ("CollectMineralsAndGas", "scripted"): builders.mine,
        ("CollectMineralsAndGas", "strong"): builders.mine_and_expand,
        ("BuildMarines", "scripted"): builders.barracks_first,
        ("BuildMarines", "strong"): builders.build_marines,
        ("Melee", "scripted"): builders.attack,
    }
    if name == "random":
        return random_player(interface)
    if name not in PLAYERS:
        raise ValueError(f"unknown player {name!r}; known: {', '.join(PLAYERS)}")
    # Where there is no better player than the scripted one, that is the strong one.
    return known.get((scenario, name), known[scenario, "scripted"])(interface)
