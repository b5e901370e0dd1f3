"""What units make of a command: their orders, at once or queued; what buildings produce, and what is given up."""

from __future__ import annotations

from typing import Any

from envs.standin.rules.abilities.bunker import may_enter, turn_out
from envs.standin.rules.abilities.orbital import (
    EXTRA_SUPPLY,
    call_mule,
    energy_of,
    lower,
    scan,
    spend_energy,
    takes_supply,
)
from envs.standin.rules.abilities.repair import can_repair
from envs.standin.rules.cards import (
    BAD_PLACE,
    BAD_TARGET,
    BUILD_QUEUE,
    C_ATTACK,
    C_CANCEL,
    C_CANCEL_LAST,
    C_DEPOT,
    C_GATHER,
    C_HOLD,
    C_LOAD,
    C_LOWER,
    C_MOVE,
    C_MULE,
    C_PATROL,
    C_RAISE,
    C_RALLY_UNITS,
    C_RALLY_WORKERS,
    C_REPAIR,
    C_RETURN,
    C_SCAN,
    C_SMART,
    C_STIM,
    C_STOP,
    C_SUPPLY_DROP,
    C_UNLOAD,
    ERROR,
    NOT_SUPPORTED,
    QUEUE_FULL,
    STIM_LOOPS,
    SUCCESS,
    built_by,
    can,
    means,
    stim_cost,
    trained_by,
)
from envs.standin.rules.catalog import BUNKER, COMMAND_CENTER, LOWERED_DEPOT, MULE, REACTOR, REFINERY, SCV
from envs.standin.rules.combat import call_off
from envs.standin.rules.compiled import rule
from envs.standin.rules.economy import is_patch, leave_source
from envs.standin.rules.production.construction import cancel_building, stop_building
from envs.standin.rules.production.plots import fits, geyser_at, snap
from envs.standin.rules.production.queues import cancel_item, enqueue, places
from envs.standin.rules.world import (
    ATTACK,
    ATTACK_MOVE,
    BUILD,
    ENTER,
    FOLLOW,
    GATHER,
    HOLD,
    IDLE,
    MINING,
    MOVE,
    NEUTRAL,
    NO_CARGO,
    OWN,
    PATROL,
    QUEUE,
    REPAIR,
    RETURN,
    is_town_hall,
)


@rule
def drop_order(us: Any, u: Any, me: int) -> None:
    """Break off what the unit is doing: whoever waits for its place can have it."""
    if u.order in (GATHER, RETURN):
        leave_source(us, u, me)
    stop_building(us, u, me)
    call_off(u)
    u.target = -1
    u.look = 0
    u.queued = 0
    u.way_version = -1


@rule
def give(us: Any, u: Any, me: int, queued: int, order: int, x: float, y: float, slot: int, tag: int) -> None:
    """Hand a unit an order, at once or behind those it has; a full queue takes no more."""
    if queued == 0 and u.order == order and order not in (IDLE, MOVE) and u.order_slot == slot and slot >= 0:
        # The same order again breaks nothing off.
        u.queued = 0
    elif queued == 0 or u.order == IDLE:
        drop_order(us, u, me)
        u.order = order
        u.order_x = x
        u.order_y = y
        u.order_slot = slot
        u.order_tag = tag
        u.from_x = u.x
        u.from_y = u.y
    elif u.queued < QUEUE:
        n = u.queued
        u.queue[n] = order
        u.queue_x[n] = x
        u.queue_y[n] = y
        u.queue_slot[n] = slot
        u.queue_tag[n] = tag
        u.queued = n + 1


@rule
def smart(g: Any, us: Any, ts: Any, me: int, target: int) -> int:
    """What a right click means: the command that it stands for."""
    u = us[me]
    if is_building_kind(u.kind):
        return C_RALLY_WORKERS if is_town_hall(u.kind) else C_RALLY_UNITS
    if target < 0:
        return C_MOVE
    v = us[target]
    if u.kind == SCV and (is_patch(v.kind) or (v.kind == REFINERY and v.build_left <= 0.0)):
        return C_GATHER
    if u.kind == SCV and is_town_hall(v.kind) and v.owner == OWN and u.cargo != NO_CARGO:
        return C_RETURN
    if u.kind == SCV and v.owner == OWN and v.build_left > 0.0:
        return C_DEPOT
    if u.kind == MULE and is_patch(v.kind):
        return C_GATHER
    if u.kind in (SCV, MULE) and can_repair(g, us, ts, me, target):
        return C_REPAIR
    if may_enter(us, ts, u, target):
        return C_LOAD
    return C_ATTACK if v.owner not in (OWN, NEUTRAL) else C_MOVE


