"""Where a building fits."""

from __future__ import annotations

import math
from typing import Any

from envs.standin.rules.catalog import GEYSER, MINERAL_FIELD, REFINERY, SMALL_MINERAL_FIELD
from envs.standin.rules.compiled import rule
from envs.standin.rules.terrain.levels import is_level
from envs.standin.rules.world import is_town_hall

RESOURCE_MARGIN = 3
"""Cells between a command center's footprint and a resource's."""


@rule
def snap(value: float, cells: int) -> float:
    """The nearest center that puts a footprint of that many cells onto the grid."""
    if cells % 2 == 0:
        return math.floor(value + 0.5)
    return math.floor(value) + 0.5


@rule
def is_resource(kind: int) -> bool:
    """Does a command center keep its distance from it?"""
    return kind in (MINERAL_FIELD, SMALL_MINERAL_FIELD, GEYSER, REFINERY)


@rule
def fits(g: Any, us: Any, ts: Any, kind: int, x: float, y: float) -> bool:
    """Can a building's center be there? A refinery's must be a geyser's that has none yet."""
    t = ts[kind]
    half_w, half_h = 0.5 * t.plot_w, 0.5 * t.plot_h
    if x - half_w < g.left or x + half_w > g.right or y - half_h < g.bottom or y + half_h > g.top_y:
        return False
    if not is_level(g, x, y, half_w, half_h):
        return False
    for i in range(g.top):
        o = us[i]
        to = ts[o.kind]
        if o.kind == 0 or to.plot_w == 0:
            continue
        if kind == REFINERY and o.kind == GEYSER:
            continue
        margin = RESOURCE_MARGIN if is_town_hall(kind) and is_resource(o.kind) else 0
        near_x = half_w + 0.5 * to.plot_w + margin - 0.01
        near_y = half_h + 0.5 * to.plot_h + margin - 0.01
        if abs(o.x - x) < near_x and abs(o.y - y) < near_y:
            return False
    return kind != REFINERY or geyser_at(g, us, x, y) >= 0


@rule
def geyser_at(g: Any, us: Any, x: float, y: float) -> int:
    """The free geyser whose footprint holds the point; -1 if there is none."""
    for i in range(g.top):
        o = us[i]
        if o.kind == GEYSER and abs(o.x - x) <= 1.5 and abs(o.y - y) <= 1.5:
            return i
    return -1
