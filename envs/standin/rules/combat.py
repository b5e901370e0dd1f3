"""Fighting: whom to attack, when a shot leaves, what it does, and what death does.

Weapons: an attack begins when its target is in range (edge to edge) and the cooldown is over; after the damage point
the shot leaves, if the target is still within :data:`SLOP` of the range; the next attack can begin one period after
this one began, plus a random delay of -1 to 2 loops. Damage is reduced by armor, to no less than half a point.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from envs.standin.rules.catalog import (
    ARMORED,
    BANELING,
    CONCUSSIVE_SHELLS,
    INFANTRY_ARMOR,
    INFANTRY_WEAPONS,
    LIGHT,
    MARAUDER,
    MARINE,
    REAPER,
    SCV,
)
from envs.standin.rules.compiled import rule
from envs.standin.rules.motion import go, turn_to
from envs.standin.rules.players import cheats_of, has_upgrade, upgrades_of
from envs.standin.rules.production.construction import take_down
from envs.standin.rules.terrain.levels import sees_up
from envs.standin.rules.world import (
    ATTACK,
    ATTACK_MOVE,
    ENEMY,
    GARRISON,
    GOD,
    HOLD,
    IDLE,
    MISSILES,
    NEUTRAL,
    PATROL,
    distance,
    is_structure,
    next_order,
    present,
    remove,
    uniform,
)

SLOP = 1.0
"""A shot that was begun still leaves if its target has got no farther than this out of range (``RangeSlop``)."""

LEAST_DAMAGE = 0.5

STIM_RATE = 1.5
"""``AttackSpeedMultiplier`` of stimpacks."""
SLOW_LOOPS = 24
"""How long concussive shells slow their victim: 1.5 s."""
BUNKER_RANGE = 1.0
"""What being in a bunker adds to a weapon's range."""
REST_LOOPS = 10 * 16
"""How long after the last hit a reaper begins to heal (``LifeRegenDelay``)."""

LOOK_PERIOD = 8
"""A unit without a target in range looks for one when it gets an order, and then every so many loops. How often is not
settled by any source at hand; with half a second the spread of scores on DefeatRoaches is nearest to the published
one."""

HELP_RADIUS, HELP_PERIOD = 4.0, 32
"""Idle friends this near to a victim come to its help; it calls at most this often (``GameData.xml``)."""


@rule
def gap(ts: Any, u: Any, v: Any) -> float:
    """The distance between two units' edges."""
    return distance(u.x, u.y, v.x, v.y) - ts[u.kind].radius - ts[v.kind].radius


@rule
def can_attack(ts: Any, u: Any) -> bool:
    """Has it a weapon?"""
    return ts[u.kind].damage > 0.0


@rule
def acquire(g: Any, us: Any, ts: Any, me: int, reach: float) -> int:
    """The enemy to attack within ``reach``: of those with the highest priority, the nearest. -1 if there is none."""
    u = us[me]
    return acquire_from(g, us, ts, u.owner, u.x, u.y, ts[u.kind].radius, reach)


@rule
def acquire_from(g: Any, us: Any, ts: Any, owner: int, x: float, y: float, mine: float, reach: float) -> int:
    """As :func:`acquire`, for somebody of that owner's at a place, whose radius is ``mine``."""
    best, best_gap, best_priority = -1, 0.0, 0
    for i in range(g.top):
        v = us[i]
        if v.kind == 0 or v.owner == owner or v.owner == NEUTRAL or v.hp <= 0.0:
            continue
        t = ts[v.kind]
        dx, dy = v.x - x, v.y - y
        limit = reach + mine + t.radius
        d2 = dx * dx + dy * dy
        if d2 > limit * limit or not (sees_up(g, x, y, v.x, v.y) or is_seen_by(g, us, ts, owner, i)):
            continue
        edge = math.sqrt(d2) - mine - t.radius
        if t.priority > best_priority or (t.priority == best_priority and edge < best_gap):
            best, best_gap, best_priority = i, edge, t.priority
    return best


