"""Cheap tricks against a computer player, through the raw interface: what no opponent worth the name falls for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from envs.standin.players.roster import interface_for_player, make_player
from envs.standin.rules import catalog as c
from envs.standin.vector_env import StandinVectorEnv, make

FUNCTIONS = (
    "no_op", "Attack_pt", "Build_SupplyDepot_pt", "Build_Barracks_pt", "Train_Marine_quick", "Train_SCV_quick",
    "Harvest_Gather_unit",
)  # fmt: skip
NO_OP, ATTACK, DEPOT, BARRACKS, MARINE, SCV, GATHER = range(len(FUNCTIONS))
COLUMNS = ("unit_type", "alliance", "x", "y", "order", "build_progress", "queue")


class Raw:
    """What the player sees in each of several games, and what it says."""

    def __init__(self, env: StandinVectorEnv, observation: dict[str, Any]) -> None:
        self.env, self.said = env, {n: np.zeros(s.shape, np.int64) for n, s in env.action_space.spaces.items()}  # type: ignore[union-attr]
        self.features, self.there = observation["units"]["features"], observation["units"]["mask"] > 0
        self.loop, self.minerals = observation["player"].T
        home = self.are(c.COMMAND_CENTER).argmax(1)
        rows = np.arange(len(home))
        self.x, self.y = self.features[rows, home, 2] * 64, 64 - self.features[rows, home, 3] * 64

    def column(self, name: str) -> Any:
        return self.features[..., COLUMNS.index(name)]

    def are(self, kind: int) -> Any:
        return self.there & (self.column("alliance") == 1) & (self.column("unit_type") == kind)

    def say(self, game: int, function: int, units: Any, x: float = 0.0, y: float = 0.0) -> None:
        if not units.any():
            return
        self.said["function"][game], self.said["unit_tags"][game] = function, units
        x, y = min(max(x, 3.5), 60.5), min(max(y, 3.5), 60.5)
        self.said["world"][game] = int(63 - int(y)) * 64 + int(x)


def rush(see: Raw, rng: np.random.Generator) -> None:
    """All workers attack from the first loop; those that have nothing left to do look around."""
    idle = see.are(c.SCV) & (see.column("order") != 2)
    for k in range(len(see.loop)):
        x, y = 64 - see.x[k], 64 - see.y[k]
        if see.loop[k] > 600:
            x, y = x + rng.uniform(-6, 6), y + rng.uniform(-6, 6)
        see.say(k, ATTACK, idle[k], x, y)


def hide(see: Raw, rng: np.random.Generator) -> None:
    """A depot in a far corner, before all workers attack."""
    for k in range(len(see.loop)):
        if see.loop[k] < 1200 and see.minerals[k] >= 100:
            x, y = ((6, 58), (58, 6))[int(see.loop[k]) // 32 % 2]
            see.say(k, DEPOT, see.are(c.SCV)[k], x, y)
    if (see.loop >= 1200).any():
        rush(see, rng)


def one_by_one(see: Raw, rng: np.random.Generator) -> None:
    """A plain economy, and every marine sent as soon as it is there."""
    for k in range(len(see.loop)):
        workers, idle = see.are(c.SCV)[k], see.are(c.SCV)[k] & (see.column("order")[k] == 0)
        barracks, depots = see.are(c.BARRACKS)[k], see.are(c.SUPPLY_DEPOT)[k]
        built = see.column("build_progress")[k] >= 1
        free = see.column("queue")[k] == 0
        marines = see.are(c.MARINE)[k] & (see.column("order")[k] == 0)
        inward = 1 if see.x[k] < 32 else -1
        patches = np.flatnonzero(see.there[k] & (see.column("unit_type")[k] == c.MINERAL_FIELD))
        turn = int(see.loop[k]) // 16
        if marines.any():
            see.say(k, ATTACK, marines, 64 - see.x[k], 64 - see.y[k])
        elif idle.any() and len(patches):
            near = np.abs(see.features[k, patches, 2] * 64 - see.x[k])
            see.say(k, GATHER, idle)
            see.said["target_unit_tag"][k] = patches[near.argmin()]
        elif turn % 4 == 0 and see.minerals[k] >= 100 and depots.sum() * 3 < barracks.sum() + 1 + turn // 60:
            dx, dy = rng.integers(-4, 4), rng.integers(6, 14)
            see.say(k, DEPOT, workers, see.x[k] + inward * dx, see.y[k] + inward * dy)
        elif turn % 4 == 1 and see.minerals[k] >= 150 and barracks.sum() < 4 and (depots & built).any():
            dx, dy = rng.integers(6, 16), rng.integers(-6, 8)
            see.say(k, BARRACKS, workers, see.x[k] + inward * dx, see.y[k] + inward * dy)
        elif workers.sum() < 16 and (see.are(c.COMMAND_CENTER)[k] & free).any():
            see.say(k, SCV, see.are(c.COMMAND_CENTER)[k])
        elif (barracks & built & free).any():
            see.say(k, MARINE, barracks & built & free)


TRICKS: dict[str, Callable[[Raw, np.random.Generator], None]] = {"rush": rush, "hide": hide, "one by one": one_by_one}


def outcomes(player: str, opponent: str, games: int, seed: int = 5) -> list[int]:
    """The outcomes of whole games of a trick, or of random play, against a computer player."""
    rng = np.random.default_rng(seed)
    if player in TRICKS:
        env = make(
            "Simple64", games, opponent=opponent, style="raw", functions=FUNCTIONS, max_units=250, minimap=64,
            minimap_planes=(), step_mul=16, unit_features=COLUMNS, numbers=("game_loop", "minerals"),
        )  # fmt: skip
    else:
        face = interface_for_player(player, "Simple64")
        env = make("Simple64", games, opponent=opponent, interface=face)
        choose = make_player(player, "Simple64", face)
    observation, _ = env.reset(seed=seed)
    ended: list[int | None] = [None] * games
    while None in ended:
        if player in TRICKS:
            see = Raw(env, observation)
            TRICKS[player](see, rng)
            said = see.said
        else:
            said = choose(observation)
        observation, _, terminated, truncated, info = env.step(said)
        for i in np.flatnonzero(terminated | truncated):
            if ended[i] is None:
                ended[i] = int(info["final_info"]["outcome"][i])
    return [outcome for outcome in ended if outcome is not None]