@rule
def is_building_kind(kind: int) -> bool:
    """Is it a building of the player's?"""
    return COMMAND_CENTER <= kind <= REFINERY or BUNKER <= kind <= LOWERED_DEPOT


@rule
def command(g: Any, us: Any, ts: Any, me: int, what: int, queued: int, x: float, y: float, target: int) -> None:
    """What one unit makes of a command aimed at a place or, if ``target`` >= 0, at a unit."""
    u = us[me]
    slot, tag = target, 0
    if target >= 0:
        tag = us[target].tag
    if what == C_SMART:
        what = smart(g, us, ts, me, target)
        if what == C_DEPOT:
            give(us, u, me, queued, BUILD + us[target].kind, us[target].x, us[target].y, slot, tag)
            return
    if what == C_STOP:
        give(us, u, me, 0, IDLE, x, y, -1, 0)
    elif what == C_HOLD:
        give(us, u, me, queued, HOLD, x, y, -1, 0)
    elif what == C_MOVE:
        if target < 0:
            give(us, u, me, queued, MOVE, x, y, -1, 0)
        elif target != me:
            give(us, u, me, queued, FOLLOW, x, y, slot, tag)
    elif what == C_PATROL:
        give(us, u, me, queued, PATROL, x, y, -1, 0)
    elif what == C_ATTACK:
        if target < 0 or (us[target].owner == NEUTRAL):
            give(us, u, me, queued, ATTACK_MOVE, x, y, -1, 0)
        elif target != me:
            give(us, u, me, queued, ATTACK, x, y, slot, tag)
    elif what == C_GATHER:
        if target >= 0 and (is_patch(us[target].kind) or (us[target].kind == REFINERY and u.kind == SCV)):
            give(us, u, me, queued, GATHER, us[target].x, us[target].y, slot, tag)
    elif what == C_RETURN:
        give(us, u, me, queued, RETURN, x, y, -1, 0)
    elif what == C_REPAIR:
        if target >= 0 and can_repair(g, us, ts, me, target):
            give(us, u, me, queued, REPAIR, us[target].x, us[target].y, slot, tag)
    elif what == C_LOAD and u.kind == BUNKER:
        if target >= 0 and us[target].owner == OWN and may_enter(us, ts, us[target], me):
            give(us, us[target], target, 0, ENTER, u.x, u.y, me, u.tag)
    elif what == C_LOAD:
        give(us, u, me, queued, ENTER, us[target].x, us[target].y, slot, tag)
    elif what in (C_RALLY_WORKERS, C_RALLY_UNITS):
        u.rally = 1 if target < 0 else 2
        u.rally_x = x
        u.rally_y = y
        u.rally_slot = slot
        u.rally_tag = tag


@rule
def build_command(g: Any, us: Any, ts: Any, kind: int, queued: int, x: float, y: float, chosen: Any) -> int:
    """The nearest of the chosen workers gets the order to build, if a building fits there."""
    t = ts[kind]
    if kind == REFINERY:
        geyser = geyser_at(g, us, x, y)
        if geyser < 0:
            return BAD_PLACE
        x, y = us[geyser].x, us[geyser].y
    else:
        x, y = snap(x, t.plot_w), snap(y, t.plot_h)
    if not fits(g, us, ts, kind, x, y):
        return BAD_PLACE
    best, best_distance = -1, 1e18
    for i in range(g.top):
        u = us[i]
        if chosen[i] and u.kind == SCV:
            away = (u.x - x) ** 2 + (u.y - y) ** 2
            # One that is at work on a building already is taken last.
            if u.order >= BUILD and u.phase == MINING:
                away += 1e6
            if away < best_distance:
                best, best_distance = i, away
    if best < 0:
        return ERROR
    give(us, us[best], best, queued, BUILD + kind, x, y, -1, 0)
    return SUCCESS


