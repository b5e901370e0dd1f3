"""The mini-games and the melee maps: what each map is, its limit, its layout, and the interface that suits it.

The mini-games' layouts are read from the map archives that ship in the ``pysc2_evolved`` package, where that is
installed; where it is not, the same numbers, written down here, take their place. A test holds that they agree. The
melee map is the stand-in's own: two bases on flat ground, whatever melee map is named.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from envs.standin.rules.terrain import plain, simple64
from envs.starcraft.interface import (
    ARGUMENTS,
    MINIMAP_PLANES,
    NUMBERS,
    SCREEN_PLANES,
    UNIT_FEATURES,
    Interface,
    InterfaceError,
)
from envs.starcraft.layouts.archive import COMMAND_CENTER, Layout, Rect, archive, read_layout

INTERFACE_OPTIONS = tuple(f.name for f in fields(Interface))
"""The options of an environment that say what is seen and done."""
GAME_OPTIONS = ("step_mul", "max_loops", "opponent", "players", "shaping", "head_start", "threads")
"""Some of the others, which may be meant by a name that is none."""

LONGEST_STEP, LONGEST_EPISODE = 28_800, 10_000_000
"""Game loops: PySC2's longest game, and five days."""


class UnknownMap(ValueError):
    """A map that is not among those known."""


@dataclass(frozen=True)
class MiniGame:
    """One map: a mini-game, or a melee against a computer player.

    ``loops``: the time limit of the map's script, in game loops. ``capacity``: units that the stand-in has room for.
    ``interface``: the options of :class:`Interface` that suit the map where they differ from its defaults.
    """

    name: str
    written: Layout
    capacity: int
    fog: bool = False
    melee: bool = False
    interface: Mapping[str, Any] = field(default_factory=dict)
    orders: Mapping[str, Any] = field(default_factory=dict)
    """The options that differ further in the orders style."""

    @property
    def loops(self) -> int:
        """The time limit, in game loops."""
        return self.written.loops

    def layout(self) -> Layout:
        """The map's layout: from its archive if that is installed, else as written down here."""
        path = archive(self.name)
        return self.written if path is None else read_layout(self.name, path, self.written.resources)


_ARENA: Rect = (22.0, 20.0, 44.0, 36.0)
_BASE: Rect = (19.9362, 18.998, 45.936, 36.998)
_SIDES: tuple[Rect, Rect] = ((23.9748, 25.0637, 27.9787, 31.0483), (38.0207, 25.0427, 42.0351, 31.0773))
_CENTER: Rect = (*COMMAND_CENTER, 0.0, 0.0)
_ASKED: Rect = (29.8251, 28.0083, 0.0, 0.0)
_LEFT_MINERALS = (
    (23.0, 26.5), (23.0, 28.5), (24.0, 29.5), (25.0, 22.5), (25.0, 32.5), (24.0, 23.5), (24.0, 31.5), (24.0, 25.5),
)  # fmt: skip
_GEYSERS = ((26.5, 20.5), (26.5, 34.5), (39.5, 20.5), (39.5, 34.5))

_FIGHT: Mapping[str, Any] = {
    "unit_features": (
        "unit_type", "alliance", "x", "y", "health_ratio", "selected", "weapon_cooldown", "order",
    ),
    "screen": 32,
    "screen_planes": (),
    "functions": ("no_op", "select_army", "select_point", "Move_screen", "Attack_screen"),
}  # fmt: skip
_ECONOMY: Mapping[str, Any] = {
    "unit_features": (
        "unit_type", "alliance", "x", "y", "health_ratio", "selected", "order", "carrying", "build_progress",
        "contents", "assigned_harvesters", "queue",
    ),
    "screen": 32,
    "screen_planes": ("player_relative", "unit_type", "selected", "buildable"),
    "numbers": (
        "game_loop", "minerals", "vespene", "food_used", "food_cap", "food_workers", "idle_worker_count", "army_count",
        "selected_count",
    ),
}  # fmt: skip

