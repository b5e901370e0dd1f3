"""The computer player of a melee: what it builds and trains, at the pace of its difficulty.

It plays by the player's own rules and from a player's place (:func:`envs.standin.rules.players.turn`): workers bring
in what it spends, its buildings are built by workers on free ground, and supply limits it. A difficulty is how many
workers and barracks it goes for, how long it takes from one decision to the next, and when and with how many marines it
attacks; a build scales that. Only the two highest are given minerals, as their names say. What the army does is in
:mod:`envs.standin.scenarios.armies`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.standin.rules.cards import C_BARRACKS, C_DEPOT, C_TRAIN_MARINE, C_TRAIN_SCV, SUCCESS, means
from envs.standin.rules.catalog import BARRACKS, COMMAND_CENTER, MARINE, SCV, SUPPLY_DEPOT
from envs.standin.rules.compiled import rule
from envs.standin.rules.orders import build_command, give
from envs.standin.rules.production.queues import enqueue
from envs.standin.rules.production.supply import supply_cap, supply_used
from envs.standin.rules.terrain.levels import height_at, is_open
from envs.standin.rules.world import BUILD, GATHER, IDLE, OWN, distance, present, random
from envs.standin.scenarios.armies import lead, send_to_work
from envs.standin.scenarios.plans import (
    BARRACKS_WANTED,
    BEGIN,
    BONUS,
    GAP,
    MARGIN,
    MEDIUM,
    MORE_BARRACKS,
    MORE_WORKERS,
    PLANS,
    RANDOM_BUILD,
    RUSH,
    SOONER,
    WAVE,
    WAVE_SIZE,
    WORKERS_WANTED,
)

TURN = 8
"""Game loops from one turn of a computer player to the next."""

_BONUS_PERIOD, _INCOME = 64, 0.039
"""How often a cheat's extra minerals come, and what a worker brings in a loop (as in recorded games)."""

_RALLY = 9.0

# From the command center, in the direction of the other base.
_BARRACKS_SITES = np.array([(dx, dy) for dx in (6, 10, 14, 18) for dy in (6, 2, -2, 10)], np.float32)
_DEPOT_SITES = np.array([(x, y) for y in (5, 7, 9, 11, 13) for x in (-4, -2, 0, 2)], np.float32)


@rule
def start(g: Any) -> None:
    """Before the first loop: which build it plays, and how large its first wave will be."""
    g.plan = g.build
    if g.build == RANDOM_BUILD:
        g.plan = RUSH + int(4.0 * random(g))
    g.wave = max(2, int(g.pace[WAVE] * PLANS[g.plan, WAVE_SIZE]))
    g.attacking = 0
    g.busy = 0
    g.target_x = -1.0
    g.target_y = -1.0


@rule
def play(g: Any, us: Any, ts: Any, places: Any, chosen: Any) -> None:
    """One turn of the computer player whose units are OWN. ``chosen`` is scratch space, a number a slot."""
    home_x, home_y = places[g.corner, 0], places[g.corner, 1]
    workers = count(g, us, SCV, False)
    if g.pace[BONUS] > 0.0 and g.loop % _BONUS_PERIOD == 0:
        g.minerals += int(_BONUS_PERIOD * _INCOME * g.pace[BONUS] * workers)
    harvest(g, us)
    rally(g, us, home_x, home_y)
    alarmed = lead(g, us, ts, places, home_x, home_y) and g.difficulty >= MEDIUM
    if alarmed and count(g, us, MARINE, False) == 0:
        train(g, us, ts, COMMAND_CENTER, SCV, C_TRAIN_SCV)
    elif (alarmed or g.loop >= g.busy) and invest(g, us, ts, home_x, home_y, workers, chosen):
        g.busy = g.loop + int(g.pace[GAP])


@rule
def count(g: Any, us: Any, kind: int, ordered: bool) -> int:
    """Units of a kind that it has, begun ones among them; with ``ordered``, those that workers are to build, too."""
    found = 0
    for i in range(g.top):
        u = us[i]
        if u.kind != 0 and u.owner == OWN:
            found += u.kind == kind
            found += ordered and u.kind == SCV and u.order == BUILD + kind and not standing(us, u, kind)
    return found


@rule
def standing(us: Any, u: Any, kind: int) -> bool:
    """Has the worker begun the building that it is to build?"""
    slot = u.order_slot
    return slot >= 0 and us[slot].kind == kind and us[slot].tag == u.order_tag


@rule
def harvest(g: Any, us: Any) -> None:
    """Idle workers harvest."""
    for i in range(g.top):
        u = us[i]
        if u.kind == SCV and u.owner == OWN and u.order == IDLE and u.target < 0:
            send_to_work(g, us, i)


