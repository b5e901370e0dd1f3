"""The game's ability ids and the stand-in's commands (``stableid.json`` of Blizzard/s2client-proto).

A client may name an ability by its general id or by the specific one that a unit has; the game tells specific ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from envs.standin.rules.catalog import BARRACKS, COMMAND_CENTER, MARINE, REFINERY, SCV, SUPPLY_DEPOT
from envs.standin.rules.world import (
    ATTACK,
    ATTACK_MOVE,
    BUILD,
    FOLLOW,
    GATHER,
    HOLD,
    MOVE,
    PATROL,
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
)
BY_COMMAND = {ability.command: ability for ability in ABILITIES}
BY_ID = {i: ability for ability in ABILITIES for i in (ability.general, ability.id)}
BY_ID[308] = BY_COMMAND["Cancel_Last"]  # as the command center calls it
BY_ID[304] = BY_COMMAND["Cancel_Last"]

_ORDERS = {
    MOVE: 16,
    FOLLOW: 16,
    ATTACK_MOVE: 23,
    ATTACK: 23,
    PATROL: 17,
    HOLD: 18,
    GATHER: 295,
    RETURN: 296,
    BUILD + COMMAND_CENTER: 318,
    BUILD + SUPPLY_DEPOT: 319,
    BUILD + REFINERY: 320,
    BUILD + BARRACKS: 321,
}
_TRAINING = {SCV: 524, MARINE: 560}


def order_ability(order: int) -> int:
    """The ability that an order of a unit goes back to; 0 if there is none."""
    return _ORDERS.get(order, 0)


def training_ability(kind: int) -> int:
    """The ability that trains a kind of unit."""
    return _TRAINING[kind]