_SEARCHING = (
    "no_op", "move_camera", "select_army", "select_point", "Attack_screen", "Move_screen", "Attack_minimap",
    "Move_minimap",
)  # fmt: skip
_MINING = (
    "no_op", "select_point", "select_idle_worker", "Harvest_Gather_screen", "Harvest_Return_quick",
    "Train_SCV_quick", "Build_SupplyDepot_screen", "Build_Refinery_screen", "Build_CommandCenter_screen",
    "Rally_Workers_screen",
)  # fmt: skip
_CLICKS = ("select_worker", "select_point_act")
_BUILDING = (
    "no_op", "select_point", "select_idle_worker", "Harvest_Gather_screen", "Train_SCV_quick",
    "Build_SupplyDepot_screen", "Build_Barracks_screen", "Train_Marine_quick", "Rally_Workers_screen",
)  # fmt: skip
_PLAYING = (
    "no_op", "move_camera", "select_point", "select_rect", "select_idle_worker", "select_army",
    "Harvest_Gather_screen", "Train_SCV_quick", "Build_SupplyDepot_screen", "Build_Barracks_screen",
    "Train_Marine_quick", "Rally_Workers_screen", "Attack_screen", "Attack_minimap", "Move_screen",
)  # fmt: skip
_WALK: Mapping[str, Any] = {
    "unit_features": ("unit_type", "alliance", "x", "y", "order"),
    "functions": ("no_op", "Move_unit"),
    "numbers": ("game_loop",),
}
_BATTLE: Mapping[str, Any] = {
    "unit_features": ("unit_type", "alliance", "x", "y", "health_ratio", "health", "weapon_cooldown", "order"),
    "functions": ("no_op", "Attack_unit", "Move_unit", "Move_away_unit"),
    "numbers": ("game_loop", "army_count"),
}
_WORK: Mapping[str, Any] = {
    "unit_features": (
        "unit_type", "alliance", "x", "y", "order", "carrying", "build_progress", "assigned_harvesters", "queue",
    ),
    "functions": ("no_op", "Harvest_Gather_unit", "Train_SCV_quick", "Build_SupplyDepot_pt"),
    "numbers": ("game_loop", "minerals", "vespene", "food_used", "food_cap", "food_workers"),
    "minimap": 32,
}  # fmt: skip
_WAR: Mapping[str, Any] = {
    "unit_types": ("SCV", "CommandCenter", "SupplyDepot", "Barracks", "MineralField", "Marine"),
    "unit_features": (*_WORK["unit_features"], "health_ratio", "weapon_cooldown"),
    "numbers": (*_WORK["numbers"], "army_count"),
    "max_units": 128,
    "minimap": 16,
    "functions": (
        *_WORK["functions"],
        "Build_Barracks_pt",
        "Train_Marine_quick",
        "Attack_unit",
        "Attack_pt",
        "Move_pt",
    ),
}

