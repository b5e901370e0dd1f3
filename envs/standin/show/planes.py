"""What the planes of the screen and of the minimap show, as ``envs/starcraft/interface.py`` names them, as arrays."""

from __future__ import annotations

import math
from typing import Any

from envs.standin.rules.compiled import rule
from envs.standin.rules.players import most_hp, player_number
from envs.standin.rules.terrain.levels import FLAT, WALKED, height_at, sees_up, span
from envs.standin.rules.world import ENEMY, IDLE, NEUTRAL, OWN, SCAN_RADIUS, SCANS, is_visible
from envs.standin.show.observe import alliance, progress
from envs.starcraft.interface import CAMERA_WIDTH, MINIMAP_PLANES, SCREEN_PLANES, SEEN_WITHIN

_S, _M = list(SCREEN_PLANES), list(MINIMAP_PLANES)

S_HEIGHT, S_VISIBILITY = _S.index("height_map"), _S.index("visibility_map")
S_PLAYER_ID, S_RELATIVE = _S.index("player_id"), _S.index("player_relative")
S_TYPE, S_SELECTED = _S.index("unit_type"), _S.index("selected")
S_HIT_POINTS, S_HIT_POINTS_RATIO = _S.index("unit_hit_points"), _S.index("unit_hit_points_ratio")
S_DENSITY, S_DENSITY_AA = _S.index("unit_density"), _S.index("unit_density_aa")
S_BUFFS, S_ACTIVE, S_PROGRESS = _S.index("buffs"), _S.index("active"), _S.index("build_progress")
S_PATHABLE, S_BUILDABLE = _S.index("pathable"), _S.index("buildable")

M_HEIGHT, M_VISIBILITY = _M.index("height_map"), _M.index("visibility_map")
M_CAMERA, M_PLAYER_ID, M_RELATIVE = _M.index("camera"), _M.index("player_id"), _M.index("player_relative")
M_SELECTED, M_TYPE = _M.index("selected"), _M.index("unit_type")
M_PATHABLE, M_BUILDABLE = _M.index("pathable"), _M.index("buildable")
M_LAST_SEEN = _M.index("last_seen")

NEVER = -1
"""The loop at which something was last in sight that never was."""

LOWEST = 175
"""The height of ground whose height is 0, by the API's scale: 16 eighths of a level are at 10 world units."""

TERRAIN_HEIGHT = 127
"""The height that flat ground shows in ``height_map``."""


@rule
def number_of(kinds: Any, kind: int) -> int:
    """A kind's number; of those that fill no rows, too."""
    return kinds[kind] if kinds[kind] >= 0 else -1 - kinds[kind]


@rule
def unit_plane(g: Any, u: Any, ts: Any, kinds: Any, plane: int) -> int:
    """What a unit shows in a plane of the screen; -1 if that plane does not show units."""
    if plane == S_RELATIVE:
        return alliance(u.owner)
    if plane == S_PLAYER_ID:
        return player_number(g, u.owner)
    if plane == S_TYPE:
        return number_of(kinds, u.kind)
    if plane == S_SELECTED:
        return u.selected
    if plane == S_HIT_POINTS:
        return int(min(u.hp, 1599.0))
    if plane == S_HIT_POINTS_RATIO:
        return int(255.0 * u.hp / most_hp(g, ts, u.kind, u.owner))
    if plane == S_BUFFS:
        return u.cargo
    if plane == S_ACTIVE:
        return int(u.order != IDLE or u.producing > 0) if u.owner == OWN else 0
    if plane == S_PROGRESS:
        return int(255.0 * progress(u, ts)) if u.build_left > 0.0 else 0
    return -1


@rule
def fill_ground(g: Any, plane_map: Any, left: float, top: float, cell_x: float, cell_y: float, value: int) -> None:
    """A constant inside the playable rectangle."""
    first_row = max(0, math.ceil((top - g.top_y) / cell_y - 0.5))
    last_row = min(plane_map.shape[0], math.ceil((top - g.bottom) / cell_y - 0.5))
    first_column = max(0, math.ceil((g.left - left) / cell_x - 0.5))
    last_column = min(plane_map.shape[1], math.ceil((g.right - left) / cell_x - 0.5))
    for row in range(first_row, last_row):
        for column in range(first_column, last_column):
            plane_map[row, column] = value


