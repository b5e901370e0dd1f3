"""What each unit is: numbers only.

Sources: hit points, armor, weapons, costs, build times, sight and speeds are those of the game's ``ResponseData`` (4.10
and later agree for these units); acceleration, damage point, scan range, regeneration and harvest times are those of
the game's own catalog for the Linux build (SC2Mapster/SC2GameData, branch ``sc2/4.10.0.75689-linux``: ``UnitData.xml``,
``WeaponData.xml``, ``BehaviorData.xml``, ``GameData.xml``); radii are those that observations report.

Lengths are in world units (map cells), times in game loops (16 a game second, 22.4 a second at the speed "faster"),
speeds in world units a loop. Supply is counted in halves, so that a zergling's is an integer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LOOPS = 16.0
"""Game loops in a game second, which is the time base of the catalog's speeds and durations."""

MARINE, SCV, ZERGLING, BANELING, ROACH, COMMAND_CENTER, SUPPLY_DEPOT, BARRACKS, REFINERY = range(1, 10)
MINERAL_FIELD, GEYSER, BEACON, SHARD = range(10, 14)
KINDS = 14
"""Kinds are numbered like the unit types in observations: 1 + the place in ``interface.UNIT_TYPES``; 0 is no unit."""

LIGHT, ARMORED, BIOLOGICAL, MECHANICAL, STRUCTURE = 1, 2, 4, 8, 16

TYPE = np.dtype(
    [
        ("api_id", "i4"),
        ("hp", "f4"),
        ("armor", "f4"),
        ("attributes", "i4"),
        ("radius", "f4"),
        ("sight", "f4"),
        ("speed", "f4"),
        ("acceleration", "f4"),  # world units a loop, a loop; 0 is instant
        ("regeneration", "f4"),  # hit points a loop
        ("damage", "f4"),
        ("bonus_light", "f4"),
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
        ("footprint_w", "i4"),
        ("footprint_h", "i4"),
        ("contents", "f4"),
        ("priority", "i4"),  # as a target
    ],
    align=True,
)

_MARINE_SCAN, _SCAN = 5.5, 5.0
_UNIT, _BUILDING = 20, 11

