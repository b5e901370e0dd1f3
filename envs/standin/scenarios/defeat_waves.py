"""DefeatRoaches and DefeatZerglingsAndBanelings: marines against waves, one script with different numbers.

Rules: ``DefeatRoaches.SC2Map/MapScript.galaxy`` and ``DefeatZerglingsAndBanelings.SC2Map/MapScript.galaxy``. When a
wave is dead the surviving marines are made anew with the hit points they have, fresh ones join, both sides are put at
random places left and right, and the marines are selected.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.standin.rules.catalog import BANELING, MARINE, ROACH, ZERGLING
from envs.standin.rules.compiled import rule
from envs.standin.rules.world import ENEMY, LOST, OWN, random, remove, spawn, uniform

MARINES = 9
ROACHES = 4
ZERGLINGS, BANELINGS = 6, 4
ROACH_POINTS, SWARM_POINTS = 10.0, 5.0
MORE_AFTER_ROACHES, MORE_AFTER_SWARM = 5, 4


@rule
def column_offset(i: int) -> float:
    """Where in the column the i-th marine (from 1) stands: 0, 1, -1, 2, -2, ..."""
    return float((i // 2) * (1 - 2 * (i % 2)))


@rule
def wave(g: Any, us: Any, ts: Any, places: Any, roaches: bool, health: Any, marines: int) -> None:
    """Marines with the given hit points on one side, enemies on the other (rectangles 1 and 2), at random."""
    side = 1 if random(g) < 0.5 else 2
    other = 3 - side
    x, y = uniform(g, places[side, 0], places[side, 2]), uniform(g, places[side, 1], places[side, 3])
    ex, ey = uniform(g, places[other, 0], places[other, 2]), uniform(g, places[other, 1], places[other, 3])
    for i in range(marines):
        slot = spawn(g, us, ts, MARINE, OWN, x, y + column_offset(i + 1))
        if slot >= 0:
            us[slot].hp = health[i]
            us[slot].selected = 1
    if roaches:
        for i in range(ROACHES):
            spawn(g, us, ts, ROACH, ENEMY, ex, ey + 1.5 - i)
    else:
        for _ in range(ZERGLINGS):
            spawn(g, us, ts, ZERGLING, ENEMY, ex, ey)
        for _ in range(BANELINGS):
            spawn(g, us, ts, BANELING, ENEMY, ex, ey)


@rule
def start(g: Any, us: Any, ts: Any, places: Any, roaches: bool) -> None:
    """The first wave."""
    wave(g, us, ts, places, roaches, np.full(MARINES, ts[MARINE].hp, np.float32), MARINES)


@rule
def after_loop(g: Any, us: Any, ts: Any, places: Any, roaches: bool, dead: Any) -> None:
    """Points for the dead; a new wave when one is beaten, the end when no marine is left."""
    if dead[OWN] == 0 and dead[ENEMY] == 0:
        return
    g.score += dead[ENEMY] * (ROACH_POINTS if roaches else SWARM_POINTS) - dead[OWN]
    marines = 0
    for i in range(g.top):
        if us[i].kind == MARINE:
            marines += 1
    if marines == 0:
        g.status = LOST
    elif g.enemies == 0:
        more = MORE_AFTER_ROACHES if roaches else MORE_AFTER_SWARM
        health = np.full(marines + more, ts[MARINE].hp, np.float32)
        n = 0
        for i in range(us.shape[0]):
            if us[i].kind == MARINE:
                health[n] = us[i].hp
                n += 1
                remove(g, us, i)
        g.missiles = 0
        wave(g, us, ts, places, roaches, health, marines + more)
