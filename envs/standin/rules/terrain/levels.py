"""What ground that is not flat does: where units walk, what they see from below, where buildings stand.

A game's ``ground`` is 0 where the whole playable rectangle is one plain, and else the number of a map here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.standin.rules.catalog import REAPER
from envs.standin.rules.compiled import rule
from envs.standin.rules.terrain import simple64

FLAT, SIMPLE64 = 0, 1

UP = 8
"""Eighths of a level by which ground is too high to be seen, or shot at, from below."""


def _walked() -> npt.NDArray[np.uint8]:
    return np.stack([np.zeros((simple64.HEIGHT, simple64.WIDTH), np.uint8), simple64.heights()])


def _filled() -> npt.NDArray[np.uint8]:
    """The heights with those of the cliffs: of the highest ground within two cells, low ground where there is none."""
    cells = _walked()
    filled = cells.copy()
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            filled = np.maximum(filled, np.roll(cells, (dy, dx), (1, 2)))
    return np.where(cells > 0, cells, np.maximum(filled, simple64.LOW)).astype(np.uint8)


def _leapt() -> npt.NDArray[np.uint8]:
    """Where reapers can be: where one walks, and on the cliffs between, which are four cells wide at most."""
    cells = _walked() > 0
    over = cells.copy()
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        ahead = [np.roll(cells, (k * dy, k * dx), (1, 2)) for k in range(1, 5)]
        behind = [np.roll(cells, (-k * dy, -k * dx), (1, 2)) for k in range(1, 5)]
        for k in range(4):
            for j in range(4 - k):
                over |= ahead[k] & behind[j]
    return over.astype(np.uint8)


WALKED, FILLED, LEAPT = _walked(), _filled(), _leapt()
"""By ground, row and column: the height of what can be walked on, or 0; of all; and where reapers can be."""


@rule
def is_open(g: Any, kind: int, x: float, y: float) -> bool:
    """Can a unit of that kind stand there, buildings aside?"""
    if g.ground == FLAT:
        return True
    column, row = math.floor(x), math.floor(y)
    if column < 0 or row < 0 or column >= g.width or row >= g.height:
        return False
    return LEAPT[g.ground, row, column] != 0 if kind == REAPER else WALKED[g.ground, row, column] != 0


@rule
def height_at(g: Any, x: float, y: float) -> int:
    """The height of the ground there, in eighths of a level; everywhere the same on a plain."""
    if g.ground == FLAT:
        return 0
    column, row = min(max(math.floor(x), 0), g.width - 1), min(max(math.floor(y), 0), g.height - 1)
    return int(FILLED[g.ground, row, column])


@rule
def sees_up(g: Any, x: float, y: float, to_x: float, to_y: float) -> bool:
    """Is the ground there not too high to be seen from here?"""
    return g.ground == FLAT or height_at(g, to_x, to_y) - height_at(g, x, y) < UP


@rule
def is_level(g: Any, x: float, y: float, half_w: float, half_h: float) -> bool:
    """Can a building of that size stand there: on open ground of one level, ramps aside?"""
    if g.ground == FLAT:
        return True
    first = height_at(g, x, y)
    for row in range(math.floor(y - half_h + 0.5), math.floor(y + half_h + 0.5)):
        for column in range(math.floor(x - half_w + 0.5), math.floor(x + half_w + 0.5)):
            if row < 0 or column < 0 or row >= g.height or column >= g.width:
                return False
            height = WALKED[g.ground, row, column]
            if height == 0 or height != first or height % UP != 0:
                return False
    return True


@rule
def is_open_line(g: Any, kind: int, x0: float, y0: float, x1: float, y1: float, radius: float) -> bool:
    """Is the ground open on the way of a disc from one point to the other? Looked at every quarter of a cell."""
    if g.ground == FLAT:
        return True
    dx, dy = x1 - x0, y1 - y0
    away = math.sqrt(dx * dx + dy * dy)
    steps = int(away * 4.0) + 1
    side_x, side_y = -dy / max(away, 1e-6) * 0.7 * radius, dx / max(away, 1e-6) * 0.7 * radius
    for k in range(1, steps + 1):
        x, y = x0 + dx * k / steps, y0 + dy * k / steps
        if not is_open(g, kind, x, y):
            return False
        if k < steps and not (is_open(g, kind, x + side_x, y + side_y) and is_open(g, kind, x - side_x, y - side_y)):
            return False
    return True


@rule
def back_to_ground(g: Any, u: Any) -> None:
    """Push a unit that has got onto a cliff back to the nearest open cell around it: its way did not lead on."""
    if is_open(g, u.kind, u.x, u.y):
        return
    best_x, best_y, nearest = u.x, u.y, 1e9
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            left, bottom = math.floor(u.x) + dx, math.floor(u.y) + dy
            if is_open(g, u.kind, left + 0.5, bottom + 0.5):
                x, y = min(max(u.x, left + 0.05), left + 0.95), min(max(u.y, bottom + 0.05), bottom + 0.95)
                away = (x - u.x) ** 2 + (y - u.y) ** 2
                if away < nearest:
                    best_x, best_y, nearest = x, y, away
    u.x = best_x
    u.y = best_y
    u.way_version = -1  # and look for another way


@rule
def span(g: Any) -> int:
    """The map's longer side: what its minimap is wide and high."""
    return max(g.width, g.height)
