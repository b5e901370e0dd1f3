"""Orders for every unit -> PySC2's raw functions, all of a step in one list."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from envs.starcraft import functions as fn
from envs.starcraft import interface as sc
from envs.starcraft.client import Call

Place = tuple[float, float]

BEACONS = (317,)
"""Unit types that nothing can be aimed at: an order to go to one goes to its place."""

ALONE = ("Build_", "Train_")
"""Commands that one of several units takes for itself: each unit's is sent by itself."""


@dataclass(frozen=True)
class Ground:
    """The map: its height and its longer side in world units, and where units can be (left, bottom, right, top)."""

    height: float
    span: float
    playable: tuple[float, float, float, float]

    def cell(self, x: float, y: float) -> list[int]:
        """A place in world units as (column, row) of the grid that orders are sent in."""
        size, last = self.span / fn.ORDER_GRID, fn.ORDER_GRID - 1
        return [min(max(math.floor(v / size), 0), last) for v in (x, self.height - y)]


def order_calls(
    interface: sc.Interface,
    action: Mapping[str, Any],
    units: Sequence[Any],
    places: Sequence[int],
    own: int,
    at: Ground,
) -> tuple[list[Call], bool]:
    """The calls for an action, and whether an order had to be left out for want of a target.

    ``units`` are those observed, of which the first ``own`` are the player's; ``places`` where PySC2 lists each.
    Equal orders of several units are one call with several tags.
    """
    found: dict[Any, tuple[int, list[list[int]]]] = {}
    missing = False
    for row in range(own):
        name = interface.functions[int(action["function"][row])]
        if name == "no_op":
            continue
        function = interface.function_table[name]
        taken = interface.chosen_arguments(name)
        target = _target(name, taken, {a: int(action[a][row]) for a in taken}, units, units[row], interface, at)
        if target is None:
            missing = True
            continue
        number, where = target
        if number is None:
            number = function.id
        if isinstance(where, int):
            where = [places[where]]
        alone = function.command.startswith(ALONE) or function.mode == "direction"
        key = (number, tuple(where), row if alone else -1)
        tags = found.setdefault(key, (number, [[0], [], *([where] if where else [])]))[1][1]
        tags.append(places[row])
    return list(found.values()) or [(0, [])], missing


def _target(
    name: str, taken: tuple[str, ...], chosen: Mapping[str, int], units: Sequence[Any], unit: Any,
    interface: sc.Interface, at: Ground,
) -> tuple[int | None, Any] | None:  # fmt: skip
    """Another function's number if it becomes one, and what it is aimed at: a row, a cell, or nothing (an empty list).

    None where it is aimed at nobody.
    """
    if not taken:
        return None, []
    (argument,) = taken
    value = chosen[argument]
    if argument == "place":
        width, height = interface.minimap_size
        row, column = divmod(value, width)
        return None, at.cell((column + 0.5) * at.span / width, at.height - (row + 0.5) * at.span / height)
    if argument == "direction":
        angle = 2 * math.pi * value / fn.DIRECTIONS
        left, bottom, right, top = at.playable
        x, y = unit.pos.x + fn.STRIDE * math.cos(angle), unit.pos.y + fn.STRIDE * math.sin(angle)
        return None, at.cell(min(max(x, left), right), min(max(y, bottom), top))
    if value >= len(units):
        return None
    if units[value].unit_type in BEACONS and name == "Move_unit":
        return fn.ORDER_FUNCTIONS["Move_pt"].id, at.cell(units[value].pos.x, units[value].pos.y)
    return None, value
