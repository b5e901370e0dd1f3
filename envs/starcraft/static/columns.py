"""What can be observed and chosen: the columns of units, the planes, the numbers and the arguments, by their names."""

from __future__ import annotations

import math
from collections.abc import Mapping

from envs.spaces import Feature

UNIT_TYPES: Mapping[int, str] = {
    48: "Marine",
    45: "SCV",
    105: "Zergling",
    9: "Baneling",
    110: "Roach",
    18: "CommandCenter",
    19: "SupplyDepot",
    21: "Barracks",
    20: "Refinery",
    341: "MineralField",
    342: "VespeneGeyser",
    317: "Beacon_Terran",
    1680: "NaturalMinerals",
}
"""Unit type of the API -> name: those of the mini-games, which are told apart unless more are asked for."""

ORDERS = ("none", "move", "attack", "patrol", "hold", "gather", "return", "build", "train", "other")
"""What a unit's first order may be, as its ``order`` column tells it."""

UNIT_FEATURES: Mapping[str, Feature] = {
    f.name: f
    for f in (
        Feature("unit_type", "category", len(UNIT_TYPES) + 1),
        Feature("alliance", "category", 5),  # 1 own, 2 ally, 3 neutral, 4 enemy
        Feature("x", "position"),
        Feature("y", "position"),
        Feature("health_ratio"),
        Feature("health", "log"),
        Feature("selected"),
        Feature("radius"),
        Feature("weapon_cooldown", scale=16),  # loops
        Feature("order", "category", len(ORDERS)),
        Feature("carrying", "category", 3),  # 1 minerals, 2 vespene
        Feature("build_progress"),
        Feature("contents", scale=1800),  # minerals or vespene left
        Feature("assigned_harvesters", scale=8),
        Feature("ideal_harvesters", scale=8),
        Feature("queue", scale=5),  # units in production
        # from here on by PySC2's names for them (``features.FeatureUnit``), where it has one
        Feature("shield", "log"),
        Feature("energy", "log"),
        Feature("shield_ratio"),
        Feature("energy_ratio"),
        Feature("cargo_space_taken", scale=8),
        Feature("cargo_space_max", scale=8),
        Feature("display_type", "category", 5),  # 1 visible, 2 remembered, 3 hidden, 4 to be built here
        Feature("owner", "category", 17),  # 16 is nobody
        Feature("facing", scale=2 * math.pi),  # radians from the right, counterclockwise
        Feature("cloak", "category", 5),  # 1 cloaked, 2 cloaked and detected, 3 not, 4 an ally's
        Feature("is_blip", "category", 2),
        Feature("is_powered", "category", 2),
        Feature("is_flying", "category", 2),
        Feature("is_burrowed", "category", 2),
        Feature("hallucination", "category", 2),
        Feature("active", "category", 2),
        Feature("is_on_screen", "category", 2),
        Feature("mineral_contents", scale=1800),
        Feature("vespene_contents", scale=2250),
        Feature("order_length", scale=5),
        *(Feature(f"order_id_{i}", "category") for i in range(4)),
        Feature("order_progress_0"),
        Feature("order_progress_1"),
        Feature("buff_id_0", "category"),
        Feature("buff_id_1", "category"),
        Feature("buff_duration_remain", scale=1000),  # loops
        Feature("buff_duration_max", scale=1000),
        Feature("addon_unit_type", "category"),
        Feature("attack_upgrade_level", scale=3),
        Feature("armor_upgrade_level", scale=3),
        Feature("shield_upgrade_level", scale=3),
        Feature("z", scale=16),  # height, world units
        Feature("detect_range", scale=16),
        Feature("radar_range", scale=32),
    )
}
"""Columns of a unit. Categories whose number follows from the interface are written with the mini-games' here, or 1."""

EFFECT_FEATURES: Mapping[str, Feature] = {
    f.name: f
    for f in (
        Feature("effect", "category", 16),  # as in PySC2's plane of that name
        Feature("alliance", "category", 5),
        Feature("owner", "category", 17),
        Feature("radius", scale=8),
        Feature("x", "position"),
        Feature("y", "position"),
    )
}
"""Columns of an effect: each of its places is a row."""

