"""Harvesting: to the resource, work at it, back to the command center, and again.

One worker at a time works at a patch or in a refinery. One that comes to an occupied patch looks for a free one nearby,
and waits if there is none. Times and amounts: the game's catalog (``BehaviorData.xml``).
"""

from __future__ import annotations

import math
from typing import Any

from envs.standin.rules.catalog import MINERAL_FIELD, MULE, REFINERY, SCV, SMALL_MINERAL_FIELD
from envs.standin.rules.compiled import rule
from envs.standin.rules.motion import go
from envs.standin.rules.players import earn
from envs.standin.rules.world import (
    DROPPING,
    GATHER,
    GOING,
    MINERALS,
    MINING,
    NO_CARGO,
    OWN,
    RETURN,
    VESPENE,
    distance,
    is_town_hall,
    next_order,
    present,
    remove,
)

MINERALS_A_TRIP, VESPENE_A_TRIP = 5, 4
MINE_LOOPS, DRAW_LOOPS, DROP_LOOPS = 2.786 * 16, 1.981 * 16, 0.5 * 16
MULE_TRIP, MULE_TIME = 25, 2.05
"""A MULE's minerals a trip, and how much longer than a worker it mines (``MULEGather``)."""
SEARCH_RADIUS = 10.0
"""How far a worker looks for another patch."""

LOOK_PERIOD = 8
"""A worker that waits at an occupied patch looks for a free one when it comes, and then every so many loops."""

REACH = 0.1
"""How near, edge to edge, a worker must come."""


@rule
def is_patch(kind: int) -> bool:
    """Is it a mineral field?"""
    return kind in (MINERAL_FIELD, SMALL_MINERAL_FIELD)


@rule
def is_source(us: Any, slot: int, tag: int, owner: int) -> bool:
    """Is there something for a player to harvest?"""
    if not present(us, slot, tag):
        return False
    o = us[slot]
    return is_patch(o.kind) or (o.kind == REFINERY and o.owner == owner and o.build_left <= 0.0)


@rule
def edge(ts: Any, u: Any, o: Any) -> float:
    """The distance between a worker's edge and a footprint's."""
    t = ts[o.kind]
    dx = max(abs(u.x - o.x) - 0.5 * t.footprint_w, 0.0)
    dy = max(abs(u.y - o.y) - 0.5 * t.footprint_h, 0.0)
    return math.sqrt(dx * dx + dy * dy) - ts[u.kind].radius


@rule
def is_reserved(g: Any, us: Any, slot: int) -> bool:
    """Is a worker at a mineral field, or on its way to it?"""
    reserved = False
    for i in range(g.top):
        reserved = reserved or (us[i].kind == SCV and us[i].order == GATHER and us[i].order_slot == slot)
    return reserved


@rule
def nearest_source(g: Any, us: Any, x: float, y: float, free: bool) -> int:
    """The nearest mineral field around a point, or the nearest that no worker is at or on its way to."""
    best, best_distance = -1, SEARCH_RADIUS
    for i in range(g.top):
        o = us[i]
        if is_patch(o.kind):
            d = distance(x, y, o.x, o.y)
            if d < best_distance and not (free and is_reserved(g, us, i)):
                best, best_distance = i, d
    return best


@rule
def nearest_drop(g: Any, us: Any, owner: int, x: float, y: float) -> int:
    """The nearest command center of that owner's that takes cargo."""
    best, best_distance = -1, 1e9
    for i in range(g.top):
        o = us[i]
        if is_town_hall(o.kind) and o.owner == owner and o.build_left <= 0.0:
            d = distance(x, y, o.x, o.y)
            if d < best_distance:
                best, best_distance = i, d
    return best


@rule
def leave_source(us: Any, u: Any, me: int) -> None:
    """Whoever stops working at a resource makes room for the next."""
    if u.phase == MINING and present(us, u.source, u.source_tag):
        o = us[u.source]
        if o.worker == me and o.worker_tag == u.tag:
            o.worker = -1
    u.phase = GOING


@rule
def set_source(us: Any, u: Any, slot: int) -> None:
    """Harvest there from now on."""
    u.source = slot
    u.source_tag = us[slot].tag
    u.order_slot = slot
    u.order_tag = us[slot].tag
    u.order_x = us[slot].x
    u.order_y = us[slot].y