@rule
def fill_open_ground(
    g: Any, us: Any, ts: Any, plane_map: Any, build: bool, left: float, top: float, cell_x: float, cell_y: float
) -> None:
    """1 inside the playable rectangle, but where something stands, or no ground is: none to ``build`` on."""
    fill_ground(g, plane_map, left, top, cell_x, cell_y, 1)
    for row in range(plane_map.shape[0] if g.ground != FLAT else 0):
        for column in range(plane_map.shape[1]):
            x, y = math.floor(left + (column + 0.5) * cell_x), math.floor(top - (row + 0.5) * cell_y)
            inside = 0 <= x < g.width and 0 <= y < g.height
            height = WALKED[g.ground, y, x] if inside else 0
            if height == 0 or (build and height % 8 != 0):
                plane_map[row, column] = 0
    for i in range(g.top):
        u = us[i]
        if u.kind == 0 or ts[u.kind].footprint_w == 0:
            continue
        half_w, half_h = 0.5 * ts[u.kind].footprint_w, 0.5 * ts[u.kind].footprint_h
        first_row = math.ceil((top - u.y - half_h) / cell_y - 0.5)
        last_row = math.ceil((top - u.y + half_h) / cell_y - 0.5)
        first, last = math.ceil((u.x - half_w - left) / cell_x - 0.5), math.ceil((u.x + half_w - left) / cell_x - 0.5)
        for row in range(max(0, first_row), min(plane_map.shape[0], last_row)):
            for column in range(max(0, first), min(plane_map.shape[1], last)):
                plane_map[row, column] = 0


@rule
def fill_heights(g: Any, plane_map: Any, left: float, top: float, cell_x: float, cell_y: float) -> None:
    """The ground's height, by the API's scale."""
    if g.ground == FLAT:
        plane_map[:] = TERRAIN_HEIGHT
        return
    for row in range(plane_map.shape[0]):
        for column in range(plane_map.shape[1]):
            plane_map[row, column] = LOWEST + 2 * height_at(
                g, left + (column + 0.5) * cell_x, top - (row + 0.5) * cell_y
            )


@rule
def explore(g: Any, us: Any, ts: Any, explored: Any) -> None:
    """The cells of the map that are in sight now: for each the loop at which it was last; what never was is
    :data:`NEVER`."""
    for i in range(g.top):
        u = us[i]
        if u.kind == 0 or u.owner != OWN:
            continue
        reveal(g, explored, u.x, u.y, ts[u.kind].sight, True)
    for k in range(SCANS):
        if g.scan_until[k] > g.loop:
            reveal(g, explored, g.scan_x[k], g.scan_y[k], SCAN_RADIUS, False)


@rule
def reveal(g: Any, explored: Any, x: float, y: float, sight: float, from_below: bool) -> None:
    """The cells around a place are in sight, those that are too high aside if they are seen ``from_below``."""
    rows, columns = explored.shape
    for row in range(max(0, math.floor(y - sight)), min(rows, math.floor(y + sight) + 1)):
        for column in range(max(0, math.floor(x - sight)), min(columns, math.floor(x + sight) + 1)):
            dx, dy = column + 0.5 - x, row + 0.5 - y
            if dx * dx + dy * dy <= sight * sight:
                if from_below and not sees_up(g, x, y, column + 0.5, row + 0.5):
                    continue
                explored[row, column] = g.loop


@rule
def last_seen(loop: int, at: int) -> int:
    """How long ago a cell was in sight, as the plane ``last_seen`` numbers it."""
    value = len(SEEN_WITHIN)
    for k in range(len(SEEN_WITHIN)):
        if at > NEVER and loop - at < SEEN_WITHIN[k]:
            value = k
            break
    return value


@rule
def fill_visibility(
    g: Any, plane_map: Any, left: float, top: float, cell_x: float, cell_y: float, explored: Any, ages: bool
) -> None:
    """All of the playable rectangle in sight where there is no fog; else what has been explored.

    As ``visibility_map`` says it (0 never seen, 1 seen before, 2 in sight now), or, of ``ages``, as ``last_seen``.
    """
    if ages:
        plane_map[:] = len(SEEN_WITHIN)
    if g.fog == 0:
        fill_ground(g, plane_map, left, top, cell_x, cell_y, 0 if ages else 2)
        return
    for row in range(plane_map.shape[0]):
        for column in range(plane_map.shape[1]):
            x, y = math.floor(left + (column + 0.5) * cell_x), math.floor(top - (row + 0.5) * cell_y)
            if 0 <= x < explored.shape[1] and 0 <= y < explored.shape[0]:
                at = explored[y, x]
                plane_map[row, column] = last_seen(g.loop, at) if ages else (2 if at == g.loop else int(at > NEVER))


@rule
def draw(plane_map: Any, x: float, y: float, radius: float, stretch: float, value: int, how: int) -> None:
    """A disc around (x, y), all in cells: set its cells (0), add 1 to them (1), or add their coverage of 255 (2).

    ``radius`` counts in cells' widths, and a cell is ``stretch`` times as high as it is wide. The cell that holds the
    center is always part of the disc, so that the smallest unit shows on the coarsest map.
    """
    reach = radius + (0.5 if how == 2 else 0.0)
    high = reach / stretch
    home_row, home_column = math.floor(y), math.floor(x)
    for row in range(max(0, math.floor(y - high)), min(plane_map.shape[0], math.floor(y + high) + 1)):
        for column in range(max(0, math.floor(x - reach)), min(plane_map.shape[1], math.floor(x + reach) + 1)):
            dx, dy = column + 0.5 - x, (row + 0.5 - y) * stretch
            inside = dx * dx + dy * dy <= radius * radius or (row == home_row and column == home_column)
            if how == 2:
                edge = radius - math.sqrt(dx * dx + dy * dy) + 0.5
                covered = int(255.0 * min(max(edge, 0.0), 1.0))
                plane_map[row, column] = min(255, plane_map[row, column] + covered)
            elif inside:
                plane_map[row, column] = value if how == 0 else plane_map[row, column] + 1


