"""Hand-written players: baselines that see and act through the interface alone, a whole batch of games at a time.

``random`` takes any available function with any arguments. ``scripted`` is the plain policy that one would write first
(where the map's script has a demo mode, the same idea). ``strong`` is the best one here, where there is a better one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from envs.spaces import ACTION_MASK
from envs.standin.players import builders, commanders, fighters
from envs.standin.players.sight import Action, Observation, Player
from envs.starcraft.interface import ARGUMENTS, FUNCTIONS, Interface
from envs.starcraft.maps import interface_for, mini_game

PLAYERS = ("random", "scripted", "strong")


def random_player(interface: Interface, seed: int = 0) -> Player:
    """Any available function, each as likely as another, with any arguments."""
    rng = np.random.default_rng(seed)
    space = interface.action_space
    sizes = {name: (2 if part.shape else getattr(part, "n", 2), part.shape or ()) for name, part in space.items()}

    def play(observation: Observation) -> Action:
        mask = observation[ACTION_MASK]["function"]
        action: Action = {"function": (rng.random(mask.shape) * mask).argmax(1)}
        for name in space.arguments:
            n, shape = sizes[name]
            action[name] = rng.integers(0, n, (len(mask), *shape))
        return action

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
    """The player ``name`` for a map: a function from a batch of observations to a batch of actions.

    A player remembers what it is about in each game of the batch, so each batch needs one of its own.
    """

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
    if interface.style == "orders":
        known = {
            ("MoveToBeacon", "scripted"): commanders.move_to_beacon,
            ("CollectMineralShards", "scripted"): commanders.collect_shards,
            ("DefeatRoaches", "scripted"): commanders.focus_fire,
            ("DefeatZerglingsAndBanelings", "scripted"): lambda face: commanders.focus_fire(face, "Baneling"),
            ("DefeatZerglingsAndBanelings", "strong"): commanders.bait,
            ("FindAndDefeatZerglings", "scripted"): commanders.search,
        }
    if name == "random":
        return random_player(interface)
    if name not in PLAYERS:
        raise ValueError(f"unknown player {name!r}; known: {', '.join(PLAYERS)}")
    # Where there is no better player than the scripted one, that is the strong one.
    return known.get((scenario, name), known[scenario, "scripted"])(interface)
