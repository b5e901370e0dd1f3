"""From a choice to selections and orders: what each of PySC2's functions does to the units.

A choice is a row of integers: the command, the way it is aimed (:data:`MODES`) and the arguments in the order of
``interface.ARGUMENTS``. A command that is not available does nothing, as in the game.
"""

from __future__ import annotations

from typing import Any

from envs.standin.catalog import MARINE
from envs.standin.compiled import rule
from envs.standin.world import FOLLOW, HOLD, IDLE, MOVE, OWN, QUEUE, is_army, is_structure, is_target
from envs.starcraft.interface import ARGUMENTS, CAMERA_WIDTH, MAP_SIZE

COMMANDS = (
    "no_op",
    "move_camera",
    "select_point",
    "select_rect",
    "select_control_group",
    "select_unit",
    "select_idle_worker",
    "select_army",
    "Move",
    "Smart",
    "Stop",
    "HoldPosition",
)
"""What the game can be told, by the names in ``interface.Function.command``."""

(
    NO_OP,
    MOVE_CAMERA,
    SELECT_POINT,
    SELECT_RECT,
    SELECT_CONTROL_GROUP,
    SELECT_UNIT,
    SELECT_IDLE_WORKER,
    SELECT_ARMY,
    CMD_MOVE,
    CMD_SMART,
    CMD_STOP,
    CMD_HOLD,
) = range(len(COMMANDS))

MODES = ("ui", "quick", "screen", "minimap", "pt", "unit")
_UI, _QUICK, _SCREEN, _MINIMAP, _PT, _AT_UNIT = range(len(MODES))

_FIRST = 2
_NAMES = list(ARGUMENTS)
A_SCREEN = _FIRST + _NAMES.index("screen")
A_MINIMAP = _FIRST + _NAMES.index("minimap")
A_SCREEN2 = _FIRST + _NAMES.index("screen2")
A_QUEUED = _FIRST + _NAMES.index("queued")
A_GROUP_ACT = _FIRST + _NAMES.index("control_group_act")
A_GROUP = _FIRST + _NAMES.index("control_group_id")
A_POINT_ACT = _FIRST + _NAMES.index("select_point_act")
A_ADD = _FIRST + _NAMES.index("select_add")
A_UNIT_ACT = _FIRST + _NAMES.index("select_unit_act")
A_UNIT_ID = _FIRST + _NAMES.index("select_unit_id")
CHOICE = _FIRST + len(_NAMES)
"""Integers in a choice."""


@rule
def screen_x(g: Any, cell: int, size: int) -> float:
    """World x of the center of a screen cell."""
    return g.camera_x + CAMERA_WIDTH * ((cell % size + 0.5) / size - 0.5)