@rule
def fill_screen(g: Any, us: Any, ts: Any, kinds: Any, explored: Any, planes: Any, screen: Any) -> None:
    """The planes of the screen, [height, width, planes]. Own units are drawn last, on top.

    The camera sees a square; a screen that is not square shows it stretched, as PySC2 takes it to.
    """
    screen[:] = 0
    height, width = screen.shape[0], screen.shape[1]
    cell_x, cell_y = CAMERA_WIDTH / width, CAMERA_WIDTH / height
    stretch = cell_y / cell_x
    left, top = g.camera_x - CAMERA_WIDTH / 2, g.camera_y + CAMERA_WIDTH / 2
    for p in range(planes.shape[0]):
        plane = planes[p]
        if plane == S_VISIBILITY:
            fill_visibility(g, screen[:, :, p], left, top, cell_x, cell_y, explored, False)
        elif plane in (S_PATHABLE, S_BUILDABLE):
            fill_open_ground(g, us, ts, screen[:, :, p], plane == S_BUILDABLE, left, top, cell_x, cell_y)
        elif plane == S_HEIGHT:
            fill_heights(g, screen[:, :, p], left, top, cell_x, cell_y)
    for turn in range(3):
        owner = NEUTRAL if turn == 0 else (ENEMY if turn == 1 else OWN)
        for i in range(g.top):
            u = us[i]
            if u.kind == 0 or u.owner != owner:
                continue
            x, y, radius = (u.x - left) / cell_x, (top - u.y) / cell_y, ts[u.kind].radius / cell_x
            high = radius / stretch
            if not (-radius < x < width + radius and -high < y < height + high) or not is_visible(g, us, ts, i):
                continue
            for p in range(planes.shape[0]):
                plane = planes[p]
                if plane == S_DENSITY:
                    draw(screen[:, :, p], x, y, radius, stretch, 1, 1)
                elif plane == S_DENSITY_AA:
                    draw(screen[:, :, p], x, y, radius, stretch, 1, 2)
                else:
                    value = unit_plane(g, u, ts, kinds, plane)
                    if value >= 0:
                        draw(screen[:, :, p], x, y, radius, stretch, value, 0)


@rule
def fill_minimap(g: Any, us: Any, ts: Any, kinds: Any, explored: Any, planes: Any, minimap: Any) -> None:
    """The planes of the minimap, [height, width, planes]: the whole map."""
    minimap[:] = 0
    top, across = float(g.height), float(span(g))
    cell_x, cell_y = across / minimap.shape[1], across / minimap.shape[0]
    stretch = cell_y / cell_x
    for p in range(planes.shape[0]):
        plane = planes[p]
        if plane in (M_VISIBILITY, M_LAST_SEEN):
            fill_visibility(g, minimap[:, :, p], 0.0, top, cell_x, cell_y, explored, plane == M_LAST_SEEN)
        elif plane in (M_PATHABLE, M_BUILDABLE):
            fill_open_ground(g, us, ts, minimap[:, :, p], plane == M_BUILDABLE, 0.0, top, cell_x, cell_y)
        elif plane == M_HEIGHT:
            fill_heights(g, minimap[:, :, p], 0.0, top, cell_x, cell_y)
        elif plane == M_CAMERA:
            for row in range(minimap.shape[0]):
                for column in range(minimap.shape[1]):
                    dx = (column + 0.5) * cell_x - g.camera_x
                    dy = top - (row + 0.5) * cell_y - g.camera_y
                    if max(abs(dx), abs(dy)) <= CAMERA_WIDTH / 2:
                        minimap[row, column, p] = 1
    for turn in range(3):
        owner = NEUTRAL if turn == 0 else (ENEMY if turn == 1 else OWN)
        for i in range(g.top):
            u = us[i]
            if u.kind == 0 or u.owner != owner or not is_visible(g, us, ts, i):
                continue
            x, y, radius = u.x / cell_x, (top - u.y) / cell_y, ts[u.kind].radius / cell_x
            for p in range(planes.shape[0]):
                plane = planes[p]
                value = -1
                if plane == M_RELATIVE:
                    value = alliance(owner)
                elif plane == M_PLAYER_ID:
                    value = player_number(g, owner)
                elif plane == M_SELECTED:
                    value = u.selected
                elif plane == M_TYPE:
                    value = number_of(kinds, u.kind)
                if value >= 0:
                    draw(minimap[:, :, p], x, y, radius, stretch, value, 0)
