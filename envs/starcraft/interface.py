"""What a StarCraft II agent sees and may do: one definition, served by the stand-in game and by the real one.

An :class:`Interface` is a handful of options. From it follow the observation space, the action space and, for each
game, which arrays to fill and how to read an action. Names of planes, functions and arguments are PySC2's own (pysc2
``lib/features.py`` and ``lib/actions.py``), and so are the values in the planes, with one exception: unit types are
mapped to the short vocabulary :data:`UNIT_TYPES` so that they can be embedded cheaply.

Three styles of playing:

``feature``
    Select, then command, with clicks on the screen and on the minimap. The units observed are those on the screen,
    and their positions are in the frame of the screen: 0 to 1, left to right and top to bottom, so that the center of
    cell (row, column) is ((column + .5) / width, (row + .5) / height).
``raw``
    Commands name their units and their target. The units observed are all visible ones, and their positions are in
    the frame of the minimap, which is the whole map.
``orders``
    Every own unit is given an order in each step, or goes on with the one that it has. Observed as in the raw style.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from gymnasium import spaces

from envs.checks import whole
from envs.spaces import (
    ACTION_MASK,
    Choice,
    Feature,
    Functions,
    Numbers,
    PerUnit,
    Place,
    Planes,
    Pointer,
    Pointers,
    Units,
)
from envs.starcraft.functions import FUNCTIONS, ORDER_FUNCTIONS, ORDER_TARGETS, RAW_FUNCTIONS, Function

CAMERA_WIDTH = 24.0
"""World units that the screen is wide (and, being square, high): PySC2's default ``camera_width_world_units``."""

BELOW_CENTER = 3.0
"""How far below the center of the playable rectangle the screen is centered (the maps' ``CameraPan``)."""

MAP_SIZE = 64.0
"""World units that a mini-game's map, and so its minimap, is wide and high (the maps' ``t3Terrain.xml``)."""

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
"""Unit type of the API -> name. In observations a unit's type is 1 + its place in this mapping; 0 is any other."""

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
    )
}

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
}
"""Argument -> number of values; 0 for places and pointers, whose size follows from the interface."""


class InterfaceError(ValueError):
    """An interface option that cannot be served."""


def _known(option: str, names: Iterable[str], table: Mapping[str, Any]) -> None:
    for name in names:
        if name not in table:
            near = difflib.get_close_matches(name, table, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(table)}"
            raise InterfaceError(f"{option}: unknown name {name!r}{hint}")


LARGEST_MAP, MOST_UNITS = 512, 512

Size = tuple[int, int]
"""Cells in width and height."""


def _size(option: str, value: Any) -> Size:
    sides = value if isinstance(value, tuple | list) else (value, value)
    try:
        width, height = sides
        for side in sides:
            whole(option, side, 1, LARGEST_MAP)
    except ValueError as error:
        words = f"expected a whole number from 1 to {LARGEST_MAP}, or two, [width, height], got {value!r}"
        raise InterfaceError(f"{option}: {words}") from error
    return int(width), int(height)


