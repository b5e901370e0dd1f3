"""Where an action points to, for a frame that shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.starcraft import interface as sc
from envs.starcraft.functions import STRIDE

Place = tuple[float, float]


def orders_of(
    face: sc.Interface,
    g: Any,
    units: npt.NDArray[Any],
    slots: npt.NDArray[Any],
    actions: Mapping[str, npt.NDArray[Any]],
    i: int,
) -> list[tuple[int, Place]]:
    """Of each unit that row i's orders are for: where it is kept, and the world coordinates that its order leads to."""
    height, span = float(g["height"]), float(max(g["width"], g["height"]))
    found = []
    for row in np.flatnonzero(actions["function"][i]):
        slot, name = int(slots[row]), face.functions[int(actions["function"][i, row])]
        if slot < 0:
            continue
        x, y = float(units[slot]["x"]), float(units[slot]["y"])
        for argument in face.chosen_arguments(name):
            value = int(actions[argument][i, row])
            if argument in sc.PLACES:
                line, column = divmod(value, face.minimap_size[0])
                x = (column + 0.5) * span / face.minimap_size[0]
                y = height - (line + 0.5) * span / face.minimap_size[1]
            elif slots[value] >= 0:
                other = units[slots[value]]
                dx, dy = float(other["x"]) - x, float(other["y"]) - y
                if face.function_table[name].mode == "away":
                    dx, dy = (-STRIDE * d / max(math.hypot(dx, dy), 1e-6) for d in (dx, dy))
                x, y = x + dx, y + dy
        found.append((slot, (x, y)))
    return found


def pointed_to(
    face: sc.Interface,
    g: Any,
    units: npt.NDArray[Any],
    slots: npt.NDArray[Any],
    actions: Mapping[str, npt.NDArray[Any]],
    i: int,
) -> list[Place]:
    """World coordinates of the places and of the unit that row i's action names."""
    name = face.functions[int(actions["function"][i])]
    span = float(max(g["width"], g["height"]))
    found = []
    for argument in face.chosen_arguments(name):
        if argument == "target_unit_tag":
            slot = int(slots[int(actions[argument][i])])
            if slot >= 0:
                found.append((float(units[slot]["x"]), float(units[slot]["y"])))
        elif argument in ("screen", "screen2", "minimap", "world"):
            on_screen = argument.startswith("screen")
            width, height = face.screen_size if on_screen else face.minimap_size
            row, column = divmod(int(actions[argument][i]), width)
            x, y = (column + 0.5) / width, (row + 0.5) / height
            if on_screen:
                left, top = g["camera_x"] - sc.CAMERA_WIDTH / 2, g["camera_y"] + sc.CAMERA_WIDTH / 2
                found.append((float(left + x * sc.CAMERA_WIDTH), float(top - y * sc.CAMERA_WIDTH)))
            else:
                found.append((x * span, float(g["height"]) - y * span))
    return found
