"""Bunkers: who goes in, and who comes out. How their passengers shoot is in :mod:`envs.standin.rules.combat`."""

from __future__ import annotations

from typing import Any

from envs.standin.rules.catalog import BIOLOGICAL, BUNKER
from envs.standin.rules.compiled import rule
from envs.standin.rules.economy import edge
from envs.standin.rules.motion import go
from envs.standin.rules.world import GARRISON, IDLE, next_order, present

PLACES = 4
"""``TotalCargoSpace``: a marine takes one place, a marauder two."""
REACH = 0.5
"""How near, edge to edge, a unit must come to go in."""
OFF_MAP = -100.0
"""Where passengers are kept: far from all that looks for units around a place."""


@rule
def is_in(u: Any, slot: int, tag: int) -> bool:
    """Is the unit in that bunker?"""
    return u.kind != 0 and u.order == GARRISON and u.order_slot == slot and u.order_tag == tag


@rule
def taken(g: Any, us: Any, ts: Any, slot: int) -> int:
    """Places taken in a bunker."""
    n = 0
    for i in range(g.top):
        if is_in(us[i], slot, us[slot].tag):
            n += ts[us[i].kind].cargo_size
    return n


@rule
def may_enter(us: Any, ts: Any, u: Any, slot: int) -> bool:
    """Is there a finished bunker of the unit's own, and is it of those that go into bunkers?"""
    b = us[slot]
    fit = ts[u.kind].attributes & BIOLOGICAL != 0 and ts[u.kind].cargo_size > 0
    return fit and b.kind == BUNKER and b.owner == u.owner and b.build_left <= 0.0


@rule
def enter(g: Any, us: Any, ts: Any, me: int) -> None:
    """One loop of a unit that is to go into a bunker: there, and in if there is room."""
    u = us[me]
    slot = u.order_slot
    if not present(us, slot, u.order_tag) or not may_enter(us, ts, u, slot):
        next_order(u)
    elif edge(ts, u, us[slot]) > REACH:
        go(g, us, ts, u, us[slot].x, us[slot].y)
    elif taken(g, us, ts, slot) + ts[u.kind].cargo_size > PLACES:
        next_order(u)
    else:
        u.order = GARRISON
        u.queued = 0
        u.target = -1
        u.windup = 0.0
        u.speed = 0.0
        u.selected = 0
        u.other_selected = 0
        u.x = OFF_MAP
        u.y = OFF_MAP


@rule
def turn_out(g: Any, us: Any, ts: Any, slot: int) -> None:
    """All passengers come out, below the bunker."""
    b = us[slot]
    n = 0
    for i in range(g.top):
        u = us[i]
        if is_in(u, slot, b.tag):
            u.order = IDLE
            u.order_slot = -1
            u.x = b.x - 0.9 + 0.6 * n
            u.y = b.y - 0.5 * ts[b.kind].footprint_h - ts[u.kind].radius
            u.way_version = -1
            u.look = 0
            u.stirred = 1
            g.crowded = 1
            n += 1