_TYPES: dict[int, dict[str, float]] = {
    MARINE: {
        "api_id": 48,
        "hp": 45,
        "attributes": LIGHT | BIOLOGICAL,
        "radius": 0.375,
        "sight": 9,
        "speed": 2.25 / LOOPS,
        "damage": 6,
        "range": 5,
        "scan": _MARINE_SCAN,
        "period": 0.86083984375 * LOOPS,
        "damage_point": 0.05 * LOOPS,
        "backswing": 0.75 * LOOPS,
        "minerals": 50,
        "supply": 2,
        "build_loops": 400,
        "priority": _UNIT,
    },
    SCV: {
        "api_id": 45,
        "hp": 45,
        "attributes": LIGHT | BIOLOGICAL | MECHANICAL,
        "radius": 0.375,
        "sight": 8,
        "speed": 2.8125 / LOOPS,
        "acceleration": 2.5 / LOOPS**2,
        "damage": 5,
        "range": 0.10009765625,
        "scan": _SCAN,
        "period": 1.5 * LOOPS,
        "damage_point": 0.167 * LOOPS,
        "backswing": 0.5 * LOOPS,
        "minerals": 50,
        "supply": 2,
        "build_loops": 272,
        "priority": _UNIT,
    },
    ZERGLING: {
        "api_id": 105,
        "hp": 35,
        "attributes": LIGHT | BIOLOGICAL,
        "radius": 0.375,
        "sight": 8,
        "speed": 2.953125 / LOOPS,
        "regeneration": 0.2734 / LOOPS,
        "damage": 5,
        "range": 0.10009765625,
        "scan": _SCAN,
        "period": 0.696044921875 * LOOPS,
        "damage_point": 0.167 * LOOPS,
        "backswing": 0.5 * LOOPS,
        "minerals": 25,
        "supply": 1,
        "build_loops": 384,
        "priority": _UNIT,
    },
    BANELING: {
        "api_id": 9,
        "hp": 30,
        "attributes": BIOLOGICAL,
        "radius": 0.375,
        "sight": 8,
        "speed": 2.5 / LOOPS,
        "regeneration": 0.2734 / LOOPS,
        "damage": 20,
        "bonus_light": 15,
        "range": 0.25,
        "scan": _SCAN,
        "splash": 2.2,
        "minerals": 50,
        "vespene": 25,
        "supply": 1,
        "build_loops": 320,
        "priority": _UNIT,
    },
    ROACH: {
        "api_id": 110,
        "hp": 145,
        "armor": 1,
        "attributes": ARMORED | BIOLOGICAL,
        "radius": 0.5,
        "sight": 9,
        "speed": 2.25 / LOOPS,
        "regeneration": 0.2734 / LOOPS,
        "damage": 16,
        "range": 4,
        "scan": _SCAN,
        "period": 2.0 * LOOPS,
        "damage_point": 0.167 * LOOPS,
        "backswing": 0.5 * LOOPS,
        "missile": 18.75 / LOOPS,
        "minerals": 75,
        "vespene": 25,
        "supply": 4,
        "build_loops": 432,
        "priority": _UNIT,
    },
    COMMAND_CENTER: {
        "api_id": 18,
        "hp": 1500,
        "armor": 1,
        "attributes": ARMORED | MECHANICAL | STRUCTURE,
        "radius": 2.75,
        "sight": 11,
        "minerals": 400,
        "provides": 30,
        "build_loops": 1600,
        "footprint_w": 5,
        "footprint_h": 5,
        "priority": _BUILDING,
    },
    SUPPLY_DEPOT: {
        "api_id": 19,
        "hp": 400,
        "armor": 1,
        "attributes": ARMORED | MECHANICAL | STRUCTURE,
        "radius": 1.25,
        "sight": 9,
        "minerals": 100,
        "provides": 16,
        "build_loops": 480,
        "footprint_w": 2,
        "footprint_h": 2,
        "priority": _BUILDING,
    },
    BARRACKS: {
        "api_id": 21,
        "hp": 1000,
        "armor": 1,
        "attributes": ARMORED | MECHANICAL | STRUCTURE,
        "radius": 1.8125,
        "sight": 9,
        "minerals": 150,
        "build_loops": 1040,
        "footprint_w": 3,
        "footprint_h": 3,
        "priority": _BUILDING,
    },
    REFINERY: {
        "api_id": 20,
        "hp": 500,
        "armor": 1,
        "attributes": ARMORED | MECHANICAL | STRUCTURE,
        "radius": 1.6875,
        "sight": 9,
        "minerals": 75,
        "build_loops": 480,
        "footprint_w": 3,
        "footprint_h": 3,
        "priority": _BUILDING,
    },
    MINERAL_FIELD: {
        "api_id": 341,
        "hp": 10000,
        "armor": 10,
        "attributes": STRUCTURE,
        "radius": 1.125,
        "footprint_w": 2,
        "footprint_h": 1,
        "contents": 1800,
    },
    GEYSER: {
        "api_id": 342,
        "hp": 10000,
        "armor": 10,
        "attributes": STRUCTURE,
        "radius": 1.5,
        "footprint_w": 3,
        "footprint_h": 3,
        "contents": 2250,
    },
    BEACON: {"api_id": 317, "hp": 25, "radius": 1.875},
    SHARD: {"api_id": 1680, "hp": 10, "radius": 0.5},
}


def type_table() -> npt.NDArray[np.void]:
    """The catalog as the kernels read it: [KINDS] of :data:`TYPE`, row 0 all zeros."""
    table = np.zeros(KINDS, TYPE)
    for kind, numbers in _TYPES.items():
        for name, value in numbers.items():
            table[kind][name] = value
    return table
