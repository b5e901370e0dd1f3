"""What a player is shown: the columns, planes and numbers that ``envs/starcraft/interface.py`` names, as arrays.

Each function fills the rows of one game. Which columns, planes and numbers to fill comes as their places in the
interface's tables, so that only what is asked for is computed.
"""

from __future__ import annotations

import math
from typing import Any

from envs.standin.compiled import rule
from envs.standin.orders import count_selected
from envs.standin.world import ENEMY, FOLLOW, IDLE, MOVE, NEUTRAL, OWN, is_army
from envs.starcraft.interface import CAMERA_WIDTH, MAP_SIZE, MINIMAP_PLANES, NUMBERS, ORDERS, SCREEN_PLANES
from envs.starcraft.interface import UNIT_FEATURES as COLUMNS

_C, _S, _M, _N = list(COLUMNS), list(SCREEN_PLANES), list(MINIMAP_PLANES), list(NUMBERS)

C_TYPE, C_ALLIANCE, C_X, C_Y = (_C.index(n) for n in ("unit_type", "alliance", "x", "y"))
C_HEALTH_RATIO, C_HEALTH = _C.index("health_ratio"), _C.index("health")
C_SELECTED, C_RADIUS, C_ORDER = (_C.index(n) for n in ("selected", "radius", "order"))

S_HEIGHT, S_VISIBILITY = _S.index("height_map"), _S.index("visibility_map")
S_PLAYER_ID, S_RELATIVE = _S.index("player_id"), _S.index("player_relative")
S_TYPE, S_SELECTED = _S.index("unit_type"), _S.index("selected")
S_HIT_POINTS, S_HIT_POINTS_RATIO = _S.index("unit_hit_points"), _S.index("unit_hit_points_ratio")
S_DENSITY, S_DENSITY_AA = _S.index("unit_density"), _S.index("unit_density_aa")
S_PATHABLE, S_BUILDABLE = _S.index("pathable"), _S.index("buildable")

M_HEIGHT, M_VISIBILITY = _M.index("height_map"), _M.index("visibility_map")
M_CAMERA, M_PLAYER_ID, M_RELATIVE = _M.index("camera"), _M.index("player_id"), _M.index("player_relative")
M_SELECTED, M_TYPE = _M.index("selected"), _M.index("unit_type")
M_PATHABLE, M_BUILDABLE = _M.index("pathable"), _M.index("buildable")

N_LOOP, N_SCORE = _N.index("game_loop"), _N.index("score")
N_FOOD_ARMY, N_ARMY = _N.index("food_army"), _N.index("army_count")
N_FOOD_USED = _N.index("food_used")
N_SELECTED, N_CAMERA_X, N_CAMERA_Y = _N.index("selected_count"), _N.index("camera_x"), _N.index("camera_y")

O_NONE, O_MOVE, O_HOLD = ORDERS.index("none"), ORDERS.index("move"), ORDERS.index("hold")

TERRAIN_HEIGHT = 127
"""The height that flat ground shows in ``height_map``."""


@rule
def alliance(owner: int) -> int:
    """PySC2's PlayerRelative: 1 own, 3 neutral, 4 enemy."""
    if owner == OWN:
        return 1
    return 3 if owner == NEUTRAL else 4


@rule
def order_shown(u: Any) -> int:
    """The place of a unit's order in ``interface.ORDERS``."""
    if u.order == IDLE:
        return O_NONE
    if u.order in (MOVE, FOLLOW):
        return O_MOVE
    return O_HOLD


@rule
def on_screen(g: Any, u: Any) -> bool:
    """Is the unit's center on the screen?"""
    return abs(u.x - g.camera_x) <= CAMERA_WIDTH / 2 and abs(u.y - g.camera_y) <= CAMERA_WIDTH / 2


