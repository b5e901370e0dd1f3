"""FindAndDefeatZerglings: three marines in the fog, twenty-five zerglings hidden in it; when all are dead, more.

Rules: ``FindAndDefeatZerglings.SC2Map/MapScript.galaxy``; places: ``Regions`` in the same archive.
"""

from __future__ import annotations

import math
from typing import Any

from envs.standin.rules.catalog import MARINE, ZERGLING
from envs.standin.rules.compiled import rule
from envs.standin.rules.world import ENEMY, LOST, OWN, distance, spawn, uniform

MARINES, ZERGLINGS = 3, 25
APART = 5.0
"""Zerglings appear at least this far from each other, and, later ones, :data:`AWAY` from the marines."""
AWAY = 9.0
FIRST_NEAR, FIRST_FAR = 8.0, 9.0


@rule
def apart(g: Any, us: Any, kind: int, x: float, y: float, least: float) -> bool:
    """Is every unit of that kind at least so far away?"""
    near = False
    for i in range(g.top):
        near = near or (us[i].kind == kind and distance(x, y, us[i].x, us[i].y) < least)
    return not near


@rule
def start(g: Any, us: Any, ts: Any, places: Any) -> None:
    """Marines around the center, selected; one zergling near, one in the ring (3), the rest outside the disc (2)."""
    cx, cy = 0.5 * (g.left + g.right), 0.5 * (g.bottom + g.top_y)
    for i in range(1, MARINES + 1):
        angle = math.radians(120.0 * i + 90.0)
        slot = spawn(g, us, ts, MARINE, OWN, cx + math.cos(angle), cy + math.sin(angle))
        us[slot].selected = 1
    far, angle = uniform(g, FIRST_NEAR, FIRST_FAR), uniform(g, 0.0, 2 * math.pi)
    spawn(g, us, ts, ZERGLING, ENEMY, cx + far * math.cos(angle), cy + far * math.sin(angle))
    while g.enemies < ZERGLINGS:
        if g.enemies == 1:
            outer = places[3, 3]
            x, y = uniform(g, cx - outer, cx + outer), uniform(g, cy - outer, cy + outer)
            away = distance(x, y, places[3, 0], places[3, 1])
            inside = places[3, 2] <= away <= outer
        else:
            x, y = uniform(g, places[1, 0], places[1, 2]), uniform(g, places[1, 1], places[1, 3])
            inside = distance(x, y, places[2, 0], places[2, 1]) >= places[2, 2]
        if inside and apart(g, us, ZERGLING, x, y, APART):
            spawn(g, us, ts, ZERGLING, ENEMY, x, y)


@rule
def after_loop(g: Any, us: Any, ts: Any, dead: Any) -> None:
    """Points for the dead; more zerglings when all are, the end when no marine is left."""
    if dead[OWN] == 0 and dead[ENEMY] == 0:
        return
    g.score += dead[ENEMY] - dead[OWN]
    if apart(g, us, MARINE, 0.0, 0.0, 1e9):
        g.status = LOST
        return
    # A place may stop existing where the last zerglings drawn stand badly; the script would try for ever.
    tries = 0
    while g.enemies == 0 or (tries > 0 and g.enemies < ZERGLINGS):
        x, y = uniform(g, g.left, g.right), uniform(g, g.bottom, g.top_y)
        tries += 1
        if apart(g, us, MARINE, x, y, AWAY) and apart(g, us, ZERGLING, x, y, APART):
            spawn(g, us, ts, ZERGLING, ENEMY, x, y)
        if tries > 100000:
            return
