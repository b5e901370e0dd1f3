"""What can be told to the game's units: PySC2's functions that the mini-games have a use for, by style."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Function:
    """One of PySC2's functions: its number there, its arguments in PySC2's order, and what it comes down to."""

    id: int
    arguments: tuple[str, ...]
    command: str
    mode: Literal["ui", "quick", "screen", "minimap", "pt", "unit", "away"]


def _ui(id: int, name: str, *arguments: str) -> tuple[str, Function]:
    return name, Function(id, arguments, name, "ui")


def _commands(command: str, **ids: int) -> Iterable[tuple[str, Function]]:
    takes = {
        "quick": ("queued",),
        "screen": ("queued", "screen"),
        "minimap": ("queued", "minimap"),
    }
    for mode, id in ids.items():
        yield f"{command}_{mode}", Function(id, takes[mode], command, mode)  # type: ignore[arg-type]


def _raw(command: str, **ids: int) -> Iterable[tuple[str, Function]]:
    takes = {
        "quick": ("queued", "unit_tags"),
        "pt": ("queued", "unit_tags", "world"),
        "unit": ("queued", "unit_tags", "target_unit_tag"),
    }
    for mode, id in ids.items():
        yield f"{command}_{mode}", Function(id, takes[mode], command, mode)  # type: ignore[arg-type]


FUNCTIONS: Mapping[str, Function] = dict(
    [
        _ui(0, "no_op"),
        _ui(1, "move_camera", "minimap"),
        _ui(2, "select_point", "select_point_act", "screen"),
        _ui(3, "select_rect", "select_add", "screen", "screen2"),
        _ui(4, "select_control_group", "control_group_act", "control_group_id"),
        _ui(5, "select_unit", "select_unit_act", "select_unit_id"),
        _ui(6, "select_idle_worker", "select_worker"),
        _ui(7, "select_army", "select_add"),
        _ui(11, "build_queue", "build_queue_id"),
        *_commands("Attack", screen=12, minimap=13),
        *_commands("Build_Barracks", screen=42),
        *_commands("Build_CommandCenter", screen=44),
        *_commands("Build_Refinery", screen=79),
        *_commands("Build_SupplyDepot", screen=91),
        *_commands("Cancel", quick=140),
        *_commands("Cancel_Last", quick=168),
        *_commands("Harvest_Gather", screen=264),
        *_commands("Harvest_Return", quick=269),
        *_commands("HoldPosition", quick=274),
        *_commands("Move", screen=331, minimap=332),
        *_commands("Patrol", screen=333, minimap=334),
        *_commands("Rally_Units", screen=335, minimap=336),
        *_commands("Rally_Workers", screen=343, minimap=344),
        *_commands("Smart", screen=451, minimap=452),
        *_commands("Stop", quick=453),
        *_commands("Train_Marine", quick=477),
        *_commands("Train_SCV", quick=490),
    ]
)
"""The functions of the feature style that the mini-games have a use for (``pysc2.lib.actions.FUNCTIONS``)."""

RAW_FUNCTIONS: Mapping[str, Function] = dict(
    [
        _ui(0, "no_op"),
        *_raw("Attack", pt=2, unit=3),
        *_raw("Build_Barracks", pt=185),
        *_raw("Build_CommandCenter", pt=187),
        ("Build_Refinery_pt", Function(214, ("queued", "unit_tags", "target_unit_tag"), "Build_Refinery", "unit")),
        *_raw("Build_SupplyDepot", pt=222),
        *_raw("Cancel", quick=98),
        *_raw("Cancel_Last", quick=129),
        *_raw("Harvest_Gather", unit=102),
        *_raw("Harvest_Return", quick=103),
        *_raw("HoldPosition", quick=17),
        *_raw("Move", pt=13, unit=14),
        *_raw("Patrol", pt=15, unit=16),
        *_raw("Rally_Units", pt=106, unit=107),
        *_raw("Rally_Workers", pt=114, unit=115),
        *_raw("Smart", pt=1, unit=12),
        *_raw("Stop", quick=101),
        *_raw("Train_Marine", quick=511),
        *_raw("Train_SCV", quick=520),
    ]
)
"""The functions of the raw style (``pysc2.lib.actions.RAW_FUNCTIONS``)."""

ORDER_FUNCTIONS: Mapping[str, Function] = {
    **{name: function for name, function in RAW_FUNCTIONS.items() if not name.startswith(("Smart", "Cancel"))},
    "Move_away_unit": Function(13, ("queued", "unit_tags", "world"), "Move", "away"),
}
"""The functions of the orders style: the raw style's, and a few steps away from a unit."""

ORDER_TARGETS: Mapping[str, str] = {
    "Attack_unit": "enemy",
    "Harvest_Gather_unit": "resource",
    "Rally_Workers_unit": "resource",
    "Build_Refinery_pt": "geyser",
}
"""The units that an order is for. A function that is not named here is for any unit, or for none."""

STRIDE = 4.0
"""World units that an order to move away leads."""
ORDER_GRID = 1024
"""Cells that the raw positions of orders are counted in, along the map's longer side: 1/16 world unit on 64."""


@dataclass(frozen=True)
class Ground:
    """The map: its height and its longer side in world units, and where units can be (left, bottom, right, top)."""

    height: float
    span: float
    playable: tuple[float, float, float, float]

    def cell(self, x: float, y: float) -> list[int]:
        """A place in world units as (column, row) of the grid that orders are sent in."""
        size, last = self.span / ORDER_GRID, ORDER_GRID - 1
        return [min(max(math.floor(v / size), 0), last) for v in (x, self.height - y)]

    def inside(self, size: tuple[int, int]) -> npt.NDArray[np.int8]:
        """Which cells of a grid over the map have their center where units can be: [height * width]."""
        (width, height), (left, bottom, right, top) = size, self.playable
        x = (np.arange(width) + 0.5) * self.span / width
        y = self.height - (np.arange(height) + 0.5) * self.span / height
        return (((y >= bottom) & (y <= top))[:, None] & ((x >= left) & (x <= right))).ravel().astype(np.int8)
