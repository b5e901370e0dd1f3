"""Hand-written players: baselines that see and act through the interface alone, a whole batch of games at a time.

``random`` takes any available function with any arguments. ``scripted`` is the plain policy that one would write first
(where the map's script has a demo mode, the same idea). ``strong`` is the best one here, where there is a better one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from envs.spaces import ACTION_MASK
from envs.standin.players import builders, commanders, economists, fighters, generals
from envs.standin.players.sight import Action, Observation, Player
from envs.starcraft.interface import ARGUMENTS, Interface
from envs.starcraft.maps import CLIFFS, interface_for, mini_game

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
            scenario, screen=64, minimap=64, screen_planes=(), functions=("minigames",), arguments=arguments
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


_Maker = Callable[[Interface], Player]

_SCRIPTED: Mapping[str, _Maker] = {
    "MoveToBeacon": fighters.move_to_beacon,
    "CollectMineralShards": fighters.shards_together,
    "DefeatRoaches": fighters.focus_fire,
    "DefeatZerglingsAndBanelings": lambda face: fighters.focus_fire(face, "Baneling"),
    "FindAndDefeatZerglings": fighters.search_and_attack,
    "CollectMineralsAndGas": builders.mine,
    "BuildMarines": builders.barracks_first,
    "Melee": builders.attack,
}
_STRONG: Mapping[str, _Maker] = {
    "CollectMineralShards": fighters.shards_apart,
    "DefeatZerglingsAndBanelings": fighters.bait,
    "FindAndDefeatZerglings": fighters.go_round,
    "CollectMineralsAndGas": builders.mine_and_expand,
    "BuildMarines": builders.build_marines,
}
_ORDERS: Mapping[tuple[str, str], _Maker] = {
    ("MoveToBeacon", "scripted"): commanders.move_to_beacon,
    ("CollectMineralShards", "scripted"): commanders.collect_shards,
    ("DefeatRoaches", "scripted"): commanders.focus_fire,
    ("DefeatZerglingsAndBanelings", "scripted"): lambda face: commanders.focus_fire(face, "Baneling"),
    ("DefeatZerglingsAndBanelings", "strong"): commanders.bait,
    ("FindAndDefeatZerglings", "scripted"): lambda face: commanders.search(face, walking=False),
    ("FindAndDefeatZerglings", "strong"): commanders.search,
    ("CollectMineralsAndGas", "scripted"): economists.mine_and_expand,
    ("BuildMarines", "scripted"): economists.build_marines,
    ("Melee", "scripted"): generals.attack,
}
_RAW: Mapping[str, _Maker] = {"CollectMineralShards": fighters.shards_by_command}


def has_strong_player(scenario: str, style: str = "feature") -> bool:
    """Whether somebody has written a better player than the scripted one, for that style."""
    return (scenario, "strong") in _ORDERS if style == "orders" else scenario in _STRONG


def make_player(name: str, scenario: str, interface: Interface) -> Player:
    """The player ``name`` for a map: a function from a batch of observations to a batch of actions.

    A player remembers what it is about in each game of the batch, so each batch needs one of its own.
    """
    if name == "random":
        return random_player(interface)
    if name not in PLAYERS:
        raise ValueError(f"unknown player {name!r}; known: {', '.join(PLAYERS)}")
    if scenario == CLIFFS:
        raise ValueError(f"nobody has written a {name} player of {scenario}; there is random play")
    kind = "Melee" if mini_game(scenario).melee else scenario
    if interface.style == "orders":
        maker = _ORDERS.get((kind, name), _ORDERS.get((kind, "scripted")))
        if maker is None:
            raise ValueError(f"nobody has written a {name} player of {scenario} for style orders; there is random play")
        return maker(interface)
    strong = _STRONG.get(kind) if name == "strong" else None
    if interface.style == "raw":
        if kind not in _RAW:
            raise ValueError(f"nobody has written a {name} player of {scenario} for style raw; there is random play")
        return _RAW[kind](interface)
    # Where there is no better player than the scripted one, that is the strong one.
    return (strong or _SCRIPTED[kind])(interface)
