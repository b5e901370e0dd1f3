"""What can be told to the game's units: PySC2's functions, by style."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from envs.starcraft.static.table import RACES, rows

Mode = Literal["ui", "quick", "screen", "minimap", "pt", "unit", "autocast", "away"]


@dataclass(frozen=True)
class Function:
    """One of PySC2's functions: its number there, its arguments in PySC2's order, and what it comes down to.

    ``ability`` is the game's, 0 for what is done in the panels; ``general`` the ability that it is a special form of.
    """

    id: int
    arguments: tuple[str, ...]
    command: str
    mode: Mode
    ability: int = 0
    general: int = 0
    races: str = ""
    """Of ``T``, ``Z`` and ``P`` those whose units have it; empty for all."""


SHORT = (
    "no_op", "move_camera", "select_point", "select_rect", "select_control_group", "select_unit", "select_idle_worker",
    "select_army", "build_queue", "Attack_screen", "Attack_minimap", "Build_Barracks_screen",
    "Build_CommandCenter_screen", "Build_Refinery_screen", "Build_SupplyDepot_screen", "Cancel_quick",
    "Cancel_Last_quick", "Harvest_Gather_screen", "Harvest_Return_quick", "HoldPosition_quick", "Move_screen",
    "Move_minimap", "Patrol_screen", "Patrol_minimap", "Rally_Units_screen", "Rally_Units_minimap",
    "Rally_Workers_screen", "Rally_Workers_minimap", "Smart_screen", "Smart_minimap", "Stop_quick",
    "Train_Marine_quick", "Train_SCV_quick",
)  # fmt: skip
"""The functions of the feature style that the mini-games have a use for."""

RAW_SHORT = (
    "no_op", "Attack_pt", "Attack_unit", "Build_Barracks_pt", "Build_CommandCenter_pt", "Build_Refinery_pt",
    "Build_SupplyDepot_pt", "Cancel_quick", "Cancel_Last_quick", "Harvest_Gather_unit", "Harvest_Return_quick",
    "HoldPosition_quick", "Move_pt", "Move_unit", "Patrol_pt", "Patrol_unit", "Rally_Units_pt", "Rally_Units_unit",
    "Rally_Workers_pt", "Rally_Workers_unit", "Smart_pt", "Smart_unit", "Stop_quick", "Train_Marine_quick",
    "Train_SCV_quick",
)  # fmt: skip
"""The functions of the raw style that the mini-games have a use for."""


def _functions(kind: str, first: tuple[str, ...]) -> Mapping[str, Function]:
    """All of the table, those that the mini-games have a use for at the front, in their old order."""
    found: dict[str, Any] = dict.fromkeys(first)
    for number, name, mode, ability, general, arguments, races in rows(kind):
        taken: tuple[str, ...] = tuple(filter(None, arguments.split(",")))
        command, at = (name if mode == "ui" else name.rsplit("_", 1)[0]), mode
        if name == "raw_move_camera":
            command, at = "move_camera", "pt"
        elif "target_unit_tag" in taken:
            at = "unit"  # Build_Refinery_pt points to a geyser
        found[name] = Function(int(number), taken, command, at, int(ability or 0), int(general or 0), races)  # type: ignore[arg-type]
    return found


FUNCTIONS: Mapping[str, Function] = _functions("functions", SHORT)
"""The functions of the feature style (``pysc2.lib.actions.FUNCTIONS``)."""

RAW_FUNCTIONS: Mapping[str, Function] = _functions("raw_functions", RAW_SHORT)
"""The functions of the raw style (``pysc2.lib.actions.RAW_FUNCTIONS``)."""

ORDER_FUNCTIONS: Mapping[str, Function] = {
    **{name: RAW_FUNCTIONS[name] for name in RAW_SHORT if not name.startswith(("Smart", "Cancel"))},
    "Move_away_unit": Function(13, ("queued", "unit_tags", "world"), "Move", "away"),
}
"""The functions of the orders style: the raw style's short ones, and a few steps away from a unit."""


@cache
def function_groups(style: str) -> Mapping[str, tuple[str, ...]]:
    """Groups that functions can be asked for by.

    ``all``; ``minigames``, which the mini-games have a use for; a race: what its units can be told, in its general form
    alone (Stop_quick is there, and says what its special forms, such as Stop_Stop_quick, say).
    """
    table, short = {"feature": (FUNCTIONS, SHORT), "raw": (RAW_FUNCTIONS, RAW_SHORT)}.get(
        style, (ORDER_FUNCTIONS, tuple(ORDER_FUNCTIONS))
    )
    plain = {name: f.races for name, f in table.items() if not f.general}
    races = {
        race: tuple(name for name, of in plain.items() if not of or letter in of)
        for race, letter in RACES.items() if race != "neutral"
    }  # fmt: skip
    return {"all": tuple(table), "minigames": short, **races}


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
