"""What each unit is: numbers only.

Armor, attributes, weapons, costs, build times, supply, sight and speed are those of the game's ``ResponseData``, read
from the table of them (:mod:`envs.standin.rules.game_data`). What that does not tell is written here: hit points,
acceleration, damage points, scan ranges, regeneration, energy and missiles from the game's own catalog for the Linux
build (SC2Mapster/SC2GameData, branch ``sc2/4.10.0.75689-linux``: ``UnitData.xml``, ``WeaponData.xml``,
``BehaviorData.xml``, ``MoverData.xml``), radii as observations report them.

Lengths are in world units (map cells), times in game loops (16 a game second, 22.4 a second at the speed "faster"),
speeds in world units a loop. Supply is counted in halves, so that a zergling's is an integer.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from envs.standin.rules import game_data

LOOPS = 16.0
"""Game loops in a game second, which is the time base of the catalog's speeds and durations."""

MARINE, SCV, ZERGLING, BANELING, ROACH, COMMAND_CENTER, SUPPLY_DEPOT, BARRACKS, REFINERY = range(1, 10)
MINERAL_FIELD, GEYSER, BEACON, SHARD = range(10, 14)
MARAUDER, REAPER, MULE = range(14, 17)
BUNKER, ENGINEERING_BAY, MISSILE_TURRET, TECH_LAB, REACTOR, ORBITAL_COMMAND, LOWERED_DEPOT = range(17, 24)
SMALL_MINERAL_FIELD = 24
KINDS = 25
"""Kinds of units. The first thirteen are the unit types of the mini-games' observations, numbered as there (1 + the
place in ``interface.UNIT_TYPES``); 0 is no unit."""

STIMPACK, COMBAT_SHIELD, CONCUSSIVE_SHELLS, INFANTRY_WEAPONS, INFANTRY_ARMOR = range(25, 30)
ROWS = 30
"""Rows of the table: the upgrades come after the units, since they are paid for and take their time like these."""

LIGHT, ARMORED, BIOLOGICAL, MECHANICAL, STRUCTURE = 1, 2, 4, 8, 16
_ATTRIBUTES = {1: LIGHT, 2: ARMORED, 3: BIOLOGICAL, 4: MECHANICAL, 8: STRUCTURE}
"""The API's numbers of them."""

TYPE = np.dtype(
    [
        ("api_id", "i4"),  # of the unit type, or of the upgrade
        ("hp", "f4"),
        ("armor", "f4"),
        ("attributes", "i4"),
        ("radius", "f4"),
        ("sight", "f4"),
        ("speed", "f4"),
        ("acceleration", "f4"),  # world units a loop, a loop; 0 is instant
        ("regeneration", "f4"),  # hit points a loop
        ("damage", "f4"),  # of each hit
        ("hits", "i4"),  # that an attack consists of
        ("bonus_light", "f4"),
        ("bonus_armored", "f4"),
        ("range", "f4"),
        ("scan", "f4"),
        ("period", "f4"),
        ("damage_point", "f4"),
        ("backswing", "f4"),
        ("missile", "f4"),  # world units a loop; 0 hits at once
        ("splash", "f4"),  # radius, around the unit itself, which it gives its life for
        ("minerals", "i4"),
        ("vespene", "i4"),
        ("supply", "i4"),  # halves
        ("provides", "i4"),  # halves
        ("build_loops", "f4"),
        ("repair_loops", "f4"),  # from no hit points to all of them
        ("footprint_w", "i4"),  # cells that nobody walks over
        ("footprint_h", "i4"),
        ("plot_w", "i4"),  # cells that nothing else is built on
        ("plot_h", "i4"),
        ("contents", "f4"),
        ("energy", "f4"),  # at most
        ("cargo_size", "i4"),  # places that it takes in a bunker
        ("priority", "i4"),  # as a target
        ("made_by", "i4"),  # the kind that builds, trains or researches it
        ("requires", "i4"),  # a kind that must be there
        ("needs_lab", "i4"),  # is it made only beside a tech lab?
    ],
    align=True,
)