NUMBERS: Mapping[str, Feature] = {
    f.name: f
    for f in (
        Feature("game_loop", scale=1344),  # loops; 1344 are a minute
        Feature("score", "log"),
        Feature("minerals", "log"),
        Feature("vespene", "log"),
        Feature("food_used", scale=20),
        Feature("food_cap", scale=20),
        Feature("food_workers", scale=20),
        Feature("food_army", scale=20),
        Feature("idle_worker_count", scale=12),
        Feature("army_count", scale=12),
        Feature("selected_count", scale=12),
        Feature("camera_x", "position"),
        Feature("camera_y", "position"),
        Feature("warp_gate_count", scale=12),
        Feature("larva_count", scale=12),
    )
}


def _planes(table: Mapping[str, tuple[str, float]]) -> dict[str, Feature]:
    return {name: Feature(name, kind, scale) for name, (kind, scale) in table.items()}  # type: ignore[arg-type]


_TYPE = ("category", float(len(UNIT_TYPES) + 1))
_FLAG = ("category", 2.0)
_BYTE = ("scalar", 255.0)

SCREEN_PLANES: Mapping[str, Feature] = _planes(
    {
        "height_map": _BYTE,
        "visibility_map": ("category", 4),
        "creep": _FLAG,
        "power": _FLAG,
        "player_id": ("category", 17),
        "player_relative": ("category", 5),
        "unit_type": _TYPE,
        "selected": _FLAG,
        "unit_hit_points": ("log", 1),
        "unit_hit_points_ratio": _BYTE,
        "unit_energy": ("log", 1),
        "unit_energy_ratio": _BYTE,
        "unit_shields": ("log", 1),
        "unit_shields_ratio": _BYTE,
        "unit_density": ("scalar", 2),
        "unit_density_aa": _BYTE,
        "effects": ("category", 16),
        "hallucinations": _FLAG,
        "cloaked": _FLAG,
        "blip": _FLAG,
        "buffs": ("category", 3),  # 1 carries minerals, 2 carries vespene
        "buff_duration": _BYTE,
        "active": _FLAG,
        "build_progress": _BYTE,
        "pathable": _FLAG,
        "buildable": _FLAG,
        "placeholder": _FLAG,
    }
)

SEEN_WITHIN = (1, 128, 384, 896, 1920)
"""Game loops: a cell of the minimap that was in sight less than so many ago is 0, 1, ... in ``last_seen``; one that was
longer ago, or never, is the last number."""

MINIMAP_PLANES: Mapping[str, Feature] = _planes(
    {
        "height_map": _BYTE,
        "visibility_map": ("category", 4),
        "creep": _FLAG,
        "camera": _FLAG,
        "player_id": ("category", 17),
        "player_relative": ("category", 5),
        "selected": _FLAG,
        "unit_type": _TYPE,
        "alerts": _FLAG,
        "pathable": _FLAG,
        "buildable": _FLAG,
        "last_seen": ("category", len(SEEN_WITHIN) + 1),
    }
)

VALUES: Mapping[str, tuple[str, ...]] = {
    "queued": ("now", "queued"),
    "control_group_act": ("recall", "set", "append", "set_and_steal", "append_and_steal"),
    "select_point_act": ("select", "toggle", "select_all_type", "add_all_type"),
    "select_add": ("select", "add"),
    "select_unit_act": ("select", "deselect", "select_all_type", "deselect_all_type"),
    "select_worker": ("select", "add", "select_all", "add_all"),
}
"""Argument -> what its values mean, where they have names (``pysc2.lib.actions``)."""

ARGUMENTS: Mapping[str, int] = {
    "screen": 0,
    "minimap": 0,
    "screen2": 0,
    "world": 0,
    "unit_tags": 0,
    "target_unit_tag": 0,
    "queued": 2,
    "control_group_act": 5,
    "control_group_id": 10,
    "select_point_act": 4,
    "select_add": 2,
    "select_unit_act": 4,
    "select_unit_id": 500,
    "select_worker": 4,
    "build_queue_id": 10,
    "unload_id": 500,
    "world_part": 0,
    "delay": 0,
}
"""Argument -> number of values; 0 for those whose size follows from the interface."""
