"""Buildings: where they fit, how they are built, what they produce, and the supply that this takes."""

from __future__ import annotations

import math
from typing import Any

from envs.standin.rules.catalog import (
    BARRACKS,
    COMMAND_CENTER,
    GEYSER,
    MINERAL_FIELD,
    REFINERY,
    SCV,
)
from envs.standin.rules.compiled import rule
from envs.standin.rules.economy import edge, nearest_source, set_source
from envs.standin.rules.motion import go
from envs.standin.rules.world import (
    BUILD,
    FAST,
    FOOD,
    FREE,
    GATHER,
    GOING,
    IDLE,
    MINING,
    MOVE,
    OWN,
    PRODUCTION,
    TECH,
    cheats_of,
    earn,
    next_order,
    present,
    remove,
    spawn,
)

SUPPLY_LIMIT = 400
"""200 supply, in halves."""

START_HEALTH = 0.1
"""Part of its hit points that a building has when it is begun."""

RESOURCE_MARGIN = 3
"""Cells between a command center's footprint and a resource's."""

CANCEL_REFUND = 0.75


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
    return used


@rule
def supply_cap(g: Any, us: Any, ts: Any, owner: int) -> int:
    """Halves of supply that a player's finished buildings provide."""
    cap = SUPPLY_LIMIT if cheats_of(g, owner) & FOOD else 0
    for i in range(g.top):
        u = us[i]
        if u.kind != 0 and u.owner == owner and u.build_left <= 0.0:
            cap += ts[u.kind].provides
    return min(cap, SUPPLY_LIMIT)


@rule
def has(g: Any, us: Any, kind: int) -> bool:
    """Has the player a finished building of that kind?"""
    found = g.cheats & TECH != 0
    for i in range(g.top):
        found = found or (us[i].kind == kind and us[i].owner == OWN and us[i].build_left <= 0.0)
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
def snap(value: float, cells: int) -> float:
    """The nearest center that puts a footprint of that many cells onto the grid."""
    if cells % 2 == 0:
        return math.floor(value + 0.5)
    return math.floor(value) + 0.5


@rule
def fits(g: Any, us: Any, ts: Any, kind: int, x: float, y: float) -> bool:
    """Can a building's center be there? A refinery's must be a geyser's that has none yet."""
    t = ts[kind]
    half_w, half_h = 0.5 * t.footprint_w, 0.5 * t.footprint_h
    if x - half_w < g.left or x + half_w > g.right or y - half_h < g.bottom or y + half_h > g.top_y:
        return False
    for i in range(g.top):
        o = us[i]
        to = ts[o.kind]
        if o.kind == 0 or to.footprint_w == 0:
            continue
        if kind == REFINERY and o.kind == GEYSER:
            continue
        margin = RESOURCE_MARGIN if kind == COMMAND_CENTER and o.kind in (MINERAL_FIELD, GEYSER, REFINERY) else 0
        near_x = half_w + 0.5 * to.footprint_w + margin - 0.01
        near_y = half_h + 0.5 * to.footprint_h + margin - 0.01
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


@rule
def construct(g: Any, us: Any, ts: Any, me: int) -> None:
    """One loop of a worker that is to build: go there, begin it, and stay until it is finished."""
    u = us[me]
    kind = u.order - BUILD
    t = ts[kind]
    if u.phase == MINING:
        if not present(us, u.order_slot, u.order_tag):
            next_order(u)
            return
        if work_on(us, ts, us[u.order_slot]):
            finish_building(g, us, u, u.order_slot)
        return
    if present(us, u.order_slot, u.order_tag) and us[u.order_slot].kind == kind:
        site = us[u.order_slot]
        if site.build_left <= 0.0 or (present(us, site.worker, site.worker_tag) and site.worker != me):
            next_order(u)
        elif edge(ts, u, site) > 0.2:
            go(g, us, ts, u, site.x, site.y)
        else:
            site.worker = me
            site.worker_tag = u.tag
            u.phase = MINING
        return
    dx = max(abs(u.x - u.order_x) - 0.5 * t.footprint_w, 0.0)
    dy = max(abs(u.y - u.order_y) - 0.5 * t.footprint_h, 0.0)
    if math.sqrt(dx * dx + dy * dy) > ts[u.kind].radius + 0.2:
        go(g, us, ts, u, u.order_x, u.order_y)
        return
    begin_building(g, us, ts, me, kind)


@rule
def begin_building(g: Any, us: Any, ts: Any, me: int, kind: int) -> None:
    """The worker has arrived: if the place is still free and there is money, the building appears."""
    u = us[me]
    x, y = u.order_x, u.order_y
    if not fits(g, us, ts, kind, x, y) or not affordable(g, ts, u.owner, kind):
        next_order(u)
        return
    contents = 0.0
    if kind == REFINERY:
        geyser = geyser_at(g, us, x, y)
        contents = us[geyser].contents
        remove(g, us, geyser)
    slot = spawn(g, us, ts, kind, u.owner, x, y)
    if slot < 0:
        next_order(u)
        return
    pay(g, ts, u.owner, kind, 1.0)
    b = us[slot]
    b.contents = contents
    b.hp = START_HEALTH * ts[kind].hp
    b.build_left = ts[kind].build_loops
    if cheats_of(g, u.owner) & FAST:
        b.hp = ts[kind].hp
        b.build_left = 1.0
    b.worker = me
    b.worker_tag = u.tag
    u.order_slot = slot
    u.order_tag = b.tag
    u.phase = MINING
    g.obstacles += 1