_GROUND = ("1", "3")
"""Weapons against the ground, or against all."""
_UNIT, _DEFENSE, _BUILDING = 20, 19, 11
_FIGHTS: Mapping[str, float] = {"scan": 5, "damage_point": 0.167 * LOOPS, "backswing": 0.5 * LOOPS, "priority": _UNIT}
_ZERG = {"regeneration": 0.2734 / LOOPS}


def _building(api_id: int, hp: float, radius: float, cells: int, **more: float) -> dict[str, float]:
    """A building: its footprint is the cells that nothing else is built on, too."""
    sides = dict.fromkeys(("footprint_w", "footprint_h", "plot_w", "plot_h"), cells)
    return {"api_id": api_id, "hp": hp, "radius": radius, **sides, "priority": _BUILDING, "made_by": SCV, **more}


_TYPES: dict[int, Mapping[str, float]] = {
    MARINE: {
        "api_id": 48, "hp": 45, "radius": 0.375, **_FIGHTS, "scan": 5.5, "damage_point": 0.05 * LOOPS,
        "backswing": 0.75 * LOOPS, "made_by": BARRACKS,
    },
    SCV: {
        "api_id": 45, "hp": 45, "radius": 0.375, **_FIGHTS, "acceleration": 2.5 / LOOPS**2, "made_by": COMMAND_CENTER,
        "repair_loops": 16.667 * LOOPS,
    },
    ZERGLING: {"api_id": 105, "hp": 35, "radius": 0.375, **_ZERG, **_FIGHTS},
    BANELING: {  # which bursts: no weapon, in the data's eyes
        "api_id": 9, "hp": 30, "radius": 0.375, **_ZERG, "damage": 20, "hits": 1, "bonus_light": 15, "range": 0.25,
        "scan": 5, "splash": 2.2, "priority": _UNIT,
    },
    ROACH: {"api_id": 110, "hp": 145, "radius": 0.5, **_ZERG, **_FIGHTS, "missile": 18.75 / LOOPS},
    COMMAND_CENTER: _building(18, 1500, 2.75, 5),
    SUPPLY_DEPOT: _building(19, 400, 1.25, 2),
    BARRACKS: _building(21, 1000, 1.8125, 3, requires=SUPPLY_DEPOT),
    REFINERY: _building(20, 500, 1.6875, 3),
    MINERAL_FIELD: {
        "api_id": 341, "hp": 10000, "radius": 1.125, "footprint_w": 2, "footprint_h": 1, "plot_w": 2, "plot_h": 1,
        "contents": 1800,
    },
    GEYSER: {
        "api_id": 342, "hp": 10000, "armor": 10, "attributes": STRUCTURE, "radius": 1.5, "footprint_w": 3,
        "footprint_h": 3, "plot_w": 3, "plot_h": 3, "contents": 2250,
    },
    BEACON: {"api_id": 317, "hp": 25, "radius": 1.875},
    SHARD: {"api_id": 1680, "hp": 10, "radius": 0.5},
    MARAUDER: {
        "api_id": 51, "hp": 125, "radius": 0.5625, **_FIGHTS, "scan": 6.5, "damage_point": 0, "backswing": 0,
        "missile": 20 / LOOPS, "made_by": BARRACKS, "needs_lab": 1,
    },
    REAPER: {
        "api_id": 49, "hp": 60, "radius": 0.375, **_FIGHTS, "scan": 5.5, "damage_point": 0, "backswing": 0.75 * LOOPS,
        "regeneration": 2 / LOOPS, "made_by": BARRACKS,
    },
    MULE: {
        "api_id": 268, "hp": 60, "radius": 0.375, "acceleration": 2.5 / LOOPS**2, "priority": _UNIT,
        "repair_loops": 16.667 * LOOPS,
    },
    BUNKER: _building(24, 400, 1.8125, 3, requires=BARRACKS, priority=_DEFENSE),
    ENGINEERING_BAY: _building(22, 850, 1.8125, 3, requires=COMMAND_CENTER),
    MISSILE_TURRET: _building(23, 250, 1.25, 2, requires=ENGINEERING_BAY, priority=_DEFENSE),
    TECH_LAB: _building(37, 400, 1, 2, made_by=BARRACKS),
    REACTOR: _building(38, 400, 1, 2, made_by=BARRACKS),
    ORBITAL_COMMAND: _building(
        132, 1500, 2.75, 5, made_by=COMMAND_CENTER, requires=BARRACKS, energy=200, repair_loops=135 * LOOPS,
    ),
    LOWERED_DEPOT: _building(47, 400, 1.25, 2, footprint_w=0, footprint_h=0, made_by=0, repair_loops=480),
    SMALL_MINERAL_FIELD: {
        "api_id": 483, "hp": 10000, "radius": 1.125, "footprint_w": 2, "footprint_h": 1, "plot_w": 2, "plot_h": 1,
        "contents": 900,
    },
    STIMPACK: {"api_id": 15, "made_by": TECH_LAB},
    COMBAT_SHIELD: {"api_id": 16, "made_by": TECH_LAB},
    CONCUSSIVE_SHELLS: {"api_id": 17, "made_by": TECH_LAB},
    INFANTRY_WEAPONS: {"api_id": 7, "made_by": ENGINEERING_BAY},
    INFANTRY_ARMOR: {"api_id": 11, "made_by": ENGINEERING_BAY},
}  # fmt: skip