@rule
def is_seen_by(g: Any, us: Any, ts: Any, owner: int, slot: int) -> bool:
    """Does any unit of that owner's see the one in that slot?"""
    v = us[slot]
    for i in range(g.top):
        u = us[i]
        near = u.kind != 0 and u.owner == owner and distance(u.x, u.y, v.x, v.y) <= ts[u.kind].sight
        if near and sees_up(g, u.x, u.y, v.x, v.y):
            return True
    return False


@rule
def fight(g: Any, us: Any, ts: Any, me: int) -> None:
    """One loop of a unit that is free to attack, or told to: acquire, shoot, chase, or go on with its order."""
    u = us[me]
    t = ts[u.kind]
    explicit = u.order == ATTACK
    if explicit:
        if not present(us, u.order_slot, u.order_tag) or us[u.order_slot].hp <= 0.0:
            u.target = -1
            next_order(u)
            return
        u.target = u.order_slot
        u.target_tag = u.order_tag
    elif g.enemies > 0 or u.owner == ENEMY:
        if u.target >= 0 and (not present(us, u.target, u.target_tag) or us[u.target].hp <= 0.0):
            u.target = -1
        if g.loop >= u.look and (u.target < 0 or gap(ts, u, us[u.target]) > t.range):
            u.look = g.loop + LOOK_PERIOD
            reach = t.range if u.order == HOLD else max(t.range, t.scan)
            found = acquire(g, us, ts, me, reach)
            if found >= 0:
                u.target = found
                u.target_tag = us[found].tag
            elif u.order == HOLD:
                u.target = -1
    else:
        u.target = -1
    if u.target >= 0:
        engage(g, us, ts, me)
    elif u.order in (ATTACK_MOVE, PATROL) and go(g, us, ts, u, u.order_x, u.order_y):
        if u.order == PATROL:
            u.order_x, u.from_x = u.from_x, u.order_x
            u.order_y, u.from_y = u.from_y, u.order_y
        else:
            next_order(u)


@rule
def engage(g: Any, us: Any, ts: Any, me: int) -> None:
    """Shoot at the target if it is in range and the weapon is ready; close in if it is not in range."""
    u = us[me]
    t = ts[u.kind]
    v = us[u.target]
    away = distance(u.x, u.y, v.x, v.y)
    if away - t.radius - ts[v.kind].radius > t.range:
        if u.order != HOLD:
            go(g, us, ts, u, v.x, v.y)
        return
    facing = turn_to(u, v.x - u.x, v.y - u.y, away)
    if t.splash > 0.0:
        u.hp = 0.0
        g.dying = 1
        return
    if u.cooldown <= 0.0 and facing:
        begin_shot(g, us, ts, me)


@rule
def begin_shot(g: Any, us: Any, ts: Any, me: int) -> None:
    """The weapon is set off. A stimpack hastens it."""
    u = us[me]
    t = ts[u.kind]
    if g.loop < u.stim_until:
        u.cooldown += t.period / STIM_RATE + uniform(g, -1.0, 2.0)
        u.windup = t.damage_point / STIM_RATE
    else:
        u.cooldown += t.period + uniform(g, -1.0, 2.0)
        u.windup = t.damage_point
    if u.windup <= 0.0:
        shoot(g, us, ts, me)


@rule
def garrison(g: Any, us: Any, ts: Any, me: int) -> None:
    """One loop of a unit in a bunker: it shoots from there, a little farther, at whom it can reach."""
    u = us[me]
    t = ts[u.kind]
    u.cooldown = u.cooldown - 1.0 if u.cooldown > 0.0 else 0.0
    if t.damage <= 0.0 or u.kind == SCV or not present(us, u.order_slot, u.order_tag):
        return
    b = us[u.order_slot]
    reach = t.range + BUNKER_RANGE
    if u.target >= 0:
        there = present(us, u.target, u.target_tag) and us[u.target].hp > 0.0
        if not there or gap(ts, b, us[u.target]) > reach:
            call_off(u)
            u.target = -1
    if u.target < 0 and g.loop >= u.look:
        u.look = g.loop + LOOK_PERIOD
        u.target = acquire_from(g, us, ts, u.owner, b.x, b.y, ts[b.kind].radius, reach)
        if u.target >= 0:
            u.target_tag = us[u.target].tag
    if u.target < 0:
        return
    if u.windup > 0.0:
        u.windup -= 1.0
        if u.windup <= 0.0:
            u.windup = 0.0
            shoot(g, us, ts, me)
    elif u.cooldown <= 0.0:
        begin_shot(g, us, ts, me)


