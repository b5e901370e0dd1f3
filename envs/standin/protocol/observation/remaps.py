"""Which general ability a specific one goes back to, as the game's ``ResponseData`` tells it (4.10; numbers only).

A client that knows the general ability alone can command any unit that has one of the specific ones. Here are those
that PySC2's functions name, those of units that the stand-in does not have among them.
"""

from __future__ import annotations

from collections.abc import Mapping

# fmt: off
SPECIFIC: Mapping[int, tuple[int, ...]] = {
    3659: (  # Cancel
        174, 250, 314, 451, 484, 517, 1217, 1219, 1221, 1373, 1449, 1451, 1517, 1623, 1730, 1732, 1763,
        1848, 2113, 2331, 2333, 2354, 2365, 2535, 2594, 2596, 2709, 3707,
    ),
    3660: (315, 348),  # Halt
    3661: (1374, 1378, 1382, 1386, 1390, 1394, 1433, 1444, 1512, 2014, 2095, 2108, 2340),  # BurrowDown
    3662: (1376, 1380, 1384, 1388, 1392, 1396, 1435, 1446, 1514, 2016, 2097, 2110, 2342),  # BurrowUp
    3663: (416,),  # LoadAll
    3664: (408, 413, 1438, 2371),  # UnloadAll
    3665: (4, 1691, 2057, 3783),  # Stop
    3666: (166, 295, 298, 1183),  # Harvest Gather
    3667: (167, 296, 299, 1184),  # Harvest Return
    3668: (394, 407, 911, 1406, 1437, 2370),  # Load
    3669: (396, 913, 1408),  # UnloadAllAt
    3671: (304, 306, 308, 312, 1038, 1831, 1833),  # Cancel Last
    3673: (195, 199, 211),  # Rally Units
    3674: (19, 23, 1682, 2048, 3771),  # Attack
    3675: (253, 380, 1683, 1684),  # Effect Stim
    3676: (382, 392),  # Behavior CloakOn
    3677: (383, 393),  # Behavior CloakOff
    3678: (419, 520, 522, 554, 1524),  # Land
    3679: (417, 452, 485, 518, 1522),  # Lift
    3680: (1729, 1731),  # Morph Root
    3681: (1725, 1727),  # Morph Uproot
    3682: (421, 454, 487),  # Build TechLab
    3683: (422, 455, 488),  # Build Reactor
    3684: (26, 28, 30),  # Effect Spray
    3685: (78, 316, 3751),  # Effect Repair
    3686: (142, 1974, 2368, 3757),  # Effect MassRecall
    3687: (1442, 2700),  # Effect Blink
    3688: (36, 2550),  # Behavior HoldFireOn
    3689: (38, 2552),  # Behavior HoldFireOff
    3690: (203, 207, 212),  # Rally Workers
    3691: (1694, 1733),  # Build CreepTumor
    3692: (1565, 1566, 1567),  # Research ProtossAirArmor
    3693: (1562, 1563, 1564),  # Research ProtossAirWeapons
    3694: (1065, 1066, 1067),  # Research ProtossGroundArmor
    3695: (1062, 1063, 1064),  # Research ProtossGroundWeapons
    3696: (1068, 1069, 1070),  # Research ProtossShields
    3697: (656, 657, 658),  # Research TerranInfantryArmor
    3698: (652, 653, 654),  # Research TerranInfantryWeapons
    3699: (861, 862, 863),  # Research TerranShipWeapons
    3700: (864, 865, 866),  # Research TerranVehicleAndShipPlating
    3701: (855, 856, 857),  # Research TerranVehicleWeapons
    3702: (1315, 1316, 1317),  # Research ZergFlyerArmor
    3703: (1312, 1313, 1314),  # Research ZergFlyerAttack
    3704: (1189, 1190, 1191),  # Research ZergGroundArmor
    3705: (1186, 1187, 1188),  # Research ZergMeleeWeapons
    3706: (1192, 1193, 1194),  # Research ZergMissileWeapons
    3793: (18, 3778),  # HoldPosition
    3794: (16, 3776),  # Move
    3795: (17, 3777),  # Patrol
    3796: (397, 410, 415, 914, 1409, 1440),  # UnloadUnit
}
# fmt: on
"""General ability -> the specific ones, by number."""

GENERAL: Mapping[int, int] = {specific: general for general, those in SPECIFIC.items() for specific in those}
"""Specific ability -> the general one."""