MAPS: Mapping[str, MiniGame] = {
    m.name: m
    for m in (
        # 1: where the beacon appears; 2: the disc (x, y, radius) where it does not; 3: the radius to come within.
        MiniGame(
            "MoveToBeacon",
            Layout(1920, (_ARENA, (23.5002, 21.5002, 42.5, 34.5), (33, 28, 4, 0), (1.25, 0, 0, 0))),
            capacity=2,
            orders=_WALK,
        ),
        # 1: where shards appear.
        MiniGame(
            "CollectMineralShards",
            Layout(1920, (_ARENA, (23.0002, 21.0, 43.0, 35.0))),
            capacity=22,
            interface={
                "max_units": 22,
                "unit_features": ("unit_type", "alliance", "x", "y", "selected", "order"),
                "screen": 36,
                "functions": ("no_op", "select_army", "select_point", "Move_screen"),
                "arguments": ("queued",),
            },
            orders={**_WALK, "max_units": 22},
        ),
        # 1, 2: the sides, left and right.
        MiniGame(
            "DefeatRoaches",
            Layout(1920, (_ARENA, *_SIDES)),
            capacity=64,
            interface={"max_units": 64, **_FIGHT},
            orders={**_BATTLE, "max_units": 32},
        ),
        MiniGame(
            "DefeatZerglingsAndBanelings",
            Layout(1920, (_ARENA, *_SIDES)),
            capacity=72,
            interface={"max_units": 72, **_FIGHT},
            orders={**_BATTLE, "max_units": 48},
        ),
        # 1: where zerglings appear, but for 2: the disc (x, y, radius); 3: the ring (x, y, inner, outer) of the second.
        MiniGame(
            "FindAndDefeatZerglings",
            Layout(2880, ((10.0, 12.0, 54.0, 44.0), (11, 13, 53, 43), (32, 28, 10.5, 0), (32, 28, 7.5, 9.5))),
            capacity=28,
            fog=True,
            interface={
                **_FIGHT,
                "max_units": 28,
                "minimap_planes": ("visibility_map", "player_relative", "camera"),
                "numbers": ("game_loop", "army_count", "selected_count", "camera_x", "camera_y"),
                "functions": _SEARCHING,
            },
            orders={
                **_BATTLE,
                "max_units": 28,
                "minimap": 16,
                "minimap_planes": ("visibility_map",),
                "functions": (*_BATTLE["functions"], "Attack_pt", "Move_pt"),
            },
        ),
        # 1: the command center; 2: the point that the workers are placed around.
        MiniGame(
            "CollectMineralsAndGas",
            Layout(
                6720,
                (_BASE, _CENTER, _ASKED),
                tuple((0.0, x, y) for x, y in _LEFT_MINERALS)
                + tuple((0.0, 66 - x, y) for x, y in _LEFT_MINERALS)
                + tuple((1.0, x, y) for x, y in _GEYSERS),
            ),
            capacity=160,
            interface={**_ECONOMY, "max_units": 128, "functions": _MINING, "arguments": ("select_worker",)},
            orders={
                **_WORK,
                "finish_building": True,
                "minimap": 40,  # on whose cells a second command center fits between the mineral lines
                "max_units": 96,
                "functions": (*_WORK["functions"], "Build_CommandCenter_pt", "Build_Refinery_pt"),
            },
        ),
        MiniGame(
            "BuildMarines",
            Layout(14400, (_BASE, _CENTER, _ASKED), tuple((0.0, x, y) for x, y in _LEFT_MINERALS)),
            capacity=256,
            interface={**_ECONOMY, "max_units": 256, "functions": _BUILDING, "arguments": _CLICKS},
            orders={
                **_WORK,
                "unit_types": ("SCV", "CommandCenter", "SupplyDepot", "Barracks", "MineralField"),
                "finish_building": True,
                "max_units": 64,
                "functions": (*_WORK["functions"], "Build_Barracks_pt", "Train_Marine_quick"),
            },
        ),
    )
}

# 1, 2: the two bases; 3: width and height, and the number of the ground. The limit is PySC2's for its melee maps:
# thirty minutes of 16 loops a second.
_PLAIN, _CLIFFS = (
    Layout(
        28800, (ground.PLAYABLE, *((x, y, 0.0, 0.0) for x, y in ground.BASES), (*ground.SIZE, ground.NUMBER, 0.0)),
        ground.resources(), ground.SIZE,
    )
    for ground in (plain, simple64)
)  # fmt: skip

CLIFFS = "Cliffs64"
"""The melee map with the ground of Simple64: 88 x 96 cells, ramps, two levels, four bases."""

MELEE: Mapping[str, MiniGame] = {
    name: MiniGame(
        name,
        _CLIFFS if name == CLIFFS else _PLAIN,
        capacity=400,
        fog=True,
        melee=True,
        interface={
            **_ECONOMY,
            "max_units": 96,
            "unit_features": (*_ECONOMY["unit_features"], "weapon_cooldown"),
            "screen_planes": (*_ECONOMY["screen_planes"], "unit_hit_points_ratio"),
            "minimap_planes": ("visibility_map", "player_relative", "camera"),
            "numbers": (*_ECONOMY["numbers"], "camera_x", "camera_y"),
            "functions": _PLAYING,
            "arguments": _CLICKS,
        },
        orders={**_WORK, **_WAR},
    )
    for name in ("Simple64", "Simple96", "Simple128", "Flat32", "Flat48", "Flat64", "Flat96", "Flat128", CLIFFS)
}
"""PySC2's melee maps (``pysc2.maps.melee``), by their names there: in the stand-in all but Simple64 are one plain."""


