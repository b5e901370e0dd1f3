"""From an action to a command: what each of PySC2's functions asks for, where it is aimed, and whom it is for.

An action is a row of integers: the command, the way it is aimed (:data:`MODES`) and the arguments in the order of
``interface.ARGUMENTS``. A command that is not available does nothing, as in the game.
"""

from __future__ import annotations

from typing import Any

from envs.standin.rules.cards import (
    BAD_TARGET,
    BUILD_QUEUE,
    C_MOVE,
    C_RALLY_UNITS,
    MOVE_CAMERA,
    NOT_SUPPORTED,
    SELECT_ARMY,
    SELECT_CONTROL_GROUP,
    SELECT_IDLE_WORKER,
    SELECT_POINT,
    SELECT_RECT,
    SELECT_UNIT,
    SUCCESS,
)
from envs.standin.rules.catalog import BEACON
from envs.standin.rules.compiled import rule
from envs.standin.rules.orders import perform
from envs.standin.rules.selection import (
    control_group,
    count_selected,
    is_selected,
    keep_own,
    select_army,
    select_from_panel,
    select_idle_worker,
    select_point,
    select_rect,
    unit_at,
)
from envs.standin.rules.terrain.levels import span
from envs.standin.rules.world import OWN
from envs.starcraft.interface import ARGUMENTS, CAMERA_WIDTH

MODES = ("ui", "quick", "screen", "minimap", "pt", "unit")
_UI, _QUICK, _SCREEN, _MINIMAP, _PT, _AT_UNIT = range(len(MODES))

_FIRST = 2
_NAMES = list(ARGUMENTS)
A_SCREEN, A_MINIMAP = _FIRST + _NAMES.index("screen"), _FIRST + _NAMES.index("minimap")
A_SCREEN2, A_QUEUED = _FIRST + _NAMES.index("screen2"), _FIRST + _NAMES.index("queued")
A_WORLD, A_TARGET = _FIRST + _NAMES.index("world"), _FIRST + _NAMES.index("target_unit_tag")
A_GROUP_ACT, A_GROUP = _FIRST + _NAMES.index("control_group_act"), _FIRST + _NAMES.index("control_group_id")
A_POINT_ACT, A_ADD = _FIRST + _NAMES.index("select_point_act"), _FIRST + _NAMES.index("select_add")
A_UNIT_ACT, A_UNIT_ID = _FIRST + _NAMES.index("select_unit_act"), _FIRST + _NAMES.index("select_unit_id")
A_WORKER, A_QUEUE_ID = _FIRST + _NAMES.index("select_worker"), _FIRST + _NAMES.index("build_queue_id")
ACTION = _FIRST + len(_NAMES)
"""Integers in an action."""

SCREEN_W, SCREEN_H, MINIMAP_W, MINIMAP_H = range(4)
"""What ``sizes`` says: cells that the screen and the minimap are wide and high. Cells are numbered row by row."""


@rule
def screen_x(g: Any, cell: int, sizes: Any) -> float:
    """World x of the center of a screen cell."""
    return g.camera_x + CAMERA_WIDTH * ((cell % sizes[SCREEN_W] + 0.5) / sizes[SCREEN_W] - 0.5)


@rule
def screen_y(g: Any, cell: int, sizes: Any) -> float:
    """World y of the center of a screen cell."""
    return g.camera_y - CAMERA_WIDTH * ((cell // sizes[SCREEN_W] + 0.5) / sizes[SCREEN_H] - 0.5)


@rule
def minimap_x(g: Any, cell: int, sizes: Any) -> float:
    """World x of the center of a minimap cell."""
    return span(g) * (cell % sizes[MINIMAP_W] + 0.5) / sizes[MINIMAP_W]


@rule
def minimap_y(g: Any, cell: int, sizes: Any) -> float:
    """World y of the center of a minimap cell."""
    return g.height - span(g) * ((cell // sizes[MINIMAP_W] + 0.5) / sizes[MINIMAP_H])


@rule
def act(g: Any, us: Any, ts: Any, action: Any, tags: Any, slots: Any, sizes: Any, raw: bool, chosen: Any) -> int:
    """Carry out an action; what comes of it. ``chosen`` is scratch space, a number a slot."""
    what, mode = action[0], action[1]
    if mode == _UI and what != BUILD_QUEUE:
        result = act_on_selection(g, us, ts, action, sizes)
        keep_own(g, us)
        return result
    for i in range(g.top):
        chosen[i] = 0 if raw else is_selected(us[i])
    if raw:
        for row in range(tags.shape[0]):
            slot = slots[row]
            if tags[row] and slot >= 0 and us[slot].kind != 0 and us[slot].owner == OWN:
                chosen[slot] = 1
    x, y, target = 0.0, 0.0, -1
    if mode == _SCREEN:
        x, y = screen_x(g, action[A_SCREEN], sizes), screen_y(g, action[A_SCREEN], sizes)
        # A move means a unit only if it points at it exactly: else coarse cells would turn moves into follows.
        exact = what in (C_MOVE, C_RALLY_UNITS)
        target = unit_at(g, us, ts, x, y, 0.0 if exact else CAMERA_WIDTH / sizes[SCREEN_W] / 2)
    elif mode == _MINIMAP:
        x, y = minimap_x(g, action[A_MINIMAP], sizes), minimap_y(g, action[A_MINIMAP], sizes)
    elif mode == _PT:
        x, y = minimap_x(g, action[A_WORLD], sizes), minimap_y(g, action[A_WORLD], sizes)
    elif mode == _AT_UNIT:
        target = slots[action[A_TARGET]]
        if target < 0 or us[target].kind in (0, BEACON):
            return BAD_TARGET
        x, y = us[target].x, us[target].y
    index = action[A_QUEUE_ID] if what == BUILD_QUEUE else -1
    return perform(g, us, ts, what, action[A_QUEUED], x, y, target, index, chosen)


@rule
def act_on_selection(g: Any, us: Any, ts: Any, action: Any, sizes: Any) -> int:
    """Carry out one of the functions that are not commands to units."""
    what = action[0]
    cell = action[A_SCREEN]
    if what == SELECT_POINT:
        x, y = screen_x(g, cell, sizes), screen_y(g, cell, sizes)
        select_point(g, us, ts, unit_at(g, us, ts, x, y, CAMERA_WIDTH / sizes[SCREEN_W] / 2), action[A_POINT_ACT])
    elif what == SELECT_RECT:
        other = action[A_SCREEN2]
        x0, y0 = screen_x(g, cell, sizes), screen_y(g, cell, sizes)
        select_rect(g, us, ts, x0, y0, screen_x(g, other, sizes), screen_y(g, other, sizes), action[A_ADD])
    elif what == SELECT_CONTROL_GROUP:
        control_group(g, us, action[A_GROUP_ACT], action[A_GROUP])
    elif what == SELECT_UNIT:
        if count_selected(g, us) < 2:
            return NOT_SUPPORTED
        select_from_panel(g, us, action[A_UNIT_ACT], action[A_UNIT_ID])
    elif what == SELECT_ARMY:
        return SUCCESS if select_army(g, us, action[A_ADD]) else NOT_SUPPORTED
    elif what == SELECT_IDLE_WORKER:
        return SUCCESS if select_idle_worker(g, us, action[A_WORKER]) else NOT_SUPPORTED
    elif what == MOVE_CAMERA and g.camera_free:
        cell = action[A_MINIMAP]
        g.camera_x = min(max(minimap_x(g, cell, sizes), g.left), g.right)
        g.camera_y = min(max(minimap_y(g, cell, sizes), g.bottom), g.top_y)
    return SUCCESS
