"""What a StarCraft II agent sees and may do: one definition, served by the stand-in game and by the real one.

An :class:`Interface` is a handful of options. From it follow the observation space, the action space and, for each
game, which arrays to fill and how to read an action. Names of planes, functions and arguments are PySC2's own (pysc2
``lib/features.py`` and ``lib/actions.py``), and so are the values in the planes, with one exception: unit types, orders
and buffs are numbered by what the interface is told to tell apart, so that little is embedded where little is needed.

Three styles of playing:

``feature``
    Select, then command, with clicks on the screen and on the minimap. The units observed are those that the planes of
    the screen show, and their positions are in the frame of the screen: 0 to 1, left to right and top to bottom, so
    that the center of cell (row, column) is ((column + .5) / width, (row + .5) / height).
``raw``
    Commands name their units and their target. The units observed are all that the game tells of, those remembered
    (``display_type`` 2) among them, and their positions are in the frame of the minimap, which is the whole map.
``orders``
    Every own unit is given an order in each step, or goes on with the one that it has. Observed as in the raw style.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from gymnasium import spaces

from envs.checks import switch, whole
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
from envs.starcraft.functions import (
    FUNCTIONS,
    ORDER_FUNCTIONS,
    ORDER_TARGETS,
    RAW_FUNCTIONS,
    Function,
    function_groups,
)
from envs.starcraft.static import vocabulary as words
from envs.starcraft.static.columns import (
    ARGUMENTS,
    EFFECT_FEATURES,
    MINIMAP_PLANES,
    NUMBERS,
    ORDERS,
    SCREEN_PLANES,
    SEEN_WITHIN,
    UNIT_FEATURES,
    UNIT_TYPES,
    VALUES,
)
from envs.starcraft.static.table import entries, groups, select

__all__ = [
    "ARGUMENTS", "BELOW_CENTER", "CAMERA_WIDTH", "EFFECT_FEATURES", "FUNCTIONS", "MAP_SIZE", "MINIMAP_PLANES",
    "NUMBERS", "ORDERS", "RAW_FUNCTIONS", "SCREEN_PLANES", "SEEN_WITHIN", "UNIT_FEATURES", "UNIT_TYPES", "VALUES",
    "Function", "Interface", "InterfaceError", "Size",
]  # fmt: skip

CAMERA_WIDTH = 24.0
"""World units that the screen is wide (and, being square, high): PySC2's default ``camera_width_world_units``."""

BELOW_CENTER = 3.0
"""How far below the center of the playable rectangle the screen is centered (the maps' ``CameraPan``)."""

MAP_SIZE = 64.0
"""World units that a mini-game's map, and so its minimap, is wide and high (the maps' ``t3Terrain.xml``)."""


class InterfaceError(ValueError):
    """An interface option that cannot be served."""


BUILD = "Build_"
PLACES = ("place", "site")
"""Arguments of orders: where to go, and where to build."""

