"""What can be commanded: which unit takes which of PySC2's functions, and whether the means are there."""

from __future__ import annotations

from typing import Any

from envs.standin.rules.building import has, supply_cap, supply_used
from envs.standin.rules.catalog import BARRACKS, COMMAND_CENTER, MARINE, REFINERY, SCV, SUPPLY_DEPOT
from envs.standin.rules.compiled import rule
from envs.standin.rules.scenario_ids import BUILD_MARINES
from envs.standin.rules.selection import is_idle_worker
from envs.standin.rules.world import FREE, NO_CARGO, OWN, PRODUCTION, is_army

SUCCESS, NOT_SUPPORTED, ERROR, QUEUE_FULL = 1, 2, 3, 7
NO_MINERALS, NO_VESPENE, NO_FOOD, NO_TECH = 9, 10, 13, 40
BAD_TARGET, BAD_PLACE = 36, 44
"""What comes of a command: some of the game's ``ActionResult`` (``s2clientprotocol/error.proto``)."""

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
def lacking(g: Any, ts: Any, kind: int) -> int:
    """What is missing to pay for one; SUCCESS if nothing is."""
    if g.cheats & FREE:
        return SUCCESS
    if g.minerals < ts[kind].minerals:
        return NO_MINERALS
    return NO_VESPENE if g.vespene < ts[kind].vespene else SUCCESS


@rule
def means(g: Any, us: Any, ts: Any, what: int) -> int:
    """Are the means for a command there: minerals, the building required, supply? SUCCESS, or what is missing."""
    building = built_by(what)
    if building:
        if building == BARRACKS and not has(g, us, SUPPLY_DEPOT):
            return NO_TECH
        return lacking(g, ts, building)
    unit = trained_by(what)
    if unit:
        if supply_used(g, us, ts, OWN) + ts[unit].supply > supply_cap(g, us, ts, OWN):
            return NO_FOOD
        return lacking(g, ts, unit)
    return SUCCESS


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
    selected, busy = 0, 0
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
            busy += u.producing > 0
            for what in range(C_MOVE, len(COMMANDS)):
                if available[what] == 0 and can(g, u, what):
                    available[what] = 1
    available[SELECT_UNIT] = selected > 1
    # The panel with the queue shows only when nothing else is selected.
    available[BUILD_QUEUE] = selected == 1 and busy == 1
    for what in range(C_DEPOT, C_TRAIN_MARINE + 1):
        if available[what]:
            available[what] = means(g, us, ts, what) == SUCCESS
