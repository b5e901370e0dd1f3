"""What a computer player's army does: it defends, attacks in waves, comes home, and looks for what hides.

It acts on what its units see, the two highest levels but one and above on everything. Where it has seen a building
last it remembers.
"""

from __future__ import annotations

from typing import Any

from envs.standin.rules.catalog import MARINE, SCV
from envs.standin.rules.compiled import rule
from envs.standin.rules.economy import is_patch
from envs.standin.rules.orders import give
from envs.standin.rules.world import (
    ATTACK_MOVE,
    BUILD,
    ENEMY,
    GATHER,
    IDLE,
    MOVE,
    OWN,
    distance,
    is_structure,
    is_visible,
    uniform,
)
from envs.standin.scenarios.plans import ARMY, CHEAT_VISION, DEFENDERS, PATIENCE, PEACE, PLANS

HOME = 20.0
"""How far from its command center an intruder is in its base."""
_FRONT = 14.0
"""How far from the middle of an army an enemy counts against it."""
_YARD = 9.0
"""How far from it workers go to fight."""
_WORKER = 0.35
"""What a worker is worth in a fight, where a marine is worth 1."""
_GROWTH = 1.25
"""By how much a wave is larger than the one before that failed."""
_AT_HOME, _ATTACKING, _SEARCHING = range(3)
_BETTER = 1.3
"""Who sees everything attacks with so many times what there is to meet."""


@rule
def power(us: Any, ts: Any, slot: int) -> float:
    """What a unit is worth in a fight."""
    u = us[slot]
    if ts[u.kind].damage <= 0.0:
        return 0.0
    worth = _WORKER if u.kind == SCV else 1.0
    return worth * u.hp / ts[u.kind].hp


@rule
def lead(g: Any, us: Any, ts: Any, places: Any, home_x: float, home_y: float) -> bool:
    """One turn: look around, then defend, or else attack. Is there an enemy in the base?"""
    all_seen = g.difficulty >= CHEAT_VISION
    intruder, near, foes, front, known = -1, HOME, 0.0, 0.0, 0.0
    army, at_home = 0, 0.0
    away_x, away_y, out = 0.0, 0.0, 0
    for i in range(g.top):
        u = us[i]
        if u.kind == MARINE and u.owner == OWN:
            army += 1
            if distance(u.x, u.y, home_x, home_y) < HOME:
                at_home += power(us, ts, i)
            else:
                away_x, away_y, out = away_x + u.x, away_y + u.y, out + 1
    if out > 0:
        away_x, away_y = away_x / out, away_y / out
    nearest = 1e9
    for i in range(g.top):
        v = us[i]
        if v.kind == 0 or v.owner != ENEMY or not (all_seen or is_visible(g, us, ts, i)):
            continue
        away = distance(v.x, v.y, home_x, home_y)
        if is_structure(ts, v.kind) and away < nearest:
            nearest = away
            g.target_x, g.target_y = v.x, v.y
        worth = power(us, ts, i)
        known += worth if v.kind == MARINE else 0.0
        if away < HOME:
            foes += worth
        elif worth > _WORKER and out > 0 and distance(v.x, v.y, away_x, away_y) < _FRONT:
            front += worth
        if away < near:
            intruder, near = i, away
    if intruder >= 0:
        defend(g, us, ts, home_x, home_y, us[intruder].x, us[intruder].y, foes, at_home)
        return True
    back_to_work(g, us)
    better = not all_seen or army > _BETTER * known or army >= g.pace[ARMY]
    attack(g, us, ts, places, home_x, home_y, army, front, better)
    return False


@rule
def defend(
    g: Any, us: Any, ts: Any, home_x: float, home_y: float, x: float, y: float, foes: float, at_home: float
) -> None:
    """Marines, and as many workers as it takes, attack the intruders; from what is too strong the workers flee."""
    for i in range(g.top):
        u = us[i]
        near = distance(u.x, u.y, x, y) < 1.5 * HOME
        free = u.order in (IDLE, MOVE) or (u.order == ATTACK_MOVE and distance(u.order_x, u.order_y, x, y) > 4.0)
        if u.kind == MARINE and u.owner == OWN and free and u.target < 0 and (near or foes > at_home):
            give(us, u, i, 0, ATTACK_MOVE, x, y, -1, 0)
    workers = 0
    for i in range(g.top):
        workers += us[i].kind == SCV and us[i].owner == OWN
    called = (1.3 * foes - at_home) / _WORKER
    # Those that are still on their way are met at the minerals, by all at once.
    ready = distance(x, y, home_x, home_y) < _YARD
    hopeless = foes > 1.5 * (at_home + _WORKER * workers)
    most = int(g.pace[DEFENDERS] * workers)
    left = 0 if hopeless or not ready else min(most, int(called + 0.999))
    for i in range(g.top):
        u = us[i]
        if u.kind != SCV or u.owner != OWN or u.order >= BUILD:
            continue
        fights = u.order == ATTACK_MOVE
        if left > 0:
            left -= 1
            if not fights or (u.target < 0 and distance(u.order_x, u.order_y, x, y) > 2.0):
                give(us, u, i, 0, ATTACK_MOVE, x, y, -1, 0)
        elif fights:
            send_to_work(g, us, i)
        elif hopeless and u.order == GATHER and distance(u.x, u.y, x, y) < 5.0:
            dx, dy = u.x - x, u.y - y
            give(us, u, i, 0, MOVE, u.x + 2.0 * dx, u.y + 2.0 * dy, -1, 0)