@rule
def work_on(us: Any, ts: Any, b: Any) -> bool:
    """One loop of construction; True when it is finished."""
    t = ts[b.kind]
    b.build_left -= 1.0
    b.hp = min(b.hp + t.hp * (1.0 - START_HEALTH) / t.build_loops, t.hp)
    return b.build_left <= 0.0


@rule
def finish_building(g: Any, us: Any, u: Any, slot: int) -> None:
    """The worker is free again; one that built a refinery goes to work in it."""
    b = us[slot]
    b.build_left = 0.0
    b.worker = -1
    kind = b.kind
    next_order(u)
    if kind == REFINERY and u.order == IDLE:
        u.order = GATHER
        set_source(us, u, slot)


@rule
def stop_building(us: Any, u: Any, me: int) -> None:
    """A builder that is called away leaves the building as it is."""
    if u.order >= BUILD and u.phase == MINING and present(us, u.order_slot, u.order_tag):
        us[u.order_slot].worker = -1
    u.phase = GOING


@rule
def trains(what: int) -> int:
    """The kind of building that produces a unit of that kind."""
    return COMMAND_CENTER if what == SCV else BARRACKS


@rule
def enqueue(g: Any, us: Any, ts: Any, b: Any, what: int) -> bool:
    """Pay for a unit and put it into a building's queue."""
    if b.producing >= PRODUCTION or not affordable(g, ts, b.owner, what):
        return False
    pay(g, ts, b.owner, what, 1.0)
    b.product[b.producing] = what
    if b.producing == 0:
        b.product_left = -1.0
    b.producing += 1
    return True


@rule
def cancel_item(g: Any, ts: Any, b: Any, index: int) -> bool:
    """Take a unit out of a building's queue and give its cost back."""
    if index < 0 or index >= b.producing:
        return False
    pay(g, ts, b.owner, b.product[index], -1.0)
    for i in range(index, b.producing - 1):
        b.product[i] = b.product[i + 1]
    b.producing -= 1
    if index == 0:
        b.product_left = -1.0
    return True


@rule
def cancel_building(g: Any, us: Any, ts: Any, slot: int) -> None:
    """Give up a building under construction for part of its cost."""
    pay(g, ts, us[slot].owner, us[slot].kind, -CANCEL_REFUND)
    take_down(g, us, ts, slot)


@rule
def take_down(g: Any, us: Any, ts: Any, slot: int) -> None:
    """Take a building off the map. The geyser under a refinery shows again."""
    b = us[slot]
    kind, x, y, contents = b.kind, b.x, b.y, b.contents
    remove(g, us, slot)
    g.obstacles += 1
    if kind == REFINERY:
        geyser = spawn(g, us, ts, GEYSER, 0, x, y)
        us[geyser].contents = contents


@rule
def produce(g: Any, us: Any, ts: Any, slot: int) -> int:
    """One loop of a building with units in production; the kind of the unit that came out, or 0."""
    b = us[slot]
    what = b.product[0]
    if b.product_left < 0.0:
        if supply_used(g, us, ts, b.owner) + ts[what].supply > supply_cap(g, us, ts, b.owner):
            return 0
        b.product_left = 1.0 if cheats_of(g, b.owner) & FAST else ts[what].build_loops
    b.product_left = max(b.product_left - 1.0, 0.0)
    if b.product_left > 0.0 or not release(g, us, ts, slot, what):
        return 0
    b.producing -= 1
    for i in range(b.producing):
        b.product[i] = b.product[i + 1]
    b.product_left = -1.0
    return what


@rule
def release(g: Any, us: Any, ts: Any, slot: int, what: int) -> bool:
    """A finished unit steps out, on the side of the rally point, and obeys it. False if there is no room for it."""
    b = us[slot]
    t = ts[b.kind]
    x, y = b.rally_x, b.rally_y
    if b.rally == 0:
        x, y = b.x, b.y - 10.0
    dx, dy = x - b.x, y - b.y
    out_x, out_y = 0.5 * t.footprint_w + ts[what].radius, 0.5 * t.footprint_h + ts[what].radius
    scale = max(abs(dx) / out_x, abs(dy) / out_y)
    if scale < 1e-3:
        dx, dy, scale = 0.0, -1.0, 1.0 / out_y
    new = spawn(g, us, ts, what, b.owner, b.x + dx / scale, b.y + dy / scale)
    if new < 0:
        return False
    u = us[new]
    if b.rally == 0:
        return True
    u.order = MOVE
    u.order_x = x
    u.order_y = y
    if what == SCV and b.rally == 2:
        at = b.rally_slot if present(us, b.rally_slot, b.rally_tag) else nearest_source(g, us, x, y, False)
        if at >= 0 and us[at].kind in (MINERAL_FIELD, REFINERY):
            u.order = GATHER
            set_source(us, u, at)
    return True
