"""Add-ons: the tech lab and the reactor beside a barracks.

A barracks makes its add-on as it makes a unit, alone in its queue; what stands there meanwhile is the add-on under
construction. Finished add-ons are known to their building by kind, since that is what it asks for all the time.
"""

from __future__ import annotations

from typing import Any

from envs.standin.rules.catalog import BARRACKS, REACTOR, TECH_LAB
from envs.standin.rules.compiled import rule
from envs.standin.rules.production.plots import fits
from envs.standin.rules.world import present, remove, spawn

OFFSET_X, OFFSET_Y = 2.5, -0.5
"""Where an add-on stands beside its building (``AddOnOffsetX``, ``AddOnOffsetY``)."""

START_HEALTH = 0.1
"""Part of its hit points that a building has when it is begun."""


@rule
def is_addon(kind: int) -> bool:
    """Is it an add-on?"""
    return kind in (TECH_LAB, REACTOR)


@rule
def addon_fits(g: Any, us: Any, ts: Any, b: Any) -> bool:
    """Is there room for an add-on beside a building that has none?"""
    return b.addon < 0 and fits(g, us, ts, TECH_LAB, b.x + OFFSET_X, b.y + OFFSET_Y)


@rule
def begin_addon(g: Any, us: Any, ts: Any, slot: int, kind: int) -> bool:
    """Put the add-on under construction beside its building; False if there is no room for it."""
    b = us[slot]
    if not addon_fits(g, us, ts, b):
        return False
    new = spawn(g, us, ts, kind, b.owner, b.x + OFFSET_X, b.y + OFFSET_Y)
    if new < 0:
        return False
    a = us[new]
    a.hp = START_HEALTH * ts[kind].hp
    a.build_left = ts[kind].build_loops
    link(us, slot, new)
    g.obstacles += 1
    return True


@rule
def link(us: Any, slot: int, addon: int) -> None:
    """The two belong together."""
    us[slot].addon = addon
    us[slot].addon_tag = us[addon].tag
    us[addon].addon = slot
    us[addon].addon_tag = us[slot].tag


@rule
def addon_loop(us: Any, ts: Any, slot: int) -> bool:
    """One loop of an add-on's construction; False if it is no longer there."""
    b = us[slot]
    if not present(us, b.addon, b.addon_tag):
        return False
    a = us[b.addon]
    a.build_left = max(b.product_left - 1.0, 0.0)
    a.hp = min(a.hp + ts[a.kind].hp * (1.0 - START_HEALTH) / ts[a.kind].build_loops, ts[a.kind].hp)
    return True


@rule
def finish_addon(us: Any, slot: int) -> None:
    """The building can use its add-on now."""
    b = us[slot]
    us[b.addon].build_left = 0.0
    b.addon_kind = us[b.addon].kind


@rule
def find_addon(g: Any, us: Any, slot: int) -> None:
    """A new barracks takes over the add-on that stands alone where its own would be."""
    b = us[slot]
    for i in range(g.top):
        a = us[i]
        at_place = abs(a.x - b.x - OFFSET_X) < 0.1 and abs(a.y - b.y - OFFSET_Y) < 0.1
        if is_addon(a.kind) and a.owner == b.owner and a.build_left <= 0.0 and a.addon < 0 and at_place:
            link(us, slot, i)
            b.addon_kind = a.kind


@rule
def give_up_addon(g: Any, us: Any, slot: int) -> None:
    """Take away the add-on that a building has under construction."""
    b = us[slot]
    if present(us, b.addon, b.addon_tag) and us[b.addon].build_left > 0.0:
        remove(g, us, b.addon)
        g.obstacles += 1
    b.addon = -1


@rule
def part_addon(g: Any, us: Any, slot: int) -> None:
    """A building or an add-on comes down: the other one stands alone, an unfinished add-on goes with its building."""
    b = us[slot]
    if not present(us, b.addon, b.addon_tag):
        return
    if b.kind == BARRACKS:
        us[b.addon].addon = -1
        if us[b.addon].build_left > 0.0:
            remove(g, us, b.addon)
    elif is_addon(b.kind):
        us[b.addon].addon = -1
        us[b.addon].addon_kind = 0
        if b.build_left > 0.0:
            us[b.addon].producing = 0
            us[b.addon].product_left = -1.0
