"""What a player is shown: the columns, planes and numbers that ``envs/starcraft/interface.py`` names, as arrays.

Each function fills the rows of one game. Which columns, planes and numbers to fill comes as their places in the
interface's tables, so that only what is asked for is computed.
"""

from __future__ import annotations

from typing import Any

from envs.standin.rules.catalog import REFINERY, SCV
from envs.standin.rules.compiled import rule
from envs.standin.rules.economy import SEARCH_RADIUS, is_patch
from envs.standin.rules.players import most_hp
from envs.standin.rules.production.supply import supply_cap, supply_used
from envs.standin.rules.scenario_ids import MELEE
from envs.standin.rules.selection import count_selected, is_idle_worker
from envs.standin.rules.terrain.levels import span
from envs.standin.rules.world import (
    ATTACK,
    ATTACK_MOVE,
    ENEMY,
    ENTER,
    FOLLOW,
    GARRISON,
    GATHER,
    HOLD,
    IDLE,
    MOVE,
    NEUTRAL,
    OWN,
    PATROL,
    REMEMBERED,
    REPAIR,
    RETURN,
    distance,
    is_army,
    is_town_hall,
    is_visible,
)
from envs.starcraft.interface import CAMERA_WIDTH, NUMBERS, ORDERS
from envs.starcraft.interface import UNIT_FEATURES as COLUMNS

_C, _N = list(COLUMNS), list(NUMBERS)

C_TYPE, C_ALLIANCE, C_X, C_Y = (_C.index(n) for n in ("unit_type", "alliance", "x", "y"))
C_HEALTH_RATIO, C_HEALTH = _C.index("health_ratio"), _C.index("health")
C_SELECTED, C_RADIUS, C_ORDER = (_C.index(n) for n in ("selected", "radius", "order"))
C_COOLDOWN, C_CARRYING, C_PROGRESS = (_C.index(n) for n in ("weapon_cooldown", "carrying", "build_progress"))
C_CONTENTS, C_QUEUE = _C.index("contents"), _C.index("queue")
C_ASSIGNED, C_IDEAL = _C.index("assigned_harvesters"), _C.index("ideal_harvesters")


N_LOOP, N_SCORE = _N.index("game_loop"), _N.index("score")
N_FOOD_ARMY, N_ARMY = _N.index("food_army"), _N.index("army_count")
N_FOOD_USED, N_FOOD_CAP = _N.index("food_used"), _N.index("food_cap")
N_FOOD_WORKERS, N_IDLE_WORKERS = _N.index("food_workers"), _N.index("idle_worker_count")
N_MINERALS, N_VESPENE = _N.index("minerals"), _N.index("vespene")
N_SELECTED, N_CAMERA_X, N_CAMERA_Y = _N.index("selected_count"), _N.index("camera_x"), _N.index("camera_y")

O_NONE, O_MOVE, O_ATTACK, O_PATROL, O_HOLD, O_GATHER, O_RETURN, O_BUILD, O_TRAIN, O_OTHER = range(len(ORDERS))


@rule
def alliance(owner: int) -> int:
    """PySC2's PlayerRelative: 1 own, 3 neutral, 4 enemy."""
    if owner == OWN:
        return 1
    return 3 if owner == NEUTRAL else 4


@rule
def order_shown(u: Any) -> int:
    """The place of a unit's order in ``interface.ORDERS``."""
    if u.producing > 0:
        return O_TRAIN
    if u.order == IDLE:
        return O_NONE
    if u.order in (MOVE, FOLLOW, ENTER):
        return O_MOVE
    if u.order in (ATTACK, ATTACK_MOVE):
        return O_ATTACK
    if u.order == PATROL:
        return O_PATROL
    if u.order == HOLD:
        return O_HOLD
    if u.order == GATHER:
        return O_GATHER
    if u.order == REPAIR:
        return O_OTHER
    return O_RETURN if u.order == RETURN else O_BUILD


@rule
def progress(u: Any, ts: Any) -> float:
    """How much of a building is built, 0 to 1."""
    if u.build_left <= 0.0:
        return 1.0
    return 1.0 - u.build_left / ts[u.kind].build_loops


@rule
def harvesters(g: Any, us: Any, slot: int) -> int:
    """Workers that harvest there; for a command center, all that harvest minerals. Nobody knows that of an enemy's."""
    n = 0
    if us[slot].owner == ENEMY:
        return n
    for i in range(g.top):
        u = us[i]
        if u.kind == SCV and u.owner == OWN and u.order in (GATHER, RETURN):
            at = u.order_slot if u.order == GATHER else u.source
            mineral = at >= 0 and is_patch(us[at].kind)
            if at == slot or (is_town_hall(us[slot].kind) and mineral):
                n += 1
    return n