@rule
def send_to_work(g: Any, us: Any, i: int) -> None:
    """A worker goes to the nearest minerals, however far it has run."""
    u = us[i]
    source, nearest = -1, 1e9
    for k in range(g.top):
        away = distance(u.x, u.y, us[k].x, us[k].y)
        if is_patch(us[k].kind) and away < nearest:
            source, nearest = k, away
    if source >= 0:
        give(us, u, i, 0, GATHER, us[source].x, us[source].y, source, us[source].tag)


@rule
def back_to_work(g: Any, us: Any) -> None:
    """Workers that have been called to defend harvest again."""
    for i in range(g.top):
        u = us[i]
        if u.kind == SCV and u.owner == OWN and u.order == ATTACK_MOVE:
            send_to_work(g, us, i)


@rule
def attack(
    g: Any, us: Any, ts: Any, places: Any, home_x: float, home_y: float, army: int, front: float, better: bool
) -> None:
    """Waves leave when they are large enough, and come home when they have shrunk or meet too many."""
    waiting, strength = 0, 0.0
    for i in range(g.top):
        u = us[i]
        if u.kind == MARINE and u.owner == OWN:
            home = distance(u.x, u.y, home_x, home_y) < HOME
            waiting += home and u.order in (IDLE, MOVE)
            if not home:
                strength += power(us, ts, i)
    most = int(g.pace[ARMY])
    if g.attacking == _AT_HOME:
        if g.loop >= g.pace[PEACE] * PLANS[g.plan, PATIENCE] and better and waiting >= min(g.wave, most):
            g.attacking = _ATTACKING
            march(g, us, ts, places, home_x, home_y, True)
        return
    if army < 0.3 * g.wave or (strength > 0.0 and front > 1.6 * strength):
        g.attacking = _AT_HOME
        g.wave = min(int(g.wave * _GROWTH) + 1, most)
        for i in range(g.top):
            u = us[i]
            if u.kind == MARINE and u.owner == OWN and distance(u.x, u.y, home_x, home_y) >= HOME:
                x, y = 0.8 * home_x + 0.2 * places[3 - g.corner, 0], 0.8 * home_y + 0.2 * places[3 - g.corner, 1]
                give(us, u, i, 0, MOVE, x, y, -1, 0)
        return
    march(g, us, ts, places, home_x, home_y, 2 * waiting >= g.wave)


@rule
def march(g: Any, us: Any, ts: Any, places: Any, home_x: float, home_y: float, more: bool) -> None:
    """Marines that have nothing to do attack what was last seen, or the other's base, or look for the rest of it.

    ``more``: those that wait at home join.
    """
    there_x, there_y = places[3 - g.corner, 0], places[3 - g.corner, 1]
    for i in range(g.top):
        u = us[i]
        if u.kind != MARINE or u.owner != OWN or u.target >= 0 or u.order not in (IDLE, MOVE):
            continue
        home = distance(u.x, u.y, home_x, home_y) < HOME
        if home and not more:
            continue
        if g.target_x >= 0.0 and distance(u.x, u.y, g.target_x, g.target_y) < 4.0 and u.order == IDLE:
            g.target_x = -1.0  # it is there, and nothing is left: else it would have something to attack
        if distance(u.x, u.y, there_x, there_y) < 5.0:
            g.attacking = _SEARCHING
        x, y = there_x, there_y
        if g.target_x >= 0.0:
            x, y = g.target_x, g.target_y
        elif g.attacking == _SEARCHING:
            x, y = uniform(g, g.left + 1.0, g.right - 1.0), uniform(g, g.bottom + 1.0, g.top_y - 1.0)
        give(us, u, i, 0, ATTACK_MOVE, x, y, -1, 0)
