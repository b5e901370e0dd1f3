"""The computer player of a melee: marines at the pace of its difficulty, and attacks when its build calls for them.

Its ten difficulties and its builds are those that the API names. It has the barracks and trains at the pace that the
table says, without paying: an economy of its own would be hidden anyway. Everything else is in the game: workers that
harvest (the fewer are left, the slower it trains), buildings that take their time and can be destroyed, marines that
come out of barracks. It sees the whole map. "Air" has nothing that flies here; it is a late attack.

Up to ``very_hard``, which the game's menu calls Elite, the pace is one that its workers' minerals could pay for: five
barracks that never rest are 50 minerals every 80 loops, the income of sixteen workers. Beyond that it cheats.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.standin.rules.building import START_HEALTH, fits, release
from envs.standin.rules.catalog import BARRACKS, COMMAND_CENTER, MARINE, SCV, SUPPLY_DEPOT
from envs.standin.rules.compiled import rule
from envs.standin.rules.economy import nearest_source, set_source
from envs.standin.rules.orders import give
from envs.standin.rules.world import (
    ATTACK_MOVE,
    ENEMY,
    GATHER,
    IDLE,
    OWN,
    distance,
    is_structure,
    random,
    spawn,
)

TURN = 8
"""Game loops from one turn of a computer player to the next."""

RANDOM_BUILD, RUSH, TIMING, POWER, MACRO, AIR = range(1, 7)

_BARRACKS, _PERIOD, _BEGIN, _GAP, _WAVE, _ARMY, _PEACE = range(7)
_PACE = np.array(
    [
        # barracks; loops a marine takes in one; loop of the first depot; loops from one building to the next;
        # marines of the first wave; most marines; loop before which no wave leaves
        (0, 0, 0, 0, 0, 0, 0),
        (1, 1600, 3000, 800, 3, 6, 9000),  # very easy
        (1, 1000, 2400, 700, 4, 10, 7000),
        (2, 1000, 1900, 600, 6, 16, 6000),
        (2, 700, 1500, 500, 8, 24, 5000),
        (3, 600, 1200, 400, 10, 32, 4500),  # hard
        (4, 500, 900, 350, 14, 45, 4000),
        (5, 400, 600, 300, 18, 60, 3500),  # very hard
        (5, 400, 600, 300, 18, 60, 3500),
        (7, 400, 500, 250, 22, 80, 3000),
        (10, 400, 400, 150, 28, 100, 2500),  # cheats, insane
    ],
    np.float32,
)

_MORE_BARRACKS, _PATIENCE = range(2)
_PLANS = np.array(
    [
        # more barracks, and how many marines and loops the first wave waits for, as parts of what the pace says
        (1.0, 1.0),
        (1.0, 1.0),
        (1.0, 0.5),  # rush
        (1.0, 0.8),  # timing
        (1.0, 1.2),  # power
        (1.5, 1.4),  # macro
        (1.0, 1.2),  # air
    ],
    np.float32,
)

_GROWTH = 1.25
"""By how much each wave is larger than the one before."""

_WORKERS = 12
_TRAIN_WORKER = 272.0
_HOME = 20.0
"""How far from its command center a marine is at home, and an intruder in it."""

_RALLY = 11.0

# From the command center, in the direction of the other base.
_BARRACKS_SITES = np.array([(dx, dy) for dx in (6, 10, 14, 18) for dy in (6, 2, -2, 10)], np.float32)
_DEPOT_SITES = np.array([(x, y) for y in (5.5, 8.5, 11.5) for x in (-4.5, -1.5, 1.5)], np.float32)


@rule
def start(g: Any) -> None:
    """Before the first loop: which build it plays, and how large its first wave will be."""
    g.plan = g.build
    if g.build == RANDOM_BUILD:
        g.plan = RUSH + int(5.0 * random(g))
    g.wave = max(2, int(_PACE[g.difficulty, _WAVE] * _PLANS[g.plan, _PATIENCE]))


@rule
def play(g: Any, us: Any, ts: Any, places: Any) -> None:
    """One turn: buildings and units on their way come nearer, new ones are begun, marines are sent."""
    home_x, home_y = places[3 - g.base, 0], places[3 - g.base, 1]
    workers, barracks, depots, marines, gathered = 0, 0, 0, 0, 0
    intruder, near = -1, _HOME
    for i in range(g.top):
        u = us[i]
        if u.kind == 0:
            continue
        away = distance(u.x, u.y, home_x, home_y)
        if u.owner == OWN and away < near:
            intruder, near = i, away
        if u.owner != ENEMY:
            continue
        if u.kind == SCV:
            workers += 1
        elif u.kind == BARRACKS:
            barracks += 1
        elif u.kind == SUPPLY_DEPOT:
            depots += 1
        elif u.kind == MARINE:
            marines += 1
            gathered += u.order == IDLE and away < _HOME
    if workers > 0:
        begin_what_is_due(g, us, ts, home_x, home_y, barracks, depots)
    work(g, us, ts, workers, marines)
    if intruder >= 0:
        send(g, us, home_x, home_y, us[intruder].x, us[intruder].y)
        return
    most = int(_PACE[g.difficulty, _ARMY])
    peace = _PACE[g.difficulty, _PEACE] * _PLANS[g.plan, _PATIENCE]
    if g.loop >= peace and gathered >= min(g.wave, most):
        g.wave = min(int(g.wave * _GROWTH) + 1, most)
        target = nearest_building(g, us, ts, home_x, home_y)
        if target >= 0:
            send(g, us, home_x, home_y, us[target].x, us[target].y)
    go_on_searching(g, us, ts, home_x, home_y)


@rule
def begin_what_is_due(g: Any, us: Any, ts: Any, x: float, y: float, barracks: int, depots: int) -> None:
    """A depot, then barracks, a depot with every second of them; what was destroyed is begun anew."""
    begin, apart = int(_PACE[g.difficulty, _BEGIN]), int(_PACE[g.difficulty, _GAP])
    if g.loop < begin or (g.loop - begin) % apart >= TURN:
        return
    wanted = int(_PACE[g.difficulty, _BARRACKS] * _PLANS[g.plan, _MORE_BARRACKS])
    if depots == 0 or (barracks >= 2 * depots and depots < _DEPOT_SITES.shape[0]):
        found(g, us, ts, SUPPLY_DEPOT, _DEPOT_SITES, x, y)
    elif barracks < wanted:
        found(g, us, ts, BARRACKS, _BARRACKS_SITES, x, y)


@rule
def found(g: Any, us: Any, ts: Any, kind: int, sites: Any, x: float, y: float) -> None:
    """Begin a building on the first of the sites where it fits."""
    inward = 1.0 if x + y < g.left + g.top_y else -1.0
    for k in range(sites.shape[0]):
        at_x, at_y = x + inward * sites[k, 0], y + inward * sites[k, 1]
        if not fits(g, us, ts, kind, at_x, at_y):
            continue
        slot = spawn(g, us, ts, kind, ENEMY, at_x, at_y)
        if slot < 0:
            return
        b = us[slot]
        b.hp = START_HEALTH * ts[kind].hp
        b.build_left = ts[kind].build_loops
        b.timer = _PACE[g.difficulty, _PERIOD]
        b.rally = 1
        b.rally_x = x + inward * _RALLY
        b.rally_y = y + inward * _RALLY
        g.obstacles += 1
        return


@rule
def work(g: Any, us: Any, ts: Any, workers: int, marines: int) -> None:
    """Construction and training go on by a turn's loops. Idle workers harvest."""
    period, most = _PACE[g.difficulty, _PERIOD], int(_PACE[g.difficulty, _ARMY])
    for i in range(g.top):
        b = us[i]
        if b.kind == 0 or b.owner != ENEMY:
            continue
        if b.build_left > 0.0:
            t = ts[b.kind]
            b.build_left = max(b.build_left - TURN, 0.0)
            b.hp = min(b.hp + TURN * t.hp * (1.0 - START_HEALTH) / t.build_loops, t.hp)
        elif b.kind == BARRACKS and marines < most:
            b.timer -= TURN * workers / _WORKERS
            if b.timer <= 0.0 and release(g, us, ts, i, MARINE):
                b.timer += period
                marines += 1
        elif b.kind == COMMAND_CENTER and workers < _WORKERS:
            b.timer += TURN
            if b.timer >= _TRAIN_WORKER and release(g, us, ts, i, SCV):
                b.timer = 0.0
                workers += 1
        elif b.kind == SCV and b.order == IDLE:
            source = nearest_source(g, us, b.x, b.y, False)
            if source >= 0:
                b.order = GATHER
                set_source(us, b, source)