@rule
def gather(g: Any, us: Any, ts: Any, me: int) -> None:
    """One loop of a worker that harvests."""
    u = us[me]
    if u.phase == MINING:
        u.timer -= 1.0
        if u.timer <= 0.0:
            finish_trip(g, us, u, me)
        return
    if u.phase == DROPPING:
        u.timer -= 1.0
        if u.timer <= 0.0:
            u.phase = GOING
        return
    if not is_source(us, u.order_slot, u.order_tag, u.owner):
        other = nearest_source(g, us, u.order_x, u.order_y, False)
        if other < 0:
            next_order(u)
            return
        set_source(us, u, other)
    o = us[u.order_slot]
    if edge(ts, u, o) > REACH:
        go(g, us, ts, u, o.x, o.y)
        return
    u.speed = 0.0
    if u.cargo != NO_CARGO:
        u.order = RETURN
        return
    if u.kind == MULE:  # works beside whoever is there
        u.source = u.order_slot
        u.source_tag = u.order_tag
        u.phase = MINING
        u.timer = MULE_TIME * MINE_LOOPS
        return
    if present(us, o.worker, o.worker_tag) and o.worker != me:
        if is_patch(o.kind) and g.loop >= u.look:
            u.look = g.loop + LOOK_PERIOD
            other = nearest_source(g, us, o.x, o.y, True)
            if other >= 0:
                set_source(us, u, other)
        return
    o.worker = me
    o.worker_tag = u.tag
    u.source = u.order_slot
    u.source_tag = u.order_tag
    u.phase = MINING
    u.timer = MINE_LOOPS if is_patch(o.kind) else DRAW_LOOPS


@rule
def finish_trip(g: Any, us: Any, u: Any, me: int) -> None:
    """The load is taken: out of the resource, onto the worker, and back."""
    if is_source(us, u.source, u.source_tag, u.owner):
        o = us[u.source]
        wanted = MINERALS_A_TRIP if is_patch(o.kind) else VESPENE_A_TRIP
        wanted = MULE_TRIP if u.kind == MULE else wanted
        taken = min(wanted, int(o.contents))
        if taken > 0:
            o.contents -= taken
            u.cargo = MINERALS if is_patch(o.kind) else VESPENE
            u.cargo_amount = taken
        leave_source(us, u, me)
        if o.contents <= 0.0 and is_patch(o.kind):
            remove(g, us, u.source)
            g.obstacles += 1
    u.phase = GOING
    u.speed = 0.0
    if u.cargo != NO_CARGO:
        u.order = RETURN
    elif not is_source(us, u.source, u.source_tag, u.owner) or us[u.source].contents <= 0.0:
        next_order(u)


@rule
def bring_back(g: Any, us: Any, ts: Any, me: int) -> None:
    """One loop of a worker on its way to the command center."""
    u = us[me]
    if u.cargo == NO_CARGO:
        go_on(us, u)
        return
    if not present(us, u.order_slot, u.order_tag) or not is_town_hall(us[u.order_slot].kind):
        u.order_slot = nearest_drop(g, us, u.owner, u.x, u.y)
        if u.order_slot < 0:
            u.speed = 0.0
            return
        u.order_tag = us[u.order_slot].tag
    o = us[u.order_slot]
    if distance(u.x, u.y, o.x, o.y) - ts[o.kind].radius - ts[u.kind].radius > REACH:
        go(g, us, ts, u, o.x, o.y)
        return
    minerals = u.cargo_amount if u.cargo == MINERALS else 0
    vespene = u.cargo_amount - minerals
    earn(g, u.owner, minerals, vespene)
    if u.owner == OWN:
        g.collected_minerals += minerals
        g.collected_vespene += vespene
    else:
        g.other_collected_minerals += minerals
        g.other_collected_vespene += vespene
    u.cargo = NO_CARGO
    u.cargo_amount = 0
    u.speed = 0.0
    go_on(us, u)
    if u.order == GATHER:
        u.phase = DROPPING
        u.timer = DROP_LOOPS


@rule
def go_on(us: Any, u: Any) -> None:
    """After the cargo is delivered: the next order, or back to the resource that it came from."""
    if u.queued > 0 or u.source < 0:
        next_order(u)
        return
    u.order = GATHER
    u.phase = GOING
    u.order_slot = u.source
    u.order_tag = u.source_tag
    if present(us, u.source, u.source_tag):
        u.order_x = us[u.source].x
        u.order_y = us[u.source].y