def _number(cell: str) -> float:
    """A cell's number as the game tells it: in single precision."""
    return float(np.float32(cell))


def _told(kind: int) -> dict[str, float]:
    """What the game's data says of a unit or an upgrade; nothing of those that a melee's data does not describe."""
    api_id = int(_TYPES[kind]["api_id"])
    if kind >= KINDS:
        row = game_data.read()["upgrades"][api_id]
        return {
            "minerals": _number(row["mineral_cost"]),
            "vespene": _number(row["vespene_cost"]),
            "build_loops": _number(row["research_time"]),
        }
    row = game_data.read()["units"].get(api_id, {})

    def number(column: str) -> float:
        return _number(row.get(column, "0"))

    told = {
        "minerals": number("mineral_cost"),
        "vespene": number("vespene_cost"),
        "supply": 2 * number("food_required"),
        "provides": 2 * number("food_provided"),
        "build_loops": number("build_time"),
        "repair_loops": number("build_time"),
        "sight": number("sight_range"),
        "speed": number("movement_speed") / LOOPS,
        "armor": number("armor"),
        "cargo_size": number("cargo_size"),
        "attributes": sum(_ATTRIBUTES[int(one)] for one in row.get("attributes", "").split(",") if one),
    }
    for weapon in row.get("weapons", "").split(","):
        if weapon[:1] in _GROUND:
            _, damage, hits, reach, period, *bonuses = weapon.split(" ")
            told |= {
                "damage": _number(damage),
                "hits": int(hits),
                "range": _number(reach),
                "period": _number(period) * LOOPS,
            }
            for bonus in bonuses:
                attribute, more = bonus.split(":")
                told["bonus_light" if attribute == "1" else "bonus_armored"] = _number(more)
    return told


def type_table() -> npt.NDArray[np.void]:
    """The catalog as the kernels read it: [ROWS] of :data:`TYPE`, row 0 all zeros."""
    table = np.zeros(ROWS, TYPE)
    for kind, numbers in _TYPES.items():
        for name, value in {**_told(kind), **numbers}.items():
            table[kind][name] = value
    # The data has what an orbital command costs in all.
    table["minerals"][ORBITAL_COMMAND] -= table["minerals"][COMMAND_CENTER]
    return table
