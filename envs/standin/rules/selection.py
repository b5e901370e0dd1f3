"""Selecting: by click, by box, by control group, from the panel of selected units, and by the shortcuts."""

from __future__ import annotations

from typing import Any

from envs.standin.rules.catalog import SCV
from envs.standin.rules.compiled import rule
from envs.standin.rules.world import GARRISON, IDLE, OWN, is_army, is_structure, is_target, is_visible
from envs.starcraft.interface import CAMERA_WIDTH


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
        near = gap_x * gap_x + gap_y * gap_y <= radius * radius and dx * dx + dy * dy < best_distance
        if near and is_visible(g, us, ts, i):
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
def keep_own(g: Any, us: Any) -> None:
    """Where own units are selected, nothing else is: a mineral field that was drops out when a worker is added."""
    if count_selected(g, us) > 0:
        for i in range(g.top):
            if us[i].owner != OWN:
                us[i].selected = 0


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
def select_army(g: Any, us: Any, add: int) -> bool:
    """All units that fight; False if there are none."""
    found = False
    for i in range(g.top):
        if us[i].owner == OWN and is_army(us[i].kind) and us[i].order != GARRISON:
            found = True
    if found and add == 0:
        clear_selection(g, us)
    for i in range(g.top):
        if us[i].owner == OWN and is_army(us[i].kind) and us[i].order != GARRISON:
            us[i].selected = 1
    return found


@rule
def is_idle_worker(u: Any) -> bool:
    """A worker of the player's with nothing to do?"""
    return u.kind == SCV and u.owner == OWN and u.order == IDLE


@rule
def select_idle_worker(g: Any, us: Any, act: int) -> bool:
    """The next idle worker (0), that one in addition (1), all of them (2), all in addition (3); False if none is."""
    following, first = -1, -1
    for i in range(g.top):
        if is_idle_worker(us[i]):
            if first < 0:
                first = i
            if following < 0 and us[i].tag > g.last_idle:
                following = i
    if first < 0:
        return False
    if act in (0, 2):
        clear_selection(g, us)
    if act >= 2:
        for i in range(g.top):
            if is_idle_worker(us[i]):
                us[i].selected = 1
        return True
    chosen = following if following >= 0 else first
    us[chosen].selected = 1
    g.last_idle = us[chosen].tag
    return True