@rule
def damage_of(g: Any, ts: Any, u: Any, v: Any) -> float:
    """What each hit of a unit's does to another, before its armor."""
    t = ts[u.kind]
    damage = t.damage
    if ts[v.kind].attributes & LIGHT:
        damage += t.bonus_light
    if ts[v.kind].attributes & ARMORED:
        damage += t.bonus_armored
    if upgrades_of(g, u.owner) and has_upgrade(g, u.owner, INFANTRY_WEAPONS) and u.kind in (MARINE, REAPER, MARAUDER):
        damage += np.float32(1.0)
        if u.kind == MARAUDER and ts[v.kind].attributes & ARMORED:
            damage += np.float32(1.0)
    return damage


@rule
def slows(g: Any, ts: Any, u: Any, v: Any) -> bool:
    """Do a unit's shots slow another?"""
    return u.kind == MARAUDER and has_upgrade(g, u.owner, CONCUSSIVE_SHELLS) and not is_structure(ts, v.kind)


@rule
def shoot(g: Any, us: Any, ts: Any, me: int) -> None:
    """The shot leaves: it hits at once, or it is a missile."""
    u = us[me]
    t = ts[u.kind]
    v = us[u.target]
    damage = damage_of(g, ts, u, v)
    at = me
    if u.order == GARRISON:  # who answers, answers to the bunker
        at = u.order_slot
    if t.missile > 0.0 and g.missiles < MISSILES:
        n = g.missiles
        g.missile_left[n] = distance(us[at].x, us[at].y, v.x, v.y) / t.missile
        g.missile_slows[n] = slows(g, ts, u, v)
        g.missile_damage[n] = damage
        g.missile_slot[n] = u.target
        g.missile_tag[n] = u.target_tag
        g.missile_from[n] = at
        g.missile_from_tag[n] = us[at].tag
        g.missiles = n + 1
        return
    if slows(g, ts, u, v):
        v.slow_until = g.loop + SLOW_LOOPS
    for _ in range(t.hits):
        if v.hp > 0.0:
            hurt(g, us, ts, u.target, damage, at, us[at].tag)


@rule
def fly_missiles(g: Any, us: Any, ts: Any) -> None:
    """Missiles follow their target, whoever shot them, and hit when their flight's time is over."""
    kept = 0
    for k in range(g.missiles):
        left = g.missile_left[k] - 1.0
        slot, tag = g.missile_slot[k], g.missile_tag[k]
        if left > 0.0:
            g.missile_left[kept] = left
            g.missile_damage[kept] = g.missile_damage[k]
            g.missile_slows[kept] = g.missile_slows[k]
            g.missile_slot[kept] = slot
            g.missile_tag[kept] = tag
            g.missile_from[kept] = g.missile_from[k]
            g.missile_from_tag[kept] = g.missile_from_tag[k]
            kept += 1
        elif present(us, slot, tag):
            if g.missile_slows[k]:
                us[slot].slow_until = g.loop + SLOW_LOOPS
            hurt(g, us, ts, slot, g.missile_damage[k], g.missile_from[k], g.missile_from_tag[k])
    g.missiles = kept


@rule
def hurt(g: Any, us: Any, ts: Any, slot: int, damage: float, attacker: int, attacker_tag: int) -> None:
    """Take hit points off a unit; if it lives it defends itself, and calls for help."""
    v = us[slot]
    if cheats_of(g, v.owner) & GOD:
        return
    armor = ts[v.kind].armor
    if upgrades_of(g, v.owner) and has_upgrade(g, v.owner, INFANTRY_ARMOR) and is_infantry(v.kind):
        armor += np.float32(1.0)
    v.hp -= max(LEAST_DAMAGE, damage - armor)
    v.hurt_at = g.loop
    if v.hp <= 0.0:
        g.dying = 1
    if not present(us, attacker, attacker_tag) or us[attacker].owner == v.owner:
        return
    answer(ts, v, attacker, attacker_tag)
    if g.loop - v.called < HELP_PERIOD:
        return
    v.called = g.loop
    for i in range(g.top):
        w = us[i]
        friend = w.kind != 0 and w.owner == v.owner and i != slot
        if friend and distance(w.x, w.y, v.x, v.y) <= HELP_RADIUS:
            answer(ts, w, attacker, attacker_tag)


