"""Orders for every unit -> PySC2's raw functions, all of a step in one list."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.standin.rules.catalog import type_table
from envs.starcraft import functions as fn
from envs.starcraft import interface as sc
from envs.starcraft.client import Call
from envs.starcraft.functions import Ground

Place = tuple[float, float]

BEACONS = (317,)
"""Unit types that nothing can be aimed at: an order to go to one goes to its place."""

ALONE = ("Build_", "Train_")
"""Commands that one of several units takes for itself: each unit's is sent by itself."""


def smallest_building(interface: sc.Interface) -> int:
    """Cells that the smallest building is wide that an order can place; 0 where none is placed, or one of which that
    is not known."""
    kinds = ["", *sc.UNIT_TYPES.values()]
    sides = []
    for name in interface.functions:
        if name.startswith(sc.BUILD) and interface.building_place in interface.chosen_arguments(name):
            kind = name.removeprefix(sc.BUILD).removesuffix("_pt")
            if kind not in kinds:
                return 0
            sides.append(int(type_table()["plot_w"][kinds.index(kind)]))
    return min(sides, default=0)


class Plots:
    """Where on the grid of places a building of ``side`` cells overlaps none that is seen; it is sent in cells of
    ``grid``, in width and height."""

    def __init__(self, ground: Ground, size: sc.Size, side: int, grid: sc.Size) -> None:
        table = type_table()
        sides = zip(table["plot_w"].tolist(), table["plot_h"].tolist(), strict=True)
        self.taken = {int(kind): wide for kind, wide in zip(table["api_id"], sides, strict=True) if wide[0]}
        self.inside, self.side = ground.inside(size).reshape(size[::-1]), side
        x, y = (
            (np.floor((np.arange(n) + 0.5) * fine / n) + 0.5) * ground.span / fine
            for n, fine in zip(size, grid, strict=True)
        )
        self.x, self.y = self._snapped(x), self._snapped(ground.height - y)

    def _snapped(self, value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.floor(value) + 0.5 if self.side % 2 else np.floor(value + 0.5)

    def free(self, units: Sequence[Any]) -> npt.NDArray[np.int8]:
        """[height * width], given the units of PySC2's message."""
        free = self.inside.copy()
        for unit in units:
            wide, high = self.taken.get(unit.unit_type, (0, 0))
            if wide:
                near_x = np.abs(self.x - unit.pos.x) < 0.5 * (self.side + wide) - 0.01
                near_y = np.abs(self.y - unit.pos.y) < 0.5 * (self.side + high) - 0.01
                free[np.ix_(near_y, near_x)] = 0
        return free.ravel()


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
        alone = function.command.startswith(ALONE) or function.mode == "away"
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
    if argument in sc.PLACES:
        width, height = interface.minimap_size
        row, column = divmod(value, width)
        return None, at.cell((column + 0.5) * at.span / width, at.height - (row + 0.5) * at.span / height)
    if value >= len(units):
        return None
    if interface.function_table[name].mode == "away":
        dx, dy = unit.pos.x - units[value].pos.x, unit.pos.y - units[value].pos.y
        left, bottom, right, top = at.playable
        way = fn.STRIDE / max(math.hypot(dx, dy), 1e-6)
        return None, at.cell(min(max(unit.pos.x + way * dx, left), right), min(max(unit.pos.y + way * dy, bottom), top))
    if units[value].unit_type in BEACONS and name == "Move_unit":
        return fn.ORDER_FUNCTIONS["Move_pt"].id, at.cell(units[value].pos.x, units[value].pos.y)
    return None, value
