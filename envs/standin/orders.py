"""From a choice to orders: what each of PySC2's functions makes the units do.

A choice is a row of integers: the command, the way it is aimed (:data:`MODES`) and the arguments in the order of
``interface.ARGUMENTS``. A command that is not available does nothing, as in the game.
"""

from __future__ import annotations

from typing import Any

from envs.standin.building import (
    affordable,
    cancel_building,
    cancel_item,
    enqueue,
    fits,
    geyser_at,
    has,
    snap,
    stop_building,
    supply_cap,
    supply_used,
    trains,
)
from envs.standin.catalog import (
    BARRACKS,
    BEACON,
    COMMAND_CENTER,
    MARINE,
    MINERAL_FIELD,
    REFINERY,
    SCV,
    SUPPLY_DEPOT,
)
from envs.standin.compiled import rule
from envs.standin.economy import leave_source
from envs.standin.scenarios import BUILD_MARINES
from envs.standin.selection import (
    control_group,
    count_selected,
    is_idle_worker,
    is_selected,
    select_army,
    select_from_panel,
    select_idle_worker,
    select_point,
    select_rect,
    unit_at,
)
from envs.standin.world import (
    ATTACK,
    ATTACK_MOVE,
    BUILD,
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
    PRODUCTION,
    QUEUE,
    RETURN,
    is_army,
)
from envs.starcraft.interface import ARGUMENTS, CAMERA_WIDTH, MAP_SIZE

COMMANDS = (
    "no_op",
    "move_camera",
    "select_point",
    "select_rect",
    "select_control_group",
    "select_unit",
    "select_idle_worker",
    "select_army",
    "build_queue",
    "Move",
    "Smart",
    "Attack",
    "Patrol",
    "Stop",
    "HoldPosition",
    "Harvest_Gather",
    "Harvest_Return",
    "Build_SupplyDepot",
    "Build_Barracks",
    "Build_Refinery",
    "Build_CommandCenter",
    "Train_SCV",
    "Train_Marine",
    "Rally_Workers",
    "Rally_Units",
    "Cancel",
    "Cancel_Last",
)
"""What the game can be told, by the names in ``interface.Function.command``."""

(
    NO_OP,
    MOVE_CAMERA,
    SELECT_POINT,
    SELECT_RECT,
    SELECT_CONTROL_GROUP,
    SELECT_UNIT,
    SELECT_IDLE_WORKER,
    SELECT_ARMY,
    BUILD_QUEUE,
    C_MOVE,
    C_SMART,
    C_ATTACK,
    C_PATROL,
    C_STOP,
    C_HOLD,
    C_GATHER,
    C_RETURN,
    C_DEPOT,
    C_BARRACKS,
    C_REFINERY,
    C_COMMAND_CENTER,
    C_TRAIN_SCV,
    C_TRAIN_MARINE,
    C_RALLY_WORKERS,
    C_RALLY_UNITS,
    C_CANCEL,
    C_CANCEL_LAST,
) = range(len(COMMANDS))

MODES = ("ui", "quick", "screen", "minimap", "pt", "unit")
_UI, _QUICK, _SCREEN, _MINIMAP, _PT, _AT_UNIT = range(len(MODES))

_FIRST = 2
_NAMES = list(ARGUMENTS)
A_SCREEN, A_MINIMAP = _FIRST + _NAMES.index("screen"), _FIRST + _NAMES.index("minimap")
A_SCREEN2, A_QUEUED = _FIRST + _NAMES.index("screen2"), _FIRST + _NAMES.index("queued")
A_WORLD, A_TARGET = _FIRST + _NAMES.index("world"), _FIRST + _NAMES.index("target_unit_tag")
A_GROUP_ACT, A_GROUP = _FIRST + _NAMES.index("control_group_act"), _FIRST + _NAMES.index("control_group_id")
A_POINT_ACT, A_ADD = _FIRST + _NAMES.index("select_point_act"), _FIRST + _NAMES.index("select_add")
A_UNIT_ACT, A_UNIT_ID = _FIRST + _NAMES.index("select_unit_act"), _FIRST + _NAMES.index("select_unit_id")
A_WORKER, A_QUEUE_ID = _FIRST + _NAMES.index("select_worker"), _FIRST + _NAMES.index("build_queue_id")
CHOICE = _FIRST + len(_NAMES)
"""Integers in a choice."""