@rule
def is_infantry(kind: int) -> bool:
    """Does infantry armor protect it?"""
    return kind in (MARINE, SCV, MARAUDER, REAPER)


@rule
def answer(ts: Any, v: Any, attacker: int, attacker_tag: int) -> None:
    """An idle unit that is attacked, or called, takes the attacker as its target."""
    if v.order == IDLE and v.target < 0 and can_attack(ts, v) and v.kind != SCV:
        v.target = attacker
        v.target_tag = attacker_tag


@rule
def explode(g: Any, us: Any, ts: Any, slot: int) -> None:
    """A baneling bursts, killed or not: what of the other side has its center in the radius, buildings aside, is hit.

    That the center counts, not the edge, is an action: published scores on its map are nearer to it.
    """
    u = us[slot]
    t = ts[u.kind]
    for i in range(g.top):
        v = us[i]
        if v.kind == 0 or v.owner == u.owner or v.owner == NEUTRAL or is_structure(ts, v.kind) or v.hp <= 0.0:
            continue
        if distance(u.x, u.y, v.x, v.y) <= t.splash:
            bonus = t.bonus_light if ts[v.kind].attributes & LIGHT else 0.0
            hurt(g, us, ts, i, t.damage + bonus, -1, 0)


@rule
def bury(g: Any, us: Any, ts: Any, dead: Any) -> None:
    """Take away the units whose hit points have run out, and count them: ``dead[owner]``."""
    again = True
    while again:
        again = False
        for i in range(g.top):
            u = us[i]
            if u.kind != 0 and u.hp <= 0.0:
                if u.kind == BANELING:
                    explode(g, us, ts, i)
                    again = True
                dead[u.owner] += 1
                if is_structure(ts, u.kind):
                    take_down(g, us, ts, i)
                else:
                    remove(g, us, i)
    g.dying = 0


@rule
def is_at_rest(g: Any, ts: Any, u: Any) -> bool:
    """Is there nothing that the unit would do in this loop?"""
    if u.order != IDLE or u.moving != 0 or u.target >= 0 or g.loop >= u.look or u.queued > 0:
        return False
    still = u.speed == 0.0 and u.windup <= 0.0 and u.cooldown == 0.0 and u.expires == 0
    return still and (ts[u.kind].regeneration <= 0.0 or u.hp >= ts[u.kind].hp)


@rule
def weapon_loop(g: Any, us: Any, ts: Any, me: int) -> bool:
    """One loop of a unit's clockwork: regeneration, cooldown, damage point. True while it is busy shooting."""
    u = us[me]
    t = ts[u.kind]
    if t.regeneration > 0.0 and u.hp < t.hp and (u.kind != REAPER or g.loop >= u.hurt_at + REST_LOOPS):
        u.hp = min(u.hp + t.regeneration, t.hp)
    # What is left of the loop in which it ran out counts for a shot that begins in that loop, not for a later one.
    u.cooldown = u.cooldown - 1.0 if u.cooldown > 0.0 else 0.0
    if u.windup > 0.0:
        if not can_hit(us, ts, u):
            call_off(u)
            return False
        u.windup -= 1.0
        if u.windup > 0.0:
            return True
        u.windup = 0.0
        shoot(g, us, ts, me)
    return False


@rule
def can_hit(us: Any, ts: Any, u: Any) -> bool:
    """Is the target of a shot that was begun still alive and near enough?"""
    if u.target < 0 or not present(us, u.target, u.target_tag) or us[u.target].hp <= 0.0:
        return False
    return gap(ts, u, us[u.target]) <= ts[u.kind].range + SLOP


@rule
def call_off(u: Any) -> None:
    """Break off a shot that has not left: it costs no more than the time spent on it."""
    if u.windup > 0.0:
        u.windup = 0.0
        u.cooldown = 0.0