@dataclass(frozen=True)
class Interface:
    """The options of what is seen and done. What is not asked for is neither computed nor part of the spaces.

    The defaults suit MoveToBeacon; :data:`envs.starcraft.maps.MAPS` holds, for each map, the options in which a good
    interface for it differs from them.
    """

    style: Literal["feature", "raw", "orders"] = "feature"
    max_units: int = 4
    """Rows of the units observed: own first, then enemies, then neutrals. 0: none observed."""
    unit_features: tuple[str, ...] = ("unit_type", "alliance", "x", "y", "health_ratio", "selected")
    unit_types: tuple[str, ...] = ()
    """Kinds of units to observe, so that those that do not matter fill no rows. Empty: all."""
    screen: int | Size = 16
    """Cells that the screen is wide and high, for its planes and for clicks; two numbers for a rectangle."""
    screen_planes: tuple[str, ...] = ("player_relative", "selected", "unit_density")
    """Planes of the screen to observe. Empty: none."""
    minimap: int | Size = 16
    """Cells that the minimap is wide and high, for its planes and for clicks; two numbers for a rectangle."""
    minimap_planes: tuple[str, ...] = ()
    """Planes of the minimap to observe. Empty: none."""
    numbers: tuple[str, ...] = ("game_loop", "army_count", "selected_count")
    """Numbers to observe. Empty: none."""
    functions: tuple[str, ...] = ("no_op", "select_army", "select_point", "Move_screen")
    """Functions that the agent chooses from."""
    arguments: tuple[str, ...] = ()
    """Arguments, beside places and pointers, that the agent chooses. The others are held at 0: not queued, replace
    the selection, recall control group 0, and so on."""

    def __post_init__(self) -> None:
        for name in (
            "unit_features",
            "unit_types",
            "screen_planes",
            "minimap_planes",
            "numbers",
            "functions",
            "arguments",
        ):
            names = getattr(self, name)
            if isinstance(names, str) or not isinstance(names, Iterable):
                raise InterfaceError(f"{name}: expected a list of names, got {names!r}")
            object.__setattr__(self, name, tuple(names))
        if self.style not in ("feature", "raw", "orders"):
            raise InterfaceError(f"style: expected 'feature', 'raw' or 'orders', got {self.style!r}")
        try:
            whole("max_units", self.max_units, 0, MOST_UNITS)
        except ValueError as error:
            raise InterfaceError(str(error)) from error
        if self.max_units and not self.unit_features:
            raise InterfaceError("unit_features: name at least one, or set max_units to 0 to observe no units")
        for name in ("screen", "minimap"):
            width, height = _size(name, getattr(self, name))
            object.__setattr__(self, name, width if width == height else (width, height))
        _known("unit_features", self.unit_features, UNIT_FEATURES)
        _known("unit_types", self.unit_types, dict.fromkeys(UNIT_TYPES.values()))
        _known("screen_planes", self.screen_planes, SCREEN_PLANES)
        _known("minimap_planes", self.minimap_planes, MINIMAP_PLANES)
        _known("numbers", self.numbers, NUMBERS)
        _known("functions", self.functions, self.function_table)
        _known("arguments", self.arguments, {k: v for k, v in ARGUMENTS.items() if v})
        if not self.functions or self.functions[0] != "no_op":
            raise InterfaceError("functions: the first one must be 'no_op', which is always possible")
        if len(set(self.functions)) != len(self.functions):
            raise InterfaceError("functions: one is named twice")
        if self.style != "feature" and not self.max_units:
            raise InterfaceError(f"max_units: the style {self.style} is about units, so it must observe at least one")
        if not (self.max_units or self.screen_planes or self.minimap_planes or self.numbers):
            raise InterfaceError("nothing is observed: ask for units, screen_planes, minimap_planes or numbers")

    @property
    def screen_size(self) -> Size:
        """Cells that the screen is wide and high."""
        return _size("screen", self.screen)

    @property
    def minimap_size(self) -> Size:
        """Cells that the minimap is wide and high."""
        return _size("minimap", self.minimap)

    @property
    def function_table(self) -> Mapping[str, Function]:
        """All functions of this interface's style."""
        return {"feature": FUNCTIONS, "raw": RAW_FUNCTIONS, "orders": ORDER_FUNCTIONS}[self.style]

    @property
    def whole_map(self) -> bool:
        """Whether all visible units are observed, wherever the screen is, in the frame of the map."""
        return self.style != "feature"

    def chosen_arguments(self, function: str) -> tuple[str, ...]:
        """The arguments of a function that the agent chooses, in order."""
        if self.style == "orders":
            mode = self.function_table[function].mode
            targets = {"unit": (ORDER_TARGETS.get(function, "unit"),), "pt": ("place",), "away": ("unit",)}
            return targets.get(mode, ())
        taken = self.function_table[function].arguments
        return tuple(a for a in taken if not ARGUMENTS[a] or a in self.arguments)

    @property
    def observation_space(self) -> spaces.Dict:
        """Units, screen, minimap and numbers as asked for, and the mask of what may be chosen."""
        observed: dict[str, spaces.Space[Any]] = {}
        if self.max_units:
            observed["units"] = Units(self.max_units, [UNIT_FEATURES[n] for n in self.unit_features])
        if self.screen_planes:
            planes = [SCREEN_PLANES[n] for n in self.screen_planes]
            width, height = self.screen_size
            observed["screen"] = Planes(height, width, planes, np.int16)
        if self.minimap_planes:
            planes = [MINIMAP_PLANES[n] for n in self.minimap_planes]
            width, height = self.minimap_size
            observed["minimap"] = Planes(height, width, planes, np.int16)
        if self.numbers:
            observed["player"] = Numbers([NUMBERS[n] for n in self.numbers])
        mask: dict[str, spaces.Space[Any]] = {"function": spaces.MultiBinary(len(self.functions))}
        if self.style == "orders":
            mask["function"] = spaces.MultiBinary((self.max_units, len(self.functions)))
            for name, argument in self.orders.each.items():
                if isinstance(argument, Pointer):
                    mask[name] = spaces.MultiBinary(self.max_units)
                elif isinstance(argument, Place):
                    mask[name] = spaces.MultiBinary(int(argument.n))
        if self.style == "raw":
            mask["unit_tags"] = spaces.MultiBinary(self.max_units)
            mask["target_unit_tag"] = spaces.MultiBinary(self.max_units)
        observed[ACTION_MASK] = spaces.Dict(mask)
        return spaces.Dict(observed)

    @property
    def orders(self) -> PerUnit:
        """An order for each unit, in the style ``orders``."""
        functions = {name: self.chosen_arguments(name) for name in self.functions}
        taken = {argument for chosen in functions.values() for argument in chosen}
        known: dict[str, spaces.Space[Any]] = {
            **{name: Pointer("units", self.max_units) for name in ("enemy", "resource", "geyser", "unit")},
            "place": Place("minimap" if self.minimap_planes else None, *reversed(self.minimap_size)),
        }
        return PerUnit("units", self.max_units, functions, {name: known[name] for name in known if name in taken})

    @property
    def action_space(self) -> Functions | PerUnit:
        """A function, and the arguments that the agent chooses; or an order for each unit."""
        if self.style == "orders":
            return self.orders
        functions = {name: self.chosen_arguments(name) for name in self.functions}
        taken = {argument for chosen in functions.values() for argument in chosen}
        on_screen = Place("screen" if self.screen_planes else None, *reversed(self.screen_size))
        on_minimap = Place("minimap" if self.minimap_planes else None, *reversed(self.minimap_size))
        sizes: dict[str, spaces.Space[Any]] = {
            "screen": on_screen, "screen2": on_screen, "minimap": on_minimap, "world": on_minimap,
        }  # fmt: skip
        if self.max_units:
            sizes["unit_tags"] = Pointers("units", self.max_units)
            sizes["target_unit_tag"] = Pointer("units", self.max_units)
        sizes.update({name: spaces.Discrete(n) for name, n in ARGUMENTS.items() if n})
        sizes.update({name: Choice(names) for name, names in VALUES.items()})
        return Functions(functions, {name: sizes[name] for name in ARGUMENTS if name in taken})