@rule
def fill_units(g: Any, us: Any, ts: Any, raw: bool, columns: Any, features: Any, mask: Any, slots: Any) -> None:
    """The set of units: own ones first, then enemies, then neutrals; ``slots`` says where each row's unit is kept."""
    left, top, width = g.camera_x - CAMERA_WIDTH / 2, g.camera_y + CAMERA_WIDTH / 2, CAMERA_WIDTH
    if raw:
        left, top, width = 0.0, MAP_SIZE, MAP_SIZE
    row = 0
    for turn in range(3):
        owner = OWN if turn == 0 else (ENEMY if turn == 1 else NEUTRAL)
        for i in range(g.top):
            u = us[i]
            if row == mask.shape[0]:
                return
            if u.kind == 0 or u.owner != owner or not (raw or on_screen(g, u)):
                continue
            mask[row] = 1
            slots[row] = i
            for k in range(columns.shape[0]):
                c = columns[k]
                value = 0.0
                if c == C_TYPE:
                    value = u.kind
                elif c == C_ALLIANCE:
                    value = alliance(owner)
                elif c == C_X:
                    value = (u.x - left) / width
                elif c == C_Y:
                    value = (top - u.y) / width
                elif c == C_HEALTH_RATIO:
                    value = u.hp / ts[u.kind].hp
                elif c == C_HEALTH:
                    value = u.hp
                elif c == C_SELECTED:
                    value = u.selected
                elif c == C_RADIUS:
                    value = ts[u.kind].radius
                elif c == C_ORDER:
                    value = order_shown(u)
                features[row, k] = value
            row += 1
    for i in range(row, mask.shape[0]):
        mask[i] = 0
        slots[i] = -1
        features[i] = 0.0


@rule
def unit_plane(u: Any, ts: Any, plane: int) -> int:
    """What a unit shows in a plane of the screen; -1 if that plane does not show units."""
    if plane == S_RELATIVE:
        return alliance(u.owner)
    if plane == S_PLAYER_ID:
        return 16 if u.owner == NEUTRAL else u.owner
    if plane == S_TYPE:
        return u.kind
    if plane == S_SELECTED:
        return u.selected
    if plane == S_HIT_POINTS:
        return int(min(u.hp, 1599.0))
    if plane == S_HIT_POINTS_RATIO:
        return int(255.0 * u.hp / ts[u.kind].hp)
    return -1


@rule
def fill_ground(g: Any, plane_map: Any, left: float, top: float, cell: float, value: int) -> None:
    """A constant inside the playable rectangle."""
    size = plane_map.shape[0]
    first_row = max(0, math.ceil((top - g.top_y) / cell - 0.5))
    last_row = min(size, math.ceil((top - g.bottom) / cell - 0.5))
    first_column = max(0, math.ceil((g.left - left) / cell - 0.5))
    last_column = min(size, math.ceil((g.right - left) / cell - 0.5))
    for row in range(first_row, last_row):
        for column in range(first_column, last_column):
            plane_map[row, column] = value


@rule
def draw(plane_map: Any, x: float, y: float, radius: float, value: int, how: int) -> None:
    """A disc around (x, y), all in cells: set its cells (0), add 1 to them (1), or add their coverage of 255 (2).

    The cell that holds the center is always part of the disc, so that the smallest unit shows on the coarsest map.
    """
    size = plane_map.shape[0]
    reach = radius + (0.5 if how == 2 else 0.0)
    home_row, home_column = math.floor(y), math.floor(x)
    for row in range(max(0, math.floor(y - reach)), min(size, math.floor(y + reach) + 1)):
        for column in range(max(0, math.floor(x - reach)), min(size, math.floor(x + reach) + 1)):
            dx, dy = column + 0.5 - x, row + 0.5 - y
            inside = dx * dx + dy * dy <= radius * radius or (row == home_row and column == home_column)
            if how == 2:
                edge = radius - math.sqrt(dx * dx + dy * dy) + 0.5
                covered = int(255.0 * min(max(edge, 0.0), 1.0))
                plane_map[row, column] = min(255, plane_map[row, column] + covered)
            elif inside:
                plane_map[row, column] = value if how == 0 else plane_map[row, column] + 1