@rule
def ideal_harvesters(g: Any, us: Any, slot: int) -> int:
    """Two a patch, three a refinery; for a command center, two for each patch, in a melee for each of its own base."""
    kind = us[slot].kind
    if is_patch(kind):
        return 2
    if kind == REFINERY:
        return 3
    n = 0
    if is_town_hall(kind) and us[slot].owner == OWN:
        for i in range(g.top):
            u = us[i]
            if is_patch(u.kind) and (
                g.scenario != MELEE or distance(u.x, u.y, us[slot].x, us[slot].y) <= SEARCH_RADIUS
            ):
                n += 2
    return n


@rule
def on_screen(g: Any, u: Any) -> bool:
    """Is the unit's center on the screen?"""
    return abs(u.x - g.camera_x) <= CAMERA_WIDTH / 2 and abs(u.y - g.camera_y) <= CAMERA_WIDTH / 2


@rule
def fill_units(
    g: Any, us: Any, ts: Any, raw: bool, kinds: Any, columns: Any, features: Any, mask: Any, slots: Any
) -> None:
    """The units: own, enemies, neutrals; ``slots`` says where each row's unit is kept. ``kinds``: what number each kind
    has, or -1 - that number for those that are not shown."""
    width = float(span(g)) if raw else CAMERA_WIDTH
    left, top = (0.0, float(g.height)) if raw else (g.camera_x - width / 2, g.camera_y + width / 2)
    row = 0
    for turn in range(3):
        owner = OWN if turn == 0 else (ENEMY if turn == 1 else NEUTRAL)
        for i in range(g.top):
            u = us[i]
            if row == mask.shape[0]:
                return
            if u.kind == 0 or u.owner != owner or kinds[u.kind] < 0 or u.order == GARRISON:
                continue
            if not (raw or on_screen(g, u)) or not (is_visible(g, us, ts, i) or u.known):
                continue
            snapshot = u.known == REMEMBERED and owner != OWN
            mask[row] = 1
            slots[row] = i
            for k in range(columns.shape[0]):
                c = columns[k]
                value = 0.0
                if c == C_TYPE:
                    value = kinds[u.kind]
                elif c == C_ALLIANCE:
                    value = alliance(owner)
                elif c == C_X:
                    value = (u.x - left) / width
                elif c == C_Y:
                    value = (top - u.y) / width
                elif c == C_HEALTH_RATIO:
                    value = 0.0 if snapshot else u.hp / most_hp(g, ts, u.kind, owner)
                elif c == C_HEALTH:
                    value = 0.0 if snapshot else u.hp
                elif c == C_SELECTED:
                    value = u.selected
                elif c == C_RADIUS:
                    value = ts[u.kind].radius
                elif c == C_COOLDOWN:
                    value = max(u.cooldown, 0.0) if owner == OWN else 0.0
                elif c == C_ORDER:
                    value = order_shown(u) if owner == OWN else 0
                elif c == C_CARRYING:
                    value = u.cargo
                elif c == C_PROGRESS:
                    value = progress(u, ts)
                elif c == C_CONTENTS:
                    value = 0.0 if snapshot else u.contents
                elif c == C_QUEUE:
                    value = u.producing if owner == OWN else 0
                elif c == C_ASSIGNED:
                    value = harvesters(g, us, i) if owner == OWN and ts[u.kind].footprint_w else 0
                elif c == C_IDEAL:
                    value = ideal_harvesters(g, us, i) if owner == OWN else 0
                features[row, k] = value
            row += 1
    for i in range(row, mask.shape[0]):
        mask[i] = 0
        slots[i] = -1
        features[i] = 0.0


@rule
def fill_numbers(g: Any, us: Any, ts: Any, names: Any, numbers: Any) -> None:
    """The numbers asked for."""
    army, army_supply, workers, idle = 0, 0, 0, 0
    for i in range(g.top):
        u = us[i]
        if u.kind != 0 and u.owner == OWN:
            if is_army(u.kind):
                army += 1
                army_supply += ts[u.kind].supply
            elif u.kind == SCV:
                workers += 1
                idle += is_idle_worker(u)
    for k in range(names.shape[0]):
        n = names[k]
        value = 0.0
        if n == N_LOOP:
            value = g.loop
        elif n == N_SCORE:
            value = g.score
        elif n == N_ARMY:
            value = army
        elif n == N_FOOD_ARMY:
            value = army_supply / 2
        elif n == N_FOOD_USED:
            value = supply_used(g, us, ts, OWN) / 2
        elif n == N_FOOD_CAP:
            value = supply_cap(g, us, ts, OWN) / 2
        elif n == N_FOOD_WORKERS:
            value = workers
        elif n == N_IDLE_WORKERS:
            value = idle
        elif n == N_MINERALS:
            value = g.minerals
        elif n == N_VESPENE:
            value = g.vespene
        elif n == N_SELECTED:
            value = count_selected(g, us)
        elif n == N_CAMERA_X:
            value = g.camera_x / span(g)
        elif n == N_CAMERA_Y:
            value = (g.height - g.camera_y) / span(g)
        numbers[k] = value
