"""What can be asked about a game without changing it: who could do what, what fits where, how far it is.

The kernels look at the one game of a batch.
"""

from __future__ import annotations

from typing import Any

from envs.standin.rules.cards import BAD_PLACE, C_MOVE, COMMANDS, SUCCESS, built_by, can, means, trained_by
from envs.standin.rules.catalog import MARINE, REFINERY
from envs.standin.rules.compiled import kernel, rule
from envs.standin.rules.motion import is_clear, search
from envs.standin.rules.production.addons import OFFSET_X, OFFSET_Y
from envs.standin.rules.production.plots import fits, geyser_at, snap
from envs.standin.rules.world import distance, in_sight

WALKER = 0.375
"""The radius of the unit that a way must have room for: a marine's."""


@kernel
def abilities_of(games: Any, units: Any, ts: Any, slot: int, free: bool, able: Any) -> None:
    """Fill ``able[command]``: could the unit in that slot do it now? ``free``: whatever it costs."""
    g, us = games[0], units[0]
    able[:] = 0
    for what in range(C_MOVE, len(COMMANDS)):
        if can(g, us[slot], what) and (free or means(g, us, ts, what) == SUCCESS):
            able[what] = 1


@kernel
def placement(games: Any, units: Any, ts: Any, what: int, x: float, y: float, free: bool) -> int:
    """Can what a build command makes stand there? SUCCESS, or what is in the way."""
    g, us = games[0], units[0]
    kind = built_by(what)
    if kind == 0:  # an add-on of a building there
        kind = trained_by(what)
        x, y = x + OFFSET_X, y + OFFSET_Y
    if kind == REFINERY:
        geyser = geyser_at(g, us, x, y)
        if geyser < 0:
            return BAD_PLACE
        x, y = us[geyser].x, us[geyser].y
    else:
        x, y = snap(x, ts[kind].plot_w), snap(y, ts[kind].plot_h)
    if not fits(g, us, ts, kind, x, y):
        return BAD_PLACE
    return SUCCESS if free else means(g, us, ts, what)


@kernel
def sees(games: Any, units: Any, ts: Any, slot: int) -> bool:
    """Does the player see the unit in that slot?"""
    return in_sight(games[0], units[0], ts, slot)


@rule
def is_inside(g: Any, x: float, y: float) -> bool:
    """Is the point in the playable rectangle?"""
    return g.left <= x <= g.right and g.bottom <= y <= g.top_y


@kernel
def path_length(games: Any, units: Any, ts: Any, x0: float, y0: float, x1: float, y1: float) -> float:
    """How far a small unit walks from one point to the other; 0 if there is no way."""
    g, us = games[0], units[0]
    if not (is_inside(g, x0, y0) and is_inside(g, x1, y1)):
        return 0.0
    for i in range(g.top):
        o = us[i]
        t = ts[o.kind]
        if o.kind != 0 and abs(o.x - x1) < 0.5 * t.footprint_w and abs(o.y - y1) < 0.5 * t.footprint_h:
            return 0.0
    length = 0.0
    while not is_clear(g, us, ts, MARINE, x0, y0, x1, y1, WALKER):
        path = search(g, us, ts, MARINE, x0, y0, x1, y1)
        last = path.shape[0] - 1
        if last < 0 or distance(path[last, 0], path[last, 1], x1, y1) > 1e-3:
            return 0.0
        k = 0
        while k < last and is_clear(g, us, ts, MARINE, x0, y0, path[k + 1, 0], path[k + 1, 1], WALKER):
            k += 1
        if k == last:
            break
        length += distance(x0, y0, path[k, 0], path[k, 1])
        x0, y0 = path[k, 0], path[k, 1]
    return length + distance(x0, y0, x1, y1)
