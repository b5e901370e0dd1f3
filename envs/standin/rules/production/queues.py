"""What buildings make, one thing after the other: units, upgrades, add-ons, and the orbital command they turn into."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.standin.rules.catalog import (
    COMBAT_SHIELD,
    KINDS,
    MARINE,
    ORBITAL_COMMAND,
    REACTOR,
    REFINERY,
    SCV,
)
from envs.standin.rules.compiled import rule
from envs.standin.rules.economy import is_patch, nearest_source, set_source
from envs.standin.rules.players import cheats_of, most_hp
from envs.standin.rules.production.addons import addon_loop, begin_addon, finish_addon, give_up_addon, is_addon
from envs.standin.rules.production.supply import (
    affordable,
    is_upgrade,
    note_research,
    pay,
    supply_cap,
    supply_used,
)
from envs.standin.rules.world import FAST, GATHER, MOVE, OWN, PRODUCTION, SHIELD, present, spawn

ALONE = 5
"""Things that can be in the queue of a building without a reactor."""

START_ENERGY = 50.0


@rule
def places(b: Any) -> int:
    """Things that can be in a building's queue. What changes the building itself is made alone."""
    if b.producing > 0 and changes_itself(b.product[0]):
        return 1
    return PRODUCTION if b.addon_kind == REACTOR else ALONE


@rule
def changes_itself(what: int) -> bool:
    """Is the building busy with itself while it makes this: an add-on, or what it turns into?"""
    return is_addon(what) or what == ORBITAL_COMMAND


@rule
def enqueue(g: Any, us: Any, ts: Any, b: Any, what: int) -> bool:
    """Pay for a unit and put it into a building's queue."""
    if b.producing >= places(b) or not affordable(g, ts, b.owner, what):
        return False
    pay(g, ts, b.owner, what, 1.0)
    b.product[b.producing] = what
    if b.producing == 0:
        b.product_left = -1.0
    elif b.producing == 1:
        b.second_left = -1.0
    b.producing += 1
    if is_upgrade(what):
        note_research(g, b.owner, what, True)
    return True


@rule
def take_out(b: Any, index: int) -> None:
    """The queue moves up behind what leaves it."""
    for i in range(index, b.producing - 1):
        b.product[i] = b.product[i + 1]
    b.producing -= 1
    if index == 0:
        b.product_left = b.second_left if b.producing > 0 else -1.0
    if index <= 1:
        b.second_left = -1.0


@rule
def cancel_item(g: Any, us: Any, ts: Any, slot: int, index: int) -> bool:
    """Take a unit out of a building's queue and give its cost back."""
    b = us[slot]
    if index < 0 or index >= b.producing:
        return False
    what = b.product[index]
    pay(g, ts, b.owner, what, -1.0)
    if is_upgrade(what):
        note_research(g, b.owner, what, False)
    elif is_addon(what) and b.product_left >= 0.0:
        give_up_addon(g, us, slot)
    take_out(b, index)
    return True


@rule
def produce(g: Any, us: Any, ts: Any, slot: int) -> int:
    """One loop of a building with units in production; the kind of the unit that came out, or 0."""
    b = us[slot]
    if b.addon_kind == REACTOR and b.producing > 1:
        b.second_left = advance(g, us, ts, slot, 1, b.second_left)
        if b.second_left == 0.0 and leave_queue(g, us, ts, slot, 1):
            take_out(b, 1)
    what = b.product[0]
    b.product_left = advance(g, us, ts, slot, 0, b.product_left)
    if b.product_left != 0.0 or not leave_queue(g, us, ts, slot, 0):
        return 0
    take_out(b, 0)
    return what


@rule
def advance(g: Any, us: Any, ts: Any, slot: int, index: int, left: Any) -> Any:
    """Time left for what is in a place of the queue, one loop on; -1 while it cannot begin."""
    b = us[slot]
    what = b.product[index]
    if left < 0.0:
        if supply_used(g, us, ts, b.owner) + supply_of(ts, what) > supply_cap(g, us, ts, b.owner):
            return np.float32(-1.0)
        if is_addon(what) and not begin_addon(g, us, ts, slot, what):
            return np.float32(-1.0)
        left = np.float32(1.0) if cheats_of(g, b.owner) & FAST else ts[what].build_loops
    if is_addon(what):
        addon_loop(us, ts, slot)
    return max(left - np.float32(1.0), np.float32(0.0))


@rule
def supply_of(ts: Any, what: int) -> int:
    """Halves of supply that making it takes."""
    return ts[what].supply


@rule
def leave_queue(g: Any, us: Any, ts: Any, slot: int, index: int) -> bool:
    """What is finished shows its effect. False if it has to wait, for lack of room."""
    b = us[slot]
    what = b.product[index]
    if is_upgrade(what):
        finish_research(g, us, b.owner, what)
    elif is_addon(what):
        if present(us, b.addon, b.addon_tag):
            finish_addon(us, slot)
        else:
            b.addon = -1
    elif what == ORBITAL_COMMAND:
        b.kind = ORBITAL_COMMAND
        b.energy = START_ENERGY
        b.energy_at = g.loop
    else:
        return release(g, us, ts, slot, what)
    return True


@rule
def finish_research(g: Any, us: Any, owner: int, row: int) -> None:
    """A player has an upgrade now; a combat shield strengthens the marines that are there."""
    note_research(g, owner, row, False)
    if owner == OWN:
        g.upgrades |= 1 << (row - KINDS)
    else:
        g.other_upgrades |= 1 << (row - KINDS)
    if row == COMBAT_SHIELD:
        for i in range(g.top):
            if us[i].kind == MARINE and us[i].owner == owner:
                us[i].hp += SHIELD


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
    u.hp = most_hp(g, ts, what, b.owner)
    if b.rally == 0:
        return True
    u.order = MOVE
    u.order_x = x
    u.order_y = y
    if what == SCV and b.rally == 2:
        at = b.rally_slot if present(us, b.rally_slot, b.rally_tag) else nearest_source(g, us, x, y, False)
        if at >= 0 and (is_patch(us[at].kind) or us[at].kind == REFINERY):
            u.order = GATHER
            set_source(us, u, at)
    return True
