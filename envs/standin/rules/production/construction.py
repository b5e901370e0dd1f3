"""How buildings are built by workers, given up, and taken down."""

from __future__ import annotations

import math
from typing import Any

from envs.standin.rules.abilities.bunker import turn_out
from envs.standin.rules.catalog import BARRACKS, BUNKER, GEYSER, REFINERY
from envs.standin.rules.compiled import rule
from envs.standin.rules.economy import edge, set_source
from envs.standin.rules.motion import go
from envs.standin.rules.players import cheats_of
from envs.standin.rules.production.addons import START_HEALTH, find_addon, part_addon
from envs.standin.rules.production.plots import fits, geyser_at
from envs.standin.rules.production.supply import affordable, is_upgrade, note_research, pay
from envs.standin.rules.world import (
    BUILD,
    FAST,
    GATHER,
    GOING,
    IDLE,
    MINING,
    next_order,
    present,
    remove,
    spawn,
)

CANCEL_REFUND = 0.75


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
    if kind == BARRACKS:
        find_addon(g, us, slot)
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
def cancel_building(g: Any, us: Any, ts: Any, slot: int) -> None:
    """Give up a building under construction for part of its cost."""
    pay(g, ts, us[slot].owner, us[slot].kind, -CANCEL_REFUND)
    take_down(g, us, ts, slot)


@rule
def take_down(g: Any, us: Any, ts: Any, slot: int) -> None:
    """Take a building off the map. The geyser under a refinery shows again."""
    b = us[slot]
    kind, x, y, contents = b.kind, b.x, b.y, b.contents
    if kind == BUNKER:
        turn_out(g, us, ts, slot)
    if b.addon >= 0:
        part_addon(g, us, slot)
    if b.producing > 0 and is_upgrade(b.product[0]):
        for i in range(b.producing):
            note_research(g, b.owner, b.product[i], False)
    remove(g, us, slot)
    g.obstacles += 1
    if kind == REFINERY:
        geyser = spawn(g, us, ts, GEYSER, 0, x, y)
        us[geyser].contents = contents