LARGEST_MAP, MOST_UNITS, FINEST, LONGEST_DELAY = 512, 512, 16, 1024

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
    """Rows of the units observed: own first, then allies, enemies, neutrals. 0: none observed."""
    unit_features: tuple[str, ...] = ("unit_type", "alliance", "x", "y", "health_ratio", "selected")
    unit_types: tuple[str, ...] = ()
    """Kinds of units to observe, so that those that do not matter fill no rows, or groups of them. Empty: all."""
    vocabulary: tuple[str, ...] = ("minigames",)
    """Kinds of units that ``unit_type``, as a column and as a plane, tells apart, or groups of them: minigames, all,
    terran, zerg, protoss, neutral. In what is observed they are numbered from 1; 0 is any other."""
    buffs: tuple[str, ...] = ()
    """Buffs that ``buff_id_0``, ``buff_id_1`` and the plane ``buffs`` tell apart; all, or named, those that PySC2 has
    names for. Empty: the plane says what is carried."""
    upgrades: tuple[str, ...] = ()
    """Own upgrades to observe; all, named, terran, zerg, protoss. Empty: none."""
    max_effects: int = 0
    """Rows of the effects observed, such as storms and scans: one for each place of one. 0: none observed."""
    screen: int | Size = 16
    """Cells that the screen is wide and high, for its planes and for clicks; two numbers for a rectangle."""
    screen_planes: tuple[str, ...] = ("player_relative", "selected", "unit_density")
    """Planes of the screen to observe. Empty: none."""
    minimap: int | Size = 16
    """Cells that the minimap is wide and high, for its planes and for clicks; two numbers for a rectangle."""
    minimap_planes: tuple[str, ...] = ()
    """Planes of the minimap to observe; PySC2 has all but last_seen, how long ago each cell was in sight."""
    numbers: tuple[str, ...] = ("game_loop", "army_count", "selected_count")
    """Numbers to observe. Empty: none."""
    functions: tuple[str, ...] = ("no_op", "select_army", "select_point", "Move_screen")
    """Functions that the agent chooses from, or groups of them: minigames, terran, zerg, protoss, all."""
    arguments: tuple[str, ...] = ()
    """Arguments, beside places and pointers, that the agent chooses. The others are held at 0: not queued, replace
    the selection, recall control group 0, and so on."""
    fineness: int = 1
    """In the raw style a place is chosen on the minimap and then within its cell, on so many cells by so many: by the
    argument ``world_part``. 1: the cell's center."""
    one_unit: bool = False
    """Whether in the raw style a command is given to one unit, which is pointed to; else to any number of them."""
    masks_by_function: bool = False
    """Whether in the raw style each function has masks of its own: of the units that can carry it out, and of those
    that it can be aimed at; else all own units, and all."""
    finish_building: bool = False
    """Whether in the style orders a worker that is told to build can be told nothing else until it is done."""
    builders: int = 0
    """Of the workers that could build at a step, how many can be told to in the style orders: the first ones; one alone
    decides for itself what is built next, of twenty each waits for the others. 0: all."""
    workers_fight: bool = True
    """Whether workers can be told to attack, in the style orders: who learns a melee from nothing learns a rush of all
    workers before anything else, and stays there."""
    max_delay: int = 0
    """The most game loops to the next decision: as AlphaStar's, an argument of every function, ``delay``, counted from
    1. 0: every ``step_mul`` loops."""

    def __post_init__(self) -> None:
        if self.style not in ("feature", "raw", "orders"):
            raise InterfaceError(f"style: expected 'feature', 'raw' or 'orders', got {self.style!r}")
        choices = {name: size for name, size in ARGUMENTS.items() if size}
        known: Mapping[str, tuple[Mapping[str, Any], Mapping[str, tuple[str, ...]]]] = {
            "unit_features": (UNIT_FEATURES, {"all": tuple(UNIT_FEATURES)}),
            "unit_types": (words.units(), words.unit_groups()),
            "vocabulary": (words.units(), words.unit_groups()),
            "buffs": (entries("buffs"), groups("buffs")),
            "upgrades": (entries("upgrades"), groups("upgrades")),
            "screen_planes": (SCREEN_PLANES, {}),
            "minimap_planes": (MINIMAP_PLANES, {}),
            "numbers": (NUMBERS, {}),
            "functions": (self.function_table, function_groups(self.style)),
            "arguments": (choices, {}),
        }
        for name, (table, several) in known.items():
            names = getattr(self, name)
            if isinstance(names, str) or not isinstance(names, Iterable):
                raise InterfaceError(f"{name}: expected a list of names, got {names!r}")
            names = tuple(names)
            if name == "functions" and len(set(names)) != len(names):
                raise InterfaceError("functions: one is named twice")
            try:
                object.__setattr__(self, name, select(name, names, table, several))
            except ValueError as error:
                raise InterfaceError(str(error)) from error
        try:
            for name, least, most in (
                ("max_units", 0, MOST_UNITS), ("max_effects", 0, MOST_UNITS), ("fineness", 1, FINEST),
                ("max_delay", 0, LONGEST_DELAY), ("builders", 0, MOST_UNITS),
            ):  # fmt: skip
                whole(name, getattr(self, name), least, most)
            switch("finish_building", self.finish_building)
            switch("workers_fight", self.workers_fight)
        except ValueError as error:
            raise InterfaceError(str(error)) from error
        for name in ("screen", "minimap"):
            width, height = _size(name, getattr(self, name))
            object.__setattr__(self, name, width if width == height else (width, height))
        self._check()

    def _check(self) -> None:
        """What does not go together."""
        if self.max_units and not self.unit_features:
            raise InterfaceError("unit_features: name at least one, or set max_units to 0 to observe no units")
        if not self.functions or self.functions[0] != "no_op":
            raise InterfaceError("functions: the first one must be 'no_op', which is always possible")
        if self.style != "feature" and not self.max_units:
            raise InterfaceError(f"max_units: the style {self.style} is about units, so it must observe at least one")
        if not (self.max_units or self.screen_planes or self.minimap_planes or self.numbers):
            raise InterfaceError("nothing is observed: ask for units, screen_planes, minimap_planes or numbers")
        if self.style != "raw" and self.fineness > 1:
            raise InterfaceError("fineness: only the raw style chooses places in the world")
        if self.style != "raw" and (self.one_unit or self.masks_by_function):
            option = "one_unit" if self.one_unit else "masks_by_function"
            raise InterfaceError(f"{option}: only the raw style points to the units that a command is given to")
        for option, common in (("finish_building", False), ("builders", 0), ("workers_fight", True)):
            if self.style != "orders" and getattr(self, option) != common:
                raise InterfaceError(f"{option}: only in the style orders is each worker told something in each step")
        if self.style == "orders" and self.max_delay:
            raise InterfaceError("max_delay: in the style orders each unit has an order, and the game one pace")

    @property
    def screen_size(self) -> Size:
        """Cells that the screen is wide and high."""
        return _size("screen", self.screen)

    @property
    def minimap_size(self) -> Size:
        """Cells that the minimap is wide and high."""
        return _size("minimap", self.minimap)

    @property
    def world_size(self) -> Size:
        """Cells that the raw style's places are counted in, in width and height."""
        width, height = self.minimap_size
        return width * self.fineness, height * self.fineness

    @property
    def function_table(self) -> Mapping[str, Function]:
        """All functions of this interface's style."""
        return {"feature": FUNCTIONS, "raw": RAW_FUNCTIONS, "orders": ORDER_FUNCTIONS}[self.style]

    @property
    def special(self) -> bool:
        """Whether it has functions that are a special form of another, such as Stop_Stop_quick of Stop_quick."""
        return any(self.function_table[name].general for name in self.functions)

    @property
    def kinds(self) -> Mapping[int, int]:
        """Unit type of the game -> its number here; one that is not in it is 0."""
        return words.unit_numbers(self.vocabulary)

    @property
    def abilities(self) -> Mapping[int, int]:
        """Ability of the game -> the number of its general form here; one that is not in it is the last."""
        return words.ability_numbers(self.function_table[name] for name in self.functions)

    def world_cells(self, action: Mapping[str, Any]) -> Any:
        """The cells of :attr:`world_size` that actions of the raw style point to."""
        if self.fineness == 1:
            return action["world"]
        fine, width = self.fineness, self.minimap_size[0]
        row, column = np.divmod(action["world"], width)
        inner_row, inner_column = np.divmod(action["world_part"], fine)
        return (fine * row + inner_row) * width * fine + fine * column + inner_column

    def loops(self, action: Mapping[str, Any], step_mul: int) -> int:
        """Game loops until the next decision after one game's action."""
        return int(action["delay"]) + 1 if self.max_delay else step_mul

    def _sized(self, feature: Feature) -> Feature:
        """A column or a plane with as many values as this interface tells apart."""
        size = 0
        if feature.name in ("unit_type", "addon_unit_type"):
            size = len(self.vocabulary) + 1
        elif feature.name.startswith("buff_id") or (feature.name == "buffs" and self.buffs):
            size = len(self.buffs) + 2  # the last is any other
        elif feature.name.startswith("order_id"):
            size = len(set(self.abilities.values())) + 2
        return replace(feature, scale=float(size)) if size else feature

    @property
    def whole_map(self) -> bool:
        """Whether all visible units are observed, wherever the screen is, in the frame of the map."""
        return self.style != "feature"

    def chosen_arguments(self, function: str) -> tuple[str, ...]:
        """The arguments of a function that the agent chooses, in order."""
        if self.style == "orders":
            mode = self.function_table[function].mode
            place = self.building_place if function.startswith(BUILD) else "place"
            targets = {"unit": (ORDER_TARGETS.get(function, "unit"),), "pt": (place,), "away": ("unit",)}
            return targets.get(mode, ())
        taken = self.function_table[function].arguments
        chosen = [a for a in taken if not ARGUMENTS[a] or a in self.arguments]
        if "world" in chosen and self.fineness > 1:
            chosen.append("world_part")
        return (*chosen, "delay") if self.max_delay else tuple(chosen)

    @property
    def building_place(self) -> str:
        """The argument that says where to build, and nothing else, so that it is masked: in the style ``orders`` one
        of its own where armies are sent to places, too, since they may go where nothing can be built; in the raw style
        ``world`` if only buildings have places, else none (empty)."""
        placed = [name for name in self.functions if self.function_table[name].mode == "pt"]
        armies = any(not name.startswith(BUILD) for name in placed)
        if self.style == "orders":
            return "site" if armies else "place"
        return "world" if placed and not armies and self.fineness == 1 else ""

    @property
    def observation_space(self) -> spaces.Dict:
        """Units, screen, minimap and numbers as asked for, and the mask of what may be chosen."""
        observed: dict[str, spaces.Space[Any]] = {}
        if self.max_units:
            observed["units"] = Units(self.max_units, [self._sized(UNIT_FEATURES[n]) for n in self.unit_features])
        if self.screen_planes:
            planes = [self._sized(SCREEN_PLANES[n]) for n in self.screen_planes]
            width, height = self.screen_size
            observed["screen"] = Planes(height, width, planes, np.int16)
        if self.minimap_planes:
            planes = [self._sized(MINIMAP_PLANES[n]) for n in self.minimap_planes]
            width, height = self.minimap_size
            observed["minimap"] = Planes(height, width, planes, np.int16)
        if self.numbers:
            observed["player"] = Numbers([NUMBERS[n] for n in self.numbers])
        if self.upgrades:
            observed["upgrades"] = spaces.MultiBinary(len(self.upgrades))
        if self.max_effects:
            observed["effects"] = Units(self.max_effects, list(EFFECT_FEATURES.values()))
        mask: dict[str, spaces.Space[Any]] = {"function": spaces.MultiBinary(len(self.functions))}
        if self.style == "orders":
            mask["function"] = spaces.MultiBinary((self.max_units, len(self.functions)))
            for name, argument in self.orders.each.items():
                if isinstance(argument, Pointer):
                    mask[name] = spaces.MultiBinary(self.max_units)
                elif isinstance(argument, Place):
                    mask[name] = spaces.MultiBinary(int(argument.n))
        if self.style == "raw":
            rows = (len(self.functions), self.max_units) if self.masks_by_function else self.max_units
            mask |= {"unit_tags": spaces.MultiBinary(rows), "target_unit_tag": spaces.MultiBinary(rows)}
            if self.building_place:
                mask["world"] = spaces.MultiBinary(math.prod(self.minimap_size))
        observed[ACTION_MASK] = spaces.Dict(mask)
        return spaces.Dict(observed)

    @property
    def orders(self) -> PerUnit:
        """An order for each unit, in the style ``orders``."""
        functions = {name: self.chosen_arguments(name) for name in self.functions}
        taken = {argument for chosen in functions.values() for argument in chosen}
        wide, high = self.minimap_size
        known: dict[str, spaces.Space[Any]] = {
            **{name: Pointer("units", self.max_units) for name in ("enemy", "resource", "geyser", "unit")},
            **dict.fromkeys(PLACES, Place("minimap" if self.minimap_planes else None, high, wide)),
        }
        return PerUnit("units", self.max_units, functions, {name: known[name] for name in known if name in taken})

    @property
    def action_space(self) -> Functions | PerUnit:
        """A function, and the arguments that the agent chooses; or an order for each unit."""
        if self.style == "orders":
            return self.orders
        functions = {name: self.chosen_arguments(name) for name in self.functions}
        taken = {argument for chosen in functions.values() for argument in chosen}
        where = [name for name in self.unit_features if name in ("x", "y")]
        shown = "units" if self.max_units and where == ["x", "y"] else None
        # units are where the screen shows them, or in the raw style where the map does
        (wide, high), (map_wide, map_high) = self.screen_size, self.minimap_size
        on_screen = Place(
            "screen" if self.screen_planes else None, high, wide, shown if self.style == "feature" else None
        )
        on_minimap = Place(
            "minimap" if self.minimap_planes else None, map_high, map_wide, shown if self.style == "raw" else None
        )
        sizes: dict[str, spaces.Space[Any]] = {
            "screen": on_screen, "screen2": on_screen, "minimap": on_minimap, "world": on_minimap,
            "world_part": Place(None, self.fineness, self.fineness),
        }  # fmt: skip
        if self.max_delay:
            sizes["delay"] = spaces.Discrete(self.max_delay)
        if self.max_units:
            sizes["unit_tags"] = (Pointer if self.one_unit else Pointers)("units", self.max_units)
            sizes["target_unit_tag"] = Pointer("units", self.max_units)
        sizes.update({name: spaces.Discrete(n) for name, n in ARGUMENTS.items() if n})
        sizes.update({name: Choice(names) for name, names in VALUES.items()})
        return Functions(functions, {name: sizes[name] for name in ARGUMENTS if name in taken})
