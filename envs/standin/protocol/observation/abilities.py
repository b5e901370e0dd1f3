"""The game's ability ids and the stand-in's commands (``stableid.json`` of Blizzard/s2client-proto).

A client may name an ability by its general id or by the specific one that a unit has; the game tells specific ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from envs.standin.rules.cards import BUILT, COMMANDS, QUEUED
from envs.standin.rules.catalog import MARAUDER
from envs.standin.rules.world import (
    ATTACK,
    ATTACK_MOVE,
    BUILD,
    ENTER,
    FOLLOW,
    GATHER,
    HOLD,
    MOVE,
    PATROL,
    REPAIR,
    RETURN,
)


@dataclass(frozen=True)
class Ability:
    """A command's specific id, its general one (or the same), and whether it must be aimed."""

    command: str
    id: int
    general: int
    aimed: bool = True


ABILITIES = (
    Ability("Smart", 1, 1),
    Ability("Stop", 4, 3665, False),
    Ability("Move", 16, 3794),
    Ability("Patrol", 17, 3795),
    Ability("HoldPosition", 18, 3793, False),
    Ability("Attack", 23, 3674),
    Ability("Harvest_Gather", 295, 3666),
    Ability("Harvest_Return", 296, 3667, False),
    Ability("Build_CommandCenter", 318, 318),
    Ability("Build_SupplyDepot", 319, 319),
    Ability("Build_Refinery", 320, 320),
    Ability("Build_Barracks", 321, 321),
    Ability("Train_SCV", 524, 524, False),
    Ability("Train_Marine", 560, 560, False),
    Ability("Rally_Units", 195, 3673),
    Ability("Rally_Workers", 203, 3690),
    Ability("Cancel", 314, 3659, False),
    Ability("Cancel_Last", 306, 3671, False),
    Ability("Build_EngineeringBay", 322, 322),
    Ability("Build_MissileTurret", 323, 323),
    Ability("Build_Bunker", 324, 324),
    Ability("Train_Reaper", 561, 561, False),
    Ability("Train_Marauder", 563, 563, False),
    Ability("Build_TechLab", 421, 3682, False),
    Ability("Build_Reactor", 422, 3683, False),
    Ability("Research_Stimpack", 730, 730, False),
    Ability("Research_CombatShield", 731, 731, False),
    Ability("Research_ConcussiveShells", 732, 732, False),
    Ability("Research_TerranInfantryWeapons", 652, 3698, False),
    Ability("Research_TerranInfantryArmor", 656, 3697, False),
    Ability("Morph_OrbitalCommand", 1516, 1516, False),
    Ability("Morph_SupplyDepot_Lower", 556, 556, False),
    Ability("Morph_SupplyDepot_Raise", 558, 558, False),
    Ability("Effect_Stim", 380, 3675, False),
    Ability("Effect_Scan", 399, 399),
    Ability("Effect_CalldownMULE", 171, 171),
    Ability("Effect_SupplyDrop", 255, 255),
    Ability("Effect_Repair", 316, 3685),
    Ability("Load", 407, 3668),
    Ability("UnloadAll", 408, 3664, False),
)
BY_COMMAND = {ability.command: ability for ability in ABILITIES}
BY_ID = {i: ability for ability in ABILITIES for i in (ability.general, ability.id)}
BY_ID[308] = BY_COMMAND["Cancel_Last"]  # as the command center calls it
BY_ID[304] = BY_COMMAND["Cancel_Last"]
BY_ID[312] = BY_COMMAND["Cancel_Last"]  # as a barracks does
BY_ID[253] = BY_COMMAND["Effect_Stim"]  # as a marauder does

_ORDERS = {
    MOVE: 16, FOLLOW: 16, ATTACK_MOVE: 23, ATTACK: 23, PATROL: 17, HOLD: 18, GATHER: 295, RETURN: 296, ENTER: 1,
    REPAIR: 316, **{BUILD + int(BUILT[i]): BY_COMMAND[name].id for i, name in enumerate(COMMANDS) if BUILT[i]},
}  # fmt: skip
_MAKING = {int(QUEUED[i]): BY_COMMAND[name].id for i, name in enumerate(COMMANDS) if QUEUED[i]}


def told_id(ability: Ability, kind: int) -> int:
    """An ability's number on the card of a kind of unit."""
    return 253 if ability.command == "Effect_Stim" and kind == MARAUDER else ability.id


def order_ability(order: int) -> int:
    """The ability that an order of a unit goes back to; 0 if there is none."""
    return _ORDERS.get(order, 0)


def training_ability(kind: int) -> int:
    """The ability that makes a kind of unit, an add-on or an upgrade; 0 if there is none."""
    return _MAKING.get(kind, 0)