@rule
def train_command(g: Any, us: Any, ts: Any, what: int, chosen: Any) -> int:
    """The chosen building with the shortest queue gets the unit; one with a reactor works on two things at once."""
    kind = trained_by(what)
    best, shortest = -1, 100
    for i in range(g.top):
        u = us[i]
        if chosen[i] and u.build_left <= 0.0 and u.producing < places(u):
            length = u.producing // 2 if u.addon_kind == REACTOR else u.producing
            if length < shortest:
                best, shortest = i, length
    return SUCCESS if best >= 0 and enqueue(g, us, ts, us[best], kind) else QUEUE_FULL


@rule
def cancel_command(g: Any, us: Any, ts: Any, what: int, index: int, chosen: Any) -> int:
    """Give up the first chosen building under construction, or one thing in the first busy queue."""
    for i in range(g.top):
        u = us[i]
        if chosen[i] == 0:
            continue
        if what == C_CANCEL and u.build_left > 0.0:
            cancel_building(g, us, ts, i)
            return SUCCESS
        if what != C_CANCEL and u.producing > 0:
            cancelled = cancel_item(g, us, ts, i, u.producing - 1 if index < 0 else index)
            return SUCCESS if cancelled else ERROR
    return ERROR


@rule
def perform(
    g: Any, us: Any, ts: Any, what: int, queued: int, x: float, y: float, target: int, index: int, chosen: Any
) -> int:
    """Give a command to the chosen units, ``chosen[slot]`` = 1, that can take it; what comes of it.

    It is aimed at a place or, if ``target`` >= 0, at the unit in that slot. ``index``: what to cancel in a queue.
    """
    able = 0
    for i in range(g.top):
        if chosen[i] and what != BUILD_QUEUE:
            chosen[i] = can(g, us[i], what)
        able += chosen[i]
    if able == 0 or (what == BUILD_QUEUE and able > 1):
        return NOT_SUPPORTED
    if what in (BUILD_QUEUE, C_CANCEL, C_CANCEL_LAST):
        return cancel_command(g, us, ts, what, index, chosen)
    lack = means(g, us, ts, what)
    if lack != SUCCESS:
        return lack
    if trained_by(what):
        return train_command(g, us, ts, what, chosen)
    building = built_by(what)
    if building:
        if target >= 0 and building == REFINERY:
            x, y = us[target].x, us[target].y
        return build_command(g, us, ts, building, queued, x, y, chosen)
    if what in (C_SCAN, C_MULE, C_SUPPLY_DROP):
        return spend(g, us, ts, what, x, y, target, chosen)
    for i in range(g.top):
        if chosen[i]:
            if what in (C_STIM, C_LOWER, C_RAISE, C_UNLOAD):
                change(g, us, ts, i, what)
            else:
                command(g, us, ts, i, what, queued, x, y, target)
    return SUCCESS


@rule
def change(g: Any, us: Any, ts: Any, me: int, what: int) -> None:
    """What a unit does with itself at once, whatever its orders."""
    u = us[me]
    if what == C_STIM:
        u.hp -= stim_cost(u.kind)
        u.stim_until = g.loop + STIM_LOOPS
    elif what == C_UNLOAD:
        turn_out(g, us, ts, me)
    else:
        lower(g, u, what == C_LOWER)


@rule
def spend(g: Any, us: Any, ts: Any, what: int, x: float, y: float, target: int, chosen: Any) -> int:
    """The chosen unit with the most energy does it."""
    best = -1
    for i in range(g.top):
        if chosen[i] and (best < 0 or energy_of(g, ts, us[i]) > energy_of(g, ts, us[best])):
            best = i
    if what == C_MULE and target >= 0 and not is_patch(us[target].kind):
        return BAD_TARGET
    if what == C_SUPPLY_DROP and (target < 0 or not takes_supply(us[target], OWN)):
        return BAD_TARGET
    if what == C_SCAN:
        scan(g, OWN, x, y)
    elif what == C_SUPPLY_DROP:
        us[target].extra = EXTRA_SUPPLY
    elif not call_mule(g, us, ts, OWN, x, y, target):
        return ERROR
    spend_energy(g, ts, us[best])
    return SUCCESS
