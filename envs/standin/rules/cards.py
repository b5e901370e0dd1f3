"""What can be commanded: which unit takes which of PySC2's functions, and whether the means are there."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.standin.rules import catalog as c
from envs.standin.rules.abilities.orbital import COST, ENERGY_A_LOOP
from envs.standin.rules.catalog import (
    BARRACKS,
    BUNKER,
    COMMAND_CENTER,
    ENGINEERING_BAY,
    KINDS,
    LOWERED_DEPOT,
    MARAUDER,
    MARINE,
    MULE,
    ORBITAL_COMMAND,
    SCV,
    STIMPACK,
    SUPPLY_DEPOT,
    TECH_LAB,
)
from envs.standin.rules.compiled import rule
from envs.standin.rules.players import has_upgrade
from envs.standin.rules.production.addons import is_addon
from envs.standin.rules.production.queues import places
from envs.standin.rules.production.supply import has, is_upgrade, supply_cap, supply_used
from envs.standin.rules.scenario_ids import BUILD_MARINES
from envs.standin.rules.selection import is_idle_worker
from envs.standin.rules.world import FREE, GARRISON, NO_CARGO, OWN, is_army, is_town_hall

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
    "Build_EngineeringBay",
    "Build_MissileTurret",
    "Build_Bunker",
    "Train_Marauder",
    "Train_Reaper",
    "Build_TechLab",
    "Build_Reactor",
    "Research_Stimpack",
    "Research_CombatShield",
    "Research_ConcussiveShells",
    "Research_TerranInfantryWeapons",
    "Research_TerranInfantryArmor",
    "Morph_OrbitalCommand",
    "Morph_SupplyDepot_Lower",
    "Morph_SupplyDepot_Raise",
    "Effect_Stim",
    "Effect_Scan",
    "Effect_CalldownMULE",
    "Effect_SupplyDrop",
    "Effect_Repair",
    "Load",
    "UnloadAll",
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
    C_ENGINEERING_BAY,
    C_TURRET,
    C_BUNKER,
    C_TRAIN_MARAUDER,
    C_TRAIN_REAPER,
    C_TECH_LAB,
    C_REACTOR,
    C_RESEARCH_STIMPACK,
    C_RESEARCH_SHIELD,
    C_RESEARCH_SHELLS,
    C_RESEARCH_WEAPONS,
    C_RESEARCH_ARMOR,
    C_ORBITAL,
    C_LOWER,
    C_RAISE,
    C_STIM,
    C_SCAN,
    C_MULE,
    C_SUPPLY_DROP,
    C_REPAIR,
    C_LOAD,
    C_UNLOAD,
) = range(len(COMMANDS))

BUILT = np.zeros(len(COMMANDS), np.int64)
"""What a worker builds by each command; 0 for other commands."""
for _what, _kind in (
    (C_DEPOT, SUPPLY_DEPOT), (C_BARRACKS, BARRACKS), (C_REFINERY, c.REFINERY), (C_COMMAND_CENTER, COMMAND_CENTER),
    (C_ENGINEERING_BAY, ENGINEERING_BAY), (C_TURRET, c.MISSILE_TURRET), (C_BUNKER, BUNKER),
):  # fmt: skip
    BUILT[_what] = _kind
QUEUED = np.zeros(len(COMMANDS), np.int64)
"""What goes into a building's queue by each command: a unit, an add-on, an upgrade; 0 for other commands."""
for _what, _kind in (
    (C_TRAIN_SCV, SCV), (C_TRAIN_MARINE, MARINE), (C_TRAIN_MARAUDER, MARAUDER), (C_TRAIN_REAPER, c.REAPER),
    (C_TECH_LAB, TECH_LAB), (C_REACTOR, c.REACTOR), (C_RESEARCH_STIMPACK, STIMPACK),
    (C_RESEARCH_SHIELD, c.COMBAT_SHIELD), (C_RESEARCH_SHELLS, c.CONCUSSIVE_SHELLS),
    (C_RESEARCH_WEAPONS, c.INFANTRY_WEAPONS), (C_RESEARCH_ARMOR, c.INFANTRY_ARMOR), (C_ORBITAL, ORBITAL_COMMAND),
):  # fmt: skip
    QUEUED[_what] = _kind

STIM_COST, STIM_LOOPS = 10.0, 15 * 16
"""Hit points that a stimpack takes of a marine, and twice that of a marauder; how long it lasts."""


@rule
def built_by(what: int) -> int:
    """The kind of building that a build command is for; 0 if it is another command."""
    return BUILT[what]


