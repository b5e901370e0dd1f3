"""A base with the means for everything, and what tests of it look at."""

import numpy as np

from envs.standin import game
from envs.standin.rules import catalog as c
from tests.envs.standin.arena import Arena

FASTER = 22.4


def rich():
    """A game with a command center, and minerals and vespene to spend."""
    arena = Arena("CollectMineralsAndGas").clear()
    arena.env.games["minerals"] = 1000
    arena.env.games["vespene"] = 1000
    for name in ("upgrades", "researching"):
        arena.env.games[name] = 0
    arena.add(c.COMMAND_CENTER, 24.5, 34.5)
    return arena


def of_kind(arena, kind):
    return np.flatnonzero(arena.env.units["kind"][0] == kind).tolist()


def stocks(arena):
    return int(arena.game["minerals"]), int(arena.game["vespene"])


def learn(arena, *upgrades):
    for row in upgrades:
        game.research(arena.env.games, arena.env.units, row)


def lab(arena, kind=c.TECH_LAB):
    """A barracks with a finished add-on beside it."""
    barracks = arena.add(c.BARRACKS, 36.5, 28.5)
    arena.add(kind, 39, 28, addon=barracks, addon_tag=barracks + 1)
    for name, value in {"addon": barracks + 1, "addon_tag": barracks + 2, "addon_kind": kind}.items():
        arena.env.units[name][0, barracks] = value
    return barracks