@rule
def screen_y(g: Any, cell: int, size: int) -> float:
    """World y of the center of a screen cell."""
    return g.camera_y - CAMERA_WIDTH * ((cell // size + 0.5) / size - 0.5)


@rule
def minimap_x(cell: int, size: int) -> float:
    """World x of the center of a minimap cell."""
    return MAP_SIZE * (cell % size + 0.5) / size


@rule
def minimap_y(cell: int, size: int) -> float:
    """World y of the center of a minimap cell."""
    return MAP_SIZE * (1.0 - (cell // size + 0.5) / size)


@rule
def unit_at(g: Any, us: Any, ts: Any, x: float, y: float, half: float) -> int:
    """The unit that a click at a cell means: of those whose disc touches the cell, the one nearest to its center.

    ``half`` is half a cell's width; 0 asks for the point itself. -1 if there is none.
    """
    best, best_distance = -1, 1e9
    for i in range(g.top):
        u = us[i]
        if not is_target(u.kind):
            continue
        dx, dy = abs(u.x - x), abs(u.y - y)
        gap_x, gap_y = max(dx - half, 0.0), max(dy - half, 0.0)
        radius = ts[u.kind].radius
        if gap_x * gap_x + gap_y * gap_y <= radius * radius and dx * dx + dy * dy < best_distance:
            best, best_distance = i, dx * dx + dy * dy
    return best


@rule
def clear_selection(g: Any, us: Any) -> None:
    """Select nothing."""
    for i in range(g.top):
        us[i].selected = 0


@rule
def is_selected(u: Any) -> bool:
    """Is it one of the player's own units, and selected?"""
    return u.kind != 0 and u.owner == OWN and u.selected != 0


@rule
def count_selected(g: Any, us: Any) -> int:
    """How many of the player's units are selected."""
    n = 0
    for i in range(g.top):
        if is_selected(us[i]):
            n += 1
    return n


@rule
def select_point(g: Any, us: Any, ts: Any, slot: int, act: int) -> None:
    """A click on a unit: select it, toggle it, or take all of its type on the screen (``select_point_act``)."""
    if slot < 0:
        return
    kind = us[slot].kind
    if us[slot].owner != OWN:
        if act == 0:
            clear_selection(g, us)
            us[slot].selected = 1
        return
    if act == 1:
        us[slot].selected = 1 - us[slot].selected
        return
    if act in (0, 2):
        clear_selection(g, us)
    if act == 0:
        us[slot].selected = 1
        return
    half = CAMERA_WIDTH / 2
    for i in range(g.top):
        u = us[i]
        on_screen = abs(u.x - g.camera_x) <= half and abs(u.y - g.camera_y) <= half
        if u.kind == kind and u.owner == OWN and on_screen:
            u.selected = 1


@rule
def select_rect(g: Any, us: Any, ts: Any, x0: float, y0: float, x1: float, y1: float, add: int) -> None:
    """A box drawn on the screen: the own units in it; buildings only if there is no other. Nothing in it: no change."""
    x0, x1 = min(x0, x1), max(x0, x1)
    y0, y1 = min(y0, y1), max(y0, y1)
    units, buildings = 0, 0
    for i in range(g.top):
        u = us[i]
        if u.kind == 0 or u.owner != OWN:
            continue
        dx = max(max(x0 - u.x, u.x - x1), 0.0)
        dy = max(max(y0 - u.y, u.y - y1), 0.0)
        radius = ts[u.kind].radius
        if dx * dx + dy * dy <= radius * radius:
            u.selected |= 2
            if is_structure(ts, u.kind):
                buildings += 1
            else:
                units += 1
    replace = add == 0 and units + buildings > 0
    for i in range(g.top):
        u = us[i]
        inside = u.selected & 2 != 0 and not (units > 0 and is_structure(ts, u.kind))
        u.selected = int(inside or (u.selected & 1 != 0 and not replace))


@rule
def control_group(g: Any, us: Any, act: int, group: int) -> None:
    """Recall (0), set (1), append to (2), or do so and take the units out of other groups (3, 4)."""
    bit = 1 << group
    if act == 0:
        found = False
        for i in range(g.top):
            if us[i].kind != 0 and us[i].groups & bit:
                found = True
        if found:
            for i in range(g.top):
                us[i].selected = int(us[i].kind != 0 and us[i].groups & bit != 0)
        return
    for i in range(g.top):
        u = us[i]
        if act in (1, 3):
            u.groups &= ~bit
        if is_selected(u):
            u.groups = bit if act >= 3 else u.groups | bit


@rule
def select_from_panel(g: Any, us: Any, act: int, index: int) -> None:
    """A click on the panel of selected units: this one (0), all but it (1), all of its type (2), all but those (3)."""
    chosen, n = -1, 0
    for i in range(g.top):
        if is_selected(us[i]):
            if n == index:
                chosen = i
            n += 1
    if chosen < 0 or n < 2:
        return
    kind = us[chosen].kind
    for i in range(g.top):
        if is_selected(us[i]):
            hit = i == chosen if act < 2 else us[i].kind == kind
            us[i].selected = int(hit == (act in (0, 2)))


@rule
def give(u: Any, queued: int, order: int, x: float, y: float, slot: int, tag: int) -> None:
    """Hand a unit an order, at once or behind those it has; a full queue takes no more."""
    if queued == 0 or u.order == IDLE:
        u.queued = 0
        u.order = order
        u.order_x = x
        u.order_y = y
        u.order_slot = slot
        u.order_tag = tag
    elif u.queued < QUEUE:
        n = u.queued
        u.queue[n] = order
        u.queue_x[n] = x
        u.queue_y[n] = y
        u.queue_slot[n] = slot
        u.queue_tag[n] = tag
        u.queued = n + 1


@rule
def command(g: Any, us: Any, ts: Any, u: Any, me: int, what: int, queued: int, x: float, y: float, target: int) -> None:
    """What one selected unit makes of a command aimed at a place or, if ``target`` >= 0, at a unit."""
    if not can(u, what):
        return
    if what == CMD_STOP:
        give(u, 0, IDLE, 0.0, 0.0, -1, 0)
    elif what == CMD_HOLD:
        give(u, queued, HOLD, 0.0, 0.0, -1, 0)
    elif what in (CMD_MOVE, CMD_SMART):
        if target >= 0 and target != me:
            give(u, queued, FOLLOW, x, y, target, us[target].tag)
        else:
            give(u, queued, MOVE, x, y, -1, 0)


@rule
def can(u: Any, what: int) -> bool:
    """Does this unit have the command on its card?"""
    if u.kind == MARINE:
        return what in (CMD_MOVE, CMD_SMART, CMD_STOP, CMD_HOLD)
    return False


@rule
def find_available(g: Any, us: Any, available: Any) -> None:
    """Fill ``available[command]`` with 1 for what the game would accept now."""
    available[:] = 0
    available[NO_OP] = 1
    available[MOVE_CAMERA] = 1
    available[SELECT_POINT] = 1
    available[SELECT_RECT] = 1
    available[SELECT_CONTROL_GROUP] = 1
    selected = 0
    seen = 0
    for i in range(g.top):
        u = us[i]
        if u.kind == 0 or u.owner != OWN:
            continue
        if is_army(u.kind):
            available[SELECT_ARMY] = 1
        if u.selected:
            selected += 1
            if seen & (1 << u.kind) == 0:
                seen |= 1 << u.kind
                for what in range(SELECT_ARMY + 1, available.shape[0]):
                    if can(u, what):
                        available[what] = 1
    available[SELECT_UNIT] = selected > 1


@rule
def act(g: Any, us: Any, ts: Any, choice: Any, screen: int, minimap: int) -> bool:
    """Carry out a choice; False if it was not available."""
    what, mode = choice[0], choice[1]
    if mode == _UI:
        return act_on_selection(g, us, ts, choice, screen, minimap)
    x, y, target = 0.0, 0.0, -1
    if mode == _SCREEN:
        x, y = screen_x(g, choice[A_SCREEN], screen), screen_y(g, choice[A_SCREEN], screen)
        # A move means a unit only if it points at it exactly: else coarse cells would turn moves into follows.
        exact = what in (CMD_MOVE, CMD_SMART)
        target = unit_at(g, us, ts, x, y, 0.0 if exact else CAMERA_WIDTH / screen / 2)
    elif mode == _MINIMAP:
        x, y = minimap_x(choice[A_MINIMAP], minimap), minimap_y(choice[A_MINIMAP], minimap)
    done = False
    for i in range(g.top):
        u = us[i]
        if is_selected(u) and can(u, what):
            command(g, us, ts, u, i, what, choice[A_QUEUED], x, y, target)
            done = True
    return done


@rule
def act_on_selection(g: Any, us: Any, ts: Any, choice: Any, screen: int, minimap: int) -> bool:
    """Carry out one of the functions that are not commands to units."""
    what = choice[0]
    cell = choice[A_SCREEN]
    if what == SELECT_POINT:
        x, y = screen_x(g, cell, screen), screen_y(g, cell, screen)
        select_point(g, us, ts, unit_at(g, us, ts, x, y, CAMERA_WIDTH / screen / 2), choice[A_POINT_ACT])
    elif what == SELECT_RECT:
        other = choice[A_SCREEN2]
        x0, y0 = screen_x(g, cell, screen), screen_y(g, cell, screen)
        select_rect(g, us, ts, x0, y0, screen_x(g, other, screen), screen_y(g, other, screen), choice[A_ADD])
    elif what == SELECT_CONTROL_GROUP:
        control_group(g, us, choice[A_GROUP_ACT], choice[A_GROUP])
    elif what == SELECT_UNIT:
        if count_selected(g, us) < 2:
            return False
        select_from_panel(g, us, choice[A_UNIT_ACT], choice[A_UNIT_ID])
    elif what == SELECT_ARMY:
        found = False
        for i in range(g.top):
            if us[i].kind != 0 and us[i].owner == OWN and is_army(us[i].kind):
                found = True
        if not found:
            return False
        if choice[A_ADD] == 0:
            clear_selection(g, us)
        for i in range(g.top):
            if us[i].kind != 0 and us[i].owner == OWN and is_army(us[i].kind):
                us[i].selected = 1
    elif what not in (NO_OP, MOVE_CAMERA):
        return False
    return True
