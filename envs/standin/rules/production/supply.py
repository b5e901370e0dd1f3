"""What making something takes: supply, minerals, vespene, and what must be there before."""

from __future__ import annotations

from typing import Any

from envs.standin.rules.catalog import COMMAND_CENTER, KINDS, LOWERED_DEPOT, ORBITAL_COMMAND, SUPPLY_DEPOT
from envs.standin.rules.compiled import rule
from envs.standin.rules.players import cheats_of, earn
from envs.standin.rules.world import FOOD, FREE, OWN, TECH

SUPPLY_LIMIT = 400
"""200 supply, in halves."""


@rule
def supply_used(g: Any, us: Any, ts: Any, owner: int) -> int:
    """Halves of supply that a player's units take, those in production among them."""
    used = 0
    for i in range(g.top):
        u = us[i]
        if u.kind != 0 and u.owner == owner:
            used += ts[u.kind].supply
            if u.producing > 0 and u.product_left >= 0.0:
                used += ts[u.product[0]].supply
            if u.producing > 1 and u.second_left >= 0.0:
                used += ts[u.product[1]].supply
    return used


@rule
def supply_cap(g: Any, us: Any, ts: Any, owner: int) -> int:
    """Halves of supply that a player's finished buildings provide."""
    cap = SUPPLY_LIMIT if cheats_of(g, owner) & FOOD else 0
    for i in range(g.top):
        u = us[i]
        if u.kind != 0 and u.owner == owner and u.build_left <= 0.0:
            cap += ts[u.kind].provides + u.extra
    return min(cap, SUPPLY_LIMIT)


@rule
def stands_for(kind: int) -> int:
    """The kind of building that it counts as where one is required."""
    if kind == LOWERED_DEPOT:
        return SUPPLY_DEPOT
    return COMMAND_CENTER if kind == ORBITAL_COMMAND else kind


@rule
def has(g: Any, us: Any, kind: int) -> bool:
    """Has the player a finished building of that kind?"""
    found = g.cheats & TECH != 0
    for i in range(g.top):
        found = found or (stands_for(us[i].kind) == kind and us[i].owner == OWN and us[i].build_left <= 0.0)
    return found


@rule
def affordable(g: Any, ts: Any, owner: int, kind: int) -> bool:
    """Has a player minerals and vespene for one?"""
    minerals = g.minerals if owner == OWN else g.other_minerals
    vespene = g.vespene if owner == OWN else g.other_vespene
    return cheats_of(g, owner) & FREE != 0 or (minerals >= ts[kind].minerals and vespene >= ts[kind].vespene)


@rule
def pay(g: Any, ts: Any, owner: int, kind: int, part: float) -> None:
    """Take the cost of one from a player; with a negative ``part``, give that part of it back."""
    if cheats_of(g, owner) & FREE == 0:
        earn(g, owner, -int(part * ts[kind].minerals), -int(part * ts[kind].vespene))


@rule
def is_upgrade(kind: int) -> bool:
    """Is that row of the catalog an upgrade?"""
    return kind >= KINDS


@rule
def note_research(g: Any, owner: int, row: int, begins: bool) -> None:
    """A player's research of an upgrade begins, or is given up."""
    bit = 1 << (row - KINDS)
    if owner == OWN:
        g.researching = g.researching | bit if begins else g.researching & ~bit
    else:
        g.other_researching = g.other_researching | bit if begins else g.other_researching & ~bit