@rule
def screen_x(g: Any, cell: int, size: int) -> float:
    """World x of the center of a screen cell."""
    return g.camera_x + CAMERA_WIDTH * ((cell % size + 0.5) / size - 0.5)


@rule
def screen_y(g: Any, cell: int, size: int) -> float:
    """World y of the center of a screen cell."""
    return g.camera_y - CAMERA_WIDTH * ((cell // size + 0.5) / size - 0.5)


@rule
def minimap_x(cell: int, size: int) -> float:
    """World x of the center of a minimap cell."""
    return MAP_SIZE * (cell % size + 0.5) / size


@rule
def minimap_y(cell: int, size: int) -> float:
    """World y of the center of a minimap cell."""
    return MAP_SIZE * (1.0 - (cell // size + 0.5) / size)


@rule
def built_by(what: int) -> int:
    """The kind of building that a build command is for; 0 if it is another command."""
    if what == C_DEPOT:
        return SUPPLY_DEPOT
    if what == C_BARRACKS:
        return BARRACKS
    if what == C_REFINERY:
        return REFINERY
    if what == C_COMMAND_CENTER:
        return COMMAND_CENTER
    return 0


@rule
def trained_by(what: int) -> int:
    """The kind of unit that a train command is for; 0 if it is another command."""
    if what == C_TRAIN_SCV:
        return SCV
    if what == C_TRAIN_MARINE:
        return MARINE
    return 0


@rule
def on_card(g: Any, u: Any, what: int) -> bool:
    """Has this unit the command, whether or not it can be paid for? BuildMarines leaves workers few of theirs."""
    kind = u.kind
    if u.build_left > 0.0:
        return what == C_CANCEL
    if kind == COMMAND_CENTER:
        if what == C_RALLY_UNITS and g.scenario == BUILD_MARINES:
            return False
        return what in (C_TRAIN_SCV, C_RALLY_WORKERS, C_RALLY_UNITS, C_SMART) or (
            what == C_CANCEL_LAST and u.producing > 0
        )
    if kind == BARRACKS:
        return what in (C_TRAIN_MARINE, C_RALLY_UNITS, C_SMART) or (what == C_CANCEL_LAST and u.producing > 0)
    if kind == SCV:
        if what in (C_GATHER, C_DEPOT, C_BARRACKS, C_SMART):
            return True
        if what == C_RETURN:
            return u.cargo != NO_CARGO
        if g.scenario == BUILD_MARINES:
            return False
        return what in (C_MOVE, C_ATTACK, C_PATROL, C_STOP, C_HOLD, C_REFINERY, C_COMMAND_CENTER)
    return is_army(kind) and what in (C_MOVE, C_SMART, C_ATTACK, C_PATROL, C_STOP, C_HOLD)


@rule
def payable(g: Any, us: Any, ts: Any, what: int) -> bool:
    """Are the means there: minerals, the building required, supply?"""
    building = built_by(what)
    if building:
        return affordable(g, ts, building) and (building != BARRACKS or has(g, us, SUPPLY_DEPOT))
    unit = trained_by(what)
    if unit:
        return affordable(g, ts, unit) and supply_used(g, us, ts) + ts[unit].supply <= supply_cap(g, us, ts)
    return True


@rule
def can(g: Any, u: Any, what: int) -> bool:
    """Does this unit take the command? A building whose queue is full trains no more."""
    return on_card(g, u, what) and not (trained_by(what) and u.producing >= PRODUCTION)


@rule
def find_available(g: Any, us: Any, ts: Any, raw: bool, available: Any) -> None:
    """Fill ``available[command]`` with 1 for what the game would accept now: with the selection, or with any unit."""
    available[:] = 0
    available[NO_OP] = 1
    available[MOVE_CAMERA] = 1
    available[SELECT_POINT] = 1
    available[SELECT_RECT] = 1
    available[SELECT_CONTROL_GROUP] = 1
    selected = 0
    for i in range(g.top):
        u = us[i]
        if u.kind == 0 or u.owner != OWN:
            continue
        if is_army(u.kind):
            available[SELECT_ARMY] = 1
        elif is_idle_worker(u):
            available[SELECT_IDLE_WORKER] = 1
        if u.selected or raw:
            selected += 1
            if u.producing > 0:
                available[BUILD_QUEUE] = 1
            for what in range(C_MOVE, len(COMMANDS)):
                if available[what] == 0 and can(g, u, what):
                    available[what] = 1
    available[SELECT_UNIT] = selected > 1
    for what in range(C_DEPOT, C_TRAIN_MARINE + 1):
        if available[what]:
            available[what] = payable(g, us, ts, what)


@rule
def drop_order(us: Any, u: Any, me: int) -> None:
    """Break off what the unit is doing: whoever waits for its place can have it."""
    if u.order in (GATHER, RETURN):
        leave_source(us, u, me)
    stop_building(us, u, me)
    u.target = -1
    u.look = 0
    u.windup = 0.0
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
def smart(us: Any, u: Any, target: int) -> int:
    """What a right click means: the command that it stands for."""
    if is_building_kind(u.kind):
        return C_RALLY_WORKERS if u.kind == COMMAND_CENTER else C_RALLY_UNITS
    if target < 0:
        return C_MOVE
    v = us[target]
    if u.kind == SCV and (v.kind == MINERAL_FIELD or (v.kind == REFINERY and v.build_left <= 0.0)):
        return C_GATHER
    if u.kind == SCV and v.kind == COMMAND_CENTER and u.cargo != NO_CARGO:
        return C_RETURN
    if u.kind == SCV and v.owner == OWN and v.build_left > 0.0:
        return C_DEPOT
    return C_ATTACK if v.owner not in (OWN, NEUTRAL) else C_MOVE


@rule
def is_building_kind(kind: int) -> bool:
    """Is it a building of the player's?"""
    return kind in (COMMAND_CENTER, SUPPLY_DEPOT, BARRACKS, REFINERY)


@rule
def command(g: Any, us: Any, ts: Any, me: int, what: int, queued: int, x: float, y: float, target: int) -> None:
    """What one unit makes of a command aimed at a place or, if ``target`` >= 0, at a unit."""
    u = us[me]
    slot, tag = target, 0
    if target >= 0:
        tag = us[target].tag
    if what == C_SMART:
        what = smart(us, u, target)
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
        if target >= 0 and us[target].kind in (MINERAL_FIELD, REFINERY):
            give(us, u, me, queued, GATHER, us[target].x, us[target].y, slot, tag)
    elif what == C_RETURN:
        give(us, u, me, queued, RETURN, x, y, -1, 0)
    elif what in (C_RALLY_WORKERS, C_RALLY_UNITS):
        u.rally = 1 if target < 0 else 2
        u.rally_x = x
        u.rally_y = y
        u.rally_slot = slot
        u.rally_tag = tag


@rule
def build_command(g: Any, us: Any, ts: Any, kind: int, queued: int, x: float, y: float, chosen: Any) -> bool:
    """The nearest of the chosen workers gets the order to build, if a building fits there."""
    t = ts[kind]
    if kind == REFINERY:
        geyser = geyser_at(g, us, x, y)
        if geyser < 0:
            return False
        x, y = us[geyser].x, us[geyser].y
    else:
        x, y = snap(x, t.footprint_w), snap(y, t.footprint_h)
    if not fits(g, us, ts, kind, x, y):
        return False
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
        return False
    give(us, us[best], best, queued, BUILD + kind, x, y, -1, 0)
    return True


@rule
def train_command(g: Any, us: Any, ts: Any, what: int, chosen: Any) -> bool:
    """The chosen building with the shortest queue gets the unit."""
    kind = trained_by(what)
    best, shortest = -1, PRODUCTION
    for i in range(g.top):
        u = us[i]
        if chosen[i] and u.kind == trains(kind) and u.build_left <= 0.0 and u.producing < shortest:
            best, shortest = i, u.producing
    return best >= 0 and enqueue(g, us, ts, us[best], kind)


@rule
def cancel_command(g: Any, us: Any, ts: Any, what: int, index: int, chosen: Any) -> bool:
    """Give up the first chosen building under construction, or one thing in the first busy queue."""
    for i in range(g.top):
        u = us[i]
        if chosen[i] == 0:
            continue
        if what == C_CANCEL and u.build_left > 0.0:
            cancel_building(g, us, ts, i)
            return True
        if what != C_CANCEL and u.producing > 0:
            return cancel_item(g, ts, u, u.producing - 1 if index < 0 else index)
    return False


@rule
def act(
    g: Any, us: Any, ts: Any, choice: Any, tags: Any, slots: Any, screen: int, minimap: int, raw: bool, chosen: Any
) -> bool:
    """Carry out a choice; False if it was not available. ``chosen`` is scratch space, a number a slot."""
    what, mode = choice[0], choice[1]
    if mode == _UI and what != BUILD_QUEUE:
        return act_on_selection(g, us, ts, choice, screen, minimap)
    for i in range(g.top):
        chosen[i] = 0 if raw else is_selected(us[i])
    if raw:
        for row in range(tags.shape[0]):
            slot = slots[row]
            if tags[row] and slot >= 0 and us[slot].kind != 0 and us[slot].owner == OWN:
                chosen[slot] = 1
    able = 0
    for i in range(g.top):
        if chosen[i] and what != BUILD_QUEUE:
            chosen[i] = can(g, us[i], what)
        able += chosen[i]
    if able == 0:
        return False
    if what in (BUILD_QUEUE, C_CANCEL, C_CANCEL_LAST):
        return cancel_command(g, us, ts, what, choice[A_QUEUE_ID] if what == BUILD_QUEUE else -1, chosen)
    if not payable(g, us, ts, what):
        return False
    if trained_by(what):
        return train_command(g, us, ts, what, chosen)
    x, y, target = 0.0, 0.0, -1
    if mode == _SCREEN:
        x, y = screen_x(g, choice[A_SCREEN], screen), screen_y(g, choice[A_SCREEN], screen)
        # A move means a unit only if it points at it exactly: else coarse cells would turn moves into follows.
        exact = what in (C_MOVE, C_RALLY_UNITS)
        target = unit_at(g, us, ts, x, y, 0.0 if exact else CAMERA_WIDTH / screen / 2)
    elif mode == _MINIMAP:
        x, y = minimap_x(choice[A_MINIMAP], minimap), minimap_y(choice[A_MINIMAP], minimap)
    elif mode == _PT:
        x, y = minimap_x(choice[A_WORLD], minimap), minimap_y(choice[A_WORLD], minimap)
    elif mode == _AT_UNIT:
        target = slots[choice[A_TARGET]]
        if target < 0 or us[target].kind in (0, BEACON):
            return False
        x, y = us[target].x, us[target].y
    building = built_by(what)
    if building:
        if target >= 0 and building == REFINERY:
            x, y = us[target].x, us[target].y
        return build_command(g, us, ts, building, choice[A_QUEUED], x, y, chosen)
    for i in range(g.top):
        if chosen[i]:
            command(g, us, ts, i, what, choice[A_QUEUED], x, y, target)
    return True


@rule
def act_on_selection(g: Any, us: Any, ts: Any, choice: Any, screen: int, minimap: int) -> bool:
    """Carry out one of the functions that are not commands to units."""
    what = choice[0]
    cell = choice[A_SCREEN]
    if what == SELECT_POINT:
        x, y = screen_x(g, cell, screen), screen_y(g, cell, screen)
        select_point(g, us, ts, unit_at(g, us, ts, x, y, CAMERA_WIDTH / screen / 2), choice[A_POINT_ACT])
    elif what == SELECT_RECT:
        other = choice[A_SCREEN2]
        x0, y0 = screen_x(g, cell, screen), screen_y(g, cell, screen)
        select_rect(g, us, ts, x0, y0, screen_x(g, other, screen), screen_y(g, other, screen), choice[A_ADD])
    elif what == SELECT_CONTROL_GROUP:
        control_group(g, us, choice[A_GROUP_ACT], choice[A_GROUP])
    elif what == SELECT_UNIT:
        if count_selected(g, us) < 2:
            return False
        select_from_panel(g, us, choice[A_UNIT_ACT], choice[A_UNIT_ID])
    elif what == SELECT_ARMY:
        return select_army(g, us, choice[A_ADD])
    elif what == SELECT_IDLE_WORKER:
        return select_idle_worker(g, us, choice[A_WORKER])
    elif what == MOVE_CAMERA and g.camera_free:
        cell = choice[A_MINIMAP]
        g.camera_x = min(max(minimap_x(cell, minimap), g.left), g.right)
        g.camera_y = min(max(minimap_y(cell, minimap), g.bottom), g.top_y)
    return True