@rule
def invest(g: Any, us: Any, ts: Any, home_x: float, home_y: float, workers: int, chosen: Any) -> bool:
    """Order one thing, the first that is due and can be paid for; False if there is none."""
    pace, plan = g.pace, PLANS[g.plan]
    wanted = int(pace[WORKERS_WANTED] + plan[MORE_WORKERS])
    if workers < wanted and train(g, us, ts, COMMAND_CENTER, SCV, C_TRAIN_SCV):
        return True
    if g.loop < pace[BEGIN] * plan[SOONER]:
        return False
    if finish(g, us):
        return True
    used, cap = supply_used(g, us, ts, OWN), supply_cap(g, us, ts, OWN)
    depots = count(g, us, SUPPLY_DEPOT, True)
    coming = depots - count_finished(g, us, SUPPLY_DEPOT)
    short = cap < 400 and cap + 16 * coming - used <= 2 * int(pace[MARGIN])
    due = (depots == 0 or short) and means(g, us, ts, C_DEPOT) == SUCCESS
    if due and found(g, us, ts, SUPPLY_DEPOT, _DEPOT_SITES, home_x, home_y, chosen):
        return True
    more = count(g, us, BARRACKS, True) < int(pace[BARRACKS_WANTED] * plan[MORE_BARRACKS])
    due = more and means(g, us, ts, C_BARRACKS) == SUCCESS
    if due and found(g, us, ts, BARRACKS, _BARRACKS_SITES, home_x, home_y, chosen):
        return True  # where all sites are taken, soldiers are trained from what there is
    return train(g, us, ts, BARRACKS, MARINE, C_TRAIN_MARINE)


@rule
def count_finished(g: Any, us: Any, kind: int) -> int:
    """Its finished buildings of a kind."""
    found = 0
    for i in range(g.top):
        found += us[i].kind == kind and us[i].owner == OWN and us[i].build_left <= 0.0
    return found


@rule
def train(g: Any, us: Any, ts: Any, kind: int, what: int, command: int) -> bool:
    """Train a unit in the first building of a kind that is free."""
    if means(g, us, ts, command) != SUCCESS:
        return False
    for i in range(g.top):
        b = us[i]
        if b.kind == kind and b.owner == OWN and b.build_left <= 0.0 and b.producing == 0:
            return enqueue(g, us, ts, b, what)
    return False


@rule
def finish(g: Any, us: Any) -> bool:
    """Send a worker to a building that was begun and left."""
    for i in range(g.top):
        b = us[i]
        if b.kind == 0 or b.owner != OWN or b.build_left <= 0.0 or present(us, b.worker, b.worker_tag):
            continue
        builder, nearest = -1, 1e9
        for k in range(g.top):
            u = us[k]
            if u.kind != SCV or u.owner != OWN:
                continue
            if u.order == BUILD + b.kind and u.order_slot == i:
                builder = -1
                break  # one is on its way
            away = distance(u.x, u.y, b.x, b.y)
            if u.order in (GATHER, IDLE) and away < nearest:
                builder, nearest = k, away
        if builder >= 0:
            give(us, us[builder], builder, 0, BUILD + b.kind, b.x, b.y, i, b.tag)
            return True
    return False


@rule
def found(g: Any, us: Any, ts: Any, kind: int, sites: Any, x: float, y: float, chosen: Any) -> bool:
    """Send a worker to build on the first of the sites where that fits."""
    able = 0
    for i in range(g.top):
        u = us[i]
        chosen[i] = u.kind == SCV and u.owner == OWN and u.order in (GATHER, IDLE)
        able += chosen[i]
    if able == 0:
        return False
    in_x, in_y = inward(g.left, g.right, x), inward(g.bottom, g.top_y, y)
    for k in range(sites.shape[0]):
        at_x, at_y = x + in_x * sites[k, 0], y + in_y * sites[k, 1]
        at_home = height_at(g, at_x, at_y) == height_at(g, x, y)  # not below the cliff
        if at_home and build_command(g, us, ts, kind, 0, at_x, at_y, chosen) == SUCCESS:
            return True
    return False


@rule
def rally(g: Any, us: Any, x: float, y: float) -> None:
    """Marines gather in front of the base."""
    in_x, in_y = inward(g.left, g.right, x), inward(g.bottom, g.top_y, y)
    if not is_open(g, MARINE, x + in_x * _RALLY, y + in_y * _RALLY):
        in_y = 0.0  # beside the base, where the ground is the base's
    for i in range(g.top):
        b = us[i]
        if b.kind == BARRACKS and b.owner == OWN and b.rally == 0:
            b.rally = 1
            b.rally_x = x + in_x * _RALLY
            b.rally_y = y + in_y * _RALLY


@rule
def inward(low: float, high: float, at: float) -> float:
    """The direction from there to the middle between two borders: 1 up, -1 down."""
    return 1.0 if at < (low + high) / 2 else -1.0