@rule
def fill_screen(g: Any, us: Any, ts: Any, planes: Any, screen: Any) -> None:
    """The planes of the screen, [height, width, planes]. Own units are drawn last, on top."""
    screen[:] = 0
    size = screen.shape[0]
    cell = CAMERA_WIDTH / size
    left, top = g.camera_x - CAMERA_WIDTH / 2, g.camera_y + CAMERA_WIDTH / 2
    for p in range(planes.shape[0]):
        plane = planes[p]
        if plane == S_VISIBILITY:
            fill_ground(g, screen[:, :, p], left, top, cell, 2)
        elif plane in (S_PATHABLE, S_BUILDABLE):
            fill_ground(g, screen[:, :, p], left, top, cell, 1)
        elif plane == S_HEIGHT:
            screen[:, :, p] = TERRAIN_HEIGHT
    for turn in range(3):
        owner = NEUTRAL if turn == 0 else (ENEMY if turn == 1 else OWN)
        for i in range(g.top):
            u = us[i]
            if u.kind == 0 or u.owner != owner:
                continue
            x, y, radius = (u.x - left) / cell, (top - u.y) / cell, ts[u.kind].radius / cell
            if not (-radius < x < size + radius and -radius < y < size + radius):
                continue
            for p in range(planes.shape[0]):
                plane = planes[p]
                if plane == S_DENSITY:
                    draw(screen[:, :, p], x, y, radius, 1, 1)
                elif plane == S_DENSITY_AA:
                    draw(screen[:, :, p], x, y, radius, 1, 2)
                else:
                    value = unit_plane(u, ts, plane)
                    if value >= 0:
                        draw(screen[:, :, p], x, y, radius, value, 0)


@rule
def fill_minimap(g: Any, us: Any, ts: Any, planes: Any, minimap: Any) -> None:
    """The planes of the minimap, [height, width, planes]: the whole map."""
    minimap[:] = 0
    size = minimap.shape[0]
    cell = MAP_SIZE / size
    for p in range(planes.shape[0]):
        plane = planes[p]
        if plane == M_VISIBILITY:
            fill_ground(g, minimap[:, :, p], 0.0, MAP_SIZE, cell, 2)
        elif plane in (M_PATHABLE, M_BUILDABLE):
            fill_ground(g, minimap[:, :, p], 0.0, MAP_SIZE, cell, 1)
        elif plane == M_HEIGHT:
            minimap[:, :, p] = TERRAIN_HEIGHT
        elif plane == M_CAMERA:
            for row in range(size):
                for column in range(size):
                    dx = (column + 0.5) * cell - g.camera_x
                    dy = MAP_SIZE - (row + 0.5) * cell - g.camera_y
                    if max(abs(dx), abs(dy)) <= CAMERA_WIDTH / 2:
                        minimap[row, column, p] = 1
    for turn in range(3):
        owner = NEUTRAL if turn == 0 else (ENEMY if turn == 1 else OWN)
        for i in range(g.top):
            u = us[i]
            if u.kind == 0 or u.owner != owner:
                continue
            x, y, radius = u.x / cell, (MAP_SIZE - u.y) / cell, ts[u.kind].radius / cell
            for p in range(planes.shape[0]):
                plane = planes[p]
                value = -1
                if plane == M_RELATIVE:
                    value = alliance(owner)
                elif plane == M_PLAYER_ID:
                    value = 16 if owner == NEUTRAL else owner
                elif plane == M_SELECTED:
                    value = u.selected
                elif plane == M_TYPE:
                    value = u.kind
                if value >= 0:
                    draw(minimap[:, :, p], x, y, radius, value, 0)


@rule
def fill_numbers(g: Any, us: Any, ts: Any, names: Any, numbers: Any) -> None:
    """The numbers asked for."""
    army, supply = 0, 0
    for i in range(g.top):
        u = us[i]
        if u.kind != 0 and u.owner == OWN:
            supply += ts[u.kind].supply
            if is_army(u.kind):
                army += 1
    for k in range(names.shape[0]):
        n = names[k]
        value = 0.0
        if n == N_LOOP:
            value = g.loop
        elif n == N_SCORE:
            value = g.score
        elif n == N_ARMY:
            value = army
        elif n in (N_FOOD_ARMY, N_FOOD_USED):
            value = supply / 2
        elif n == N_SELECTED:
            value = count_selected(g, us)
        elif n == N_CAMERA_X:
            value = g.camera_x / MAP_SIZE
        elif n == N_CAMERA_Y:
            value = 1.0 - g.camera_y / MAP_SIZE
        numbers[k] = value