@rule
def send(g: Any, us: Any, home_x: float, home_y: float, x: float, y: float) -> None:
    """The marines that wait at home attack towards a place."""
    for i in range(g.top):
        u = us[i]
        waits = u.kind == MARINE and u.owner == ENEMY and u.order == IDLE
        if waits and distance(u.x, u.y, home_x, home_y) < _HOME:
            give(us, u, i, 0, ATTACK_MOVE, x, y, -1, 0)


@rule
def go_on_searching(g: Any, us: Any, ts: Any, home_x: float, home_y: float) -> None:
    """Marines that are away from home and have nothing to do attack the player's building nearest to them."""
    for i in range(g.top):
        u = us[i]
        waits = u.kind == MARINE and u.owner == ENEMY and u.order == IDLE and u.target < 0
        if waits and distance(u.x, u.y, home_x, home_y) >= _HOME:
            target = nearest_building(g, us, ts, u.x, u.y)
            if target >= 0:
                give(us, u, i, 0, ATTACK_MOVE, us[target].x, us[target].y, -1, 0)


@rule
def nearest_building(g: Any, us: Any, ts: Any, x: float, y: float) -> int:
    """The player's building nearest to a place; -1 if there is none."""
    best, nearest = -1, 1e9
    for i in range(g.top):
        u = us[i]
        if u.kind != 0 and u.owner == OWN and is_structure(ts, u.kind):
            away = distance(x, y, u.x, u.y)
            if away < nearest:
                best, nearest = i, away
    return best