@rule
def trained_by(what: int) -> int:
    """The kind of unit, or the row of the upgrade, that a building makes by a command; 0 if it is another command."""
    return QUEUED[what]


@rule
def on_card(g: Any, u: Any, what: int) -> bool:
    """Has this unit the command, whether or not it can be paid for? BuildMarines leaves them few of theirs."""
    kind = u.kind
    if u.build_left > 0.0:
        return what == C_CANCEL and not is_addon(kind)
    if u.order == GARRISON or (what > C_CANCEL_LAST and g.scenario == BUILD_MARINES):
        return False
    if kind == SCV:
        if what in (C_GATHER, C_DEPOT, C_BARRACKS, C_SMART):
            return True
        if what == C_RETURN:
            return u.cargo != NO_CARGO
        if g.scenario == BUILD_MARINES:
            return False
        return BUILT[what] != 0 or what in (C_MOVE, C_ATTACK, C_PATROL, C_STOP, C_HOLD, C_REPAIR)
    if is_army(kind):
        if what == C_STIM:
            return kind in (MARINE, MARAUDER)
        return what in (C_MOVE, C_SMART, C_ATTACK, C_PATROL, C_STOP, C_HOLD)
    if kind == MULE:
        if what == C_RETURN:
            return u.cargo != NO_CARGO
        return what in (C_MOVE, C_SMART, C_GATHER, C_PATROL, C_STOP, C_HOLD, C_REPAIR)
    return on_buildings_card(g, u, what)


@rule
def on_buildings_card(g: Any, u: Any, what: int) -> bool:
    """The same for a finished building."""
    kind = u.kind
    if what == C_CANCEL_LAST:
        return u.producing > 0
    if is_town_hall(kind):
        if what == C_RALLY_UNITS and g.scenario == BUILD_MARINES:
            return False
        if what == C_ORBITAL:
            return kind == COMMAND_CENTER and u.producing == 0
        if what in (C_SCAN, C_MULE, C_SUPPLY_DROP):
            return kind == ORBITAL_COMMAND
        return what in (C_TRAIN_SCV, C_RALLY_WORKERS, C_RALLY_UNITS, C_SMART)
    if kind == BARRACKS:
        if what in (C_TECH_LAB, C_REACTOR):
            return u.addon < 0 and u.producing == 0
        if what == C_TRAIN_MARAUDER:
            return u.addon_kind == TECH_LAB
        return what in (C_TRAIN_MARINE, C_TRAIN_REAPER, C_RALLY_UNITS, C_SMART)
    if kind == TECH_LAB:
        return what in (C_RESEARCH_STIMPACK, C_RESEARCH_SHIELD, C_RESEARCH_SHELLS)
    if kind == ENGINEERING_BAY:
        return what in (C_RESEARCH_WEAPONS, C_RESEARCH_ARMOR)
    if kind == BUNKER:
        return what in (C_LOAD, C_UNLOAD, C_RALLY_UNITS, C_SMART)
    return (kind == SUPPLY_DEPOT and what == C_LOWER) or (kind == LOWERED_DEPOT and what == C_RAISE)


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
    made = BUILT[what] + QUEUED[what]
    if made == 0:
        return SUCCESS
    if ts[made].requires and not has(g, us, ts[made].requires):
        return NO_TECH
    if is_upgrade(made) and (g.upgrades | g.researching) & (1 << (made - KINDS)):
        return NOT_SUPPORTED
    if QUEUED[what] and supply_used(g, us, ts, OWN) + ts[made].supply > supply_cap(g, us, ts, OWN):
        return NO_FOOD
    return lacking(g, ts, made)


@rule
def can(g: Any, u: Any, what: int) -> bool:
    """Does this unit take the command now? A building whose queue is full trains no more; energy and health count."""
    if not on_card(g, u, what):
        return False
    if QUEUED[what]:
        return u.producing < places(u)
    if what in (C_SCAN, C_MULE, C_SUPPLY_DROP):
        return u.energy + ENERGY_A_LOOP * (g.loop - u.energy_at) >= COST
    if what == C_STIM:
        return has_upgrade(g, OWN, STIMPACK) and u.hp > stim_cost(u.kind)
    return True


@rule
def stim_cost(kind: int) -> float:
    """Hit points that a stimpack takes."""
    return 2 * STIM_COST if kind == MARAUDER else STIM_COST


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
    for what in range(C_DEPOT, len(COMMANDS)):
        if available[what] and BUILT[what] + QUEUED[what]:
            available[what] = means(g, us, ts, what) == SUCCESS