def mini_game(name: str) -> MiniGame:
    """The map of that name, or :class:`UnknownMap` naming the nearest one."""
    known = {**MAPS, **MELEE}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise UnknownMap(f"unknown map {name!r}; {hint}")
    return known[name]


def check_players(name: str, versus: bool, players: int | None = None) -> None:
    """Raise a ValueError if the map ``name`` is for more players, or for fewer, than it is to be played by.

    ``versus``: whether there is an opponent. ``players``: how many it is for, where another source says so.
    """
    number = players or (2 if name in MELEE else 1)
    if versus and number < 2:
        raise ValueError(f"opponent: {name} is played alone; melee maps are {', '.join(MELEE)}")
    if not versus and number > 1:
        raise ValueError(f"opponent: {name} is played against one; name the built-in AI, such as zerg:easy")


def interface_for(name: str, **options: Any) -> Interface:
    """The interface that suits the map ``name``, with single options replaced.

    In the raw style: with all functions that the mini-games have a use for, and without planes of the screen, which
    say nothing that the units do not.
    """
    for option in options:
        if option not in INTERFACE_OPTIONS:
            near = difflib.get_close_matches(option, (*INTERFACE_OPTIONS, *GAME_OPTIONS), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(INTERFACE_OPTIONS)}"
            raise InterfaceError(f"unknown interface option {option!r}; {hint}")
    style: Mapping[str, Any] = {}
    if options.get("style") == "raw":
        style = {"functions": ("minigames",), "arguments": (), "minimap": 64, "screen_planes": ()}
    elif options.get("style") == "orders":
        style = {"arguments": (), "screen_planes": (), "minimap_planes": (), **mini_game(name).orders}
    return Interface(**{**mini_game(name).interface, **style, **options})


def interface_of(map_name: str, interface: Interface | None, options: Mapping[str, Any]) -> Interface:
    """What is seen and done on a map: as asked for, or what suits it. Raises ValueError where nobody knows that."""
    if interface is not None:
        if options:
            raise ValueError(f"give either an interface or its options, not both: {', '.join(options)}")
        return interface
    if map_name in MAPS or map_name in MELEE:
        return interface_for(map_name, **options)
    missing = [name for name in ("functions", "max_units") if name not in options]
    if missing:
        raise ValueError(
            f"nobody has written down what suits the map {map_name}: say what is seen and done there by the options of "
            f"its interface, at least {' and '.join(missing)}, such as functions=[no_op, select_army, Attack_minimap] "
            f"and max_units=64; {', '.join({**MAPS, **MELEE})} are known"
        )
    return Interface(**options)


def common_interface(names: Sequence[str], **options: Any) -> Interface:
    """One interface for all the maps ``names``: whatever suits any of them, and the finest screen and minimap.

    ``options`` replace single options, as in :func:`interface_for`.
    """
    each = [interface_for(name, **{k: v for k, v in options.items() if k == "style"}) for name in names]
    table = each[0].function_table
    order = {
        "unit_features": UNIT_FEATURES,
        "screen_planes": SCREEN_PLANES,
        "minimap_planes": MINIMAP_PLANES,
        "numbers": NUMBERS,
        "functions": table,
        "arguments": ARGUMENTS,
    }
    joined: dict[str, Any] = {
        option: tuple(name for name in known if any(name in getattr(face, option) for face in each))
        for option, known in order.items()
    }
    joined["max_units"] = max(face.max_units for face in each)
    for size in ("screen", "minimap"):
        joined[size] = tuple(map(max, *(getattr(face, f"{size}_size") for face in each), (1, 1)))
    interface_for(names[0], **options)  # refuses an option that there is not
    return Interface(**{**joined, **options})
