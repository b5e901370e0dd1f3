"""Repairing: workers give buildings and machines their hit points back, for a quarter of the cost."""

from __future__ import annotations

from typing import Any

from envs.standin.rules.catalog import MECHANICAL
from envs.standin.rules.compiled import rule
from envs.standin.rules.economy import edge
from envs.standin.rules.motion import go
from envs.standin.rules.players import cheats_of, earn, most_hp
from envs.standin.rules.world import FREE, OWN, distance, is_structure, next_order, present

COST = 0.25
"""Part of the cost that repairing all hit points takes (``DrainResourceCostFactor``)."""
REACH = 0.2


@rule
def can_repair(g: Any, us: Any, ts: Any, me: int, slot: int) -> bool:
    """Is there something for a worker to repair: its player's, mechanical, finished, and hurt?"""
    u, v = us[me], us[slot]
    fit = v.kind != 0 and v.owner == u.owner and slot != me and ts[v.kind].attributes & MECHANICAL != 0
    return fit and v.build_left <= 0.0 and 0.0 < v.hp < most_hp(g, ts, v.kind, v.owner)


@rule
def repair(g: Any, us: Any, ts: Any, me: int) -> None:
    """One loop of a worker that repairs: go there; then so much of the hit points as a loop is of the time to build
    it. Minerals and vespene are taken one by one, when so many are owed; without them the work stops."""
    u = us[me]
    if not present(us, u.order_slot, u.order_tag) or not can_repair(g, us, ts, me, u.order_slot):
        u.timer = 0.0
        u.owed = 0.0
        next_order(u)
        return
    v = us[u.order_slot]
    away = distance(u.x, u.y, v.x, v.y) - ts[v.kind].radius - ts[u.kind].radius
    if is_structure(ts, v.kind) and ts[v.kind].footprint_w > 0:
        away = edge(ts, u, v)
    if away > REACH:
        go(g, us, ts, u, v.x, v.y)
        return
    u.speed = 0.0
    t = ts[v.kind]
    if cheats_of(g, u.owner) & FREE == 0:
        minerals = g.minerals if u.owner == OWN else g.other_minerals
        vespene = g.vespene if u.owner == OWN else g.other_vespene
        due, gas = u.timer + COST * t.minerals / t.repair_loops, u.owed + COST * t.vespene / t.repair_loops
        if minerals < int(due) or vespene < int(gas):
            next_order(u)
            return
        earn(g, u.owner, -int(due), -int(gas))
        u.timer = due - int(due)
        u.owed = gas - int(gas)
    v.hp = min(v.hp + t.hp / t.repair_loops, most_hp(g, ts, v.kind, v.owner))
