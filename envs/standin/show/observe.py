"""What a player is shown: the columns, planes and numbers that ``envs/starcraft/interface.py`` names, as arrays.

Each function fills the rows of one game. Which columns, planes and numbers to fill comes as their places in the
interface's tables, so that only what is asked for is computed.
"""

from __future__ import annotations

import math
from typing import Any

from envs.standin.rules.building import supply_cap, supply_used
from envs.standin.rules.catalog import COMMAND_CENTER, MINERAL_FIELD, REFINERY, SCV
from envs.standin.rules.compiled import rule
from envs.standin.rules.economy import SEARCH_RADIUS
from envs.standin.rules.scenario_ids import MELEE
from envs.standin.rules.selection import count_selected, is_idle_worker
from envs.standin.rules.world import (
    ATTACK,
    ATTACK_MOVE,
    ENEMY,
    FOLLOW,
    GATHER,
    HOLD,
    IDLE,
    MOVE,
    NEUTRAL,
    OWN,
    PATROL,
    RETURN,
    distance,
    is_army,
    is_visible,
    player_number,
)
from envs.starcraft.interface import CAMERA_WIDTH, MAP_SIZE, MINIMAP_PLANES, NUMBERS, ORDERS, SCREEN_PLANES
from envs.starcraft.interface import UNIT_FEATURES as COLUMNS

_C, _S, _M, _N = list(COLUMNS), list(SCREEN_PLANES), list(MINIMAP_PLANES), list(NUMBERS)

C_TYPE, C_ALLIANCE, C_X, C_Y = (_C.index(n) for n in ("unit_type", "alliance", "x", "y"))
C_HEALTH_RATIO, C_HEALTH = _C.index("health_ratio"), _C.index("health")
C_SELECTED, C_RADIUS, C_ORDER = (_C.index(n) for n in ("selected", "radius", "order"))
C_COOLDOWN, C_CARRYING, C_PROGRESS = (_C.index(n) for n in ("weapon_cooldown", "carrying", "build_progress"))
C_CONTENTS, C_QUEUE = _C.index("contents"), _C.index("queue")
C_ASSIGNED, C_IDEAL = _C.index("assigned_harvesters"), _C.index("ideal_harvesters")

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

N_LOOP, N_SCORE = _N.index("game_loop"), _N.index("score")
N_FOOD_ARMY, N_ARMY = _N.index("food_army"), _N.index("army_count")
N_FOOD_USED, N_FOOD_CAP = _N.index("food_used"), _N.index("food_cap")
N_FOOD_WORKERS, N_IDLE_WORKERS = _N.index("food_workers"), _N.index("idle_worker_count")
N_MINERALS, N_VESPENE = _N.index("minerals"), _N.index("vespene")
N_SELECTED, N_CAMERA_X, N_CAMERA_Y = _N.index("selected_count"), _N.index("camera_x"), _N.index("camera_y")

O_NONE, O_MOVE, O_ATTACK, O_PATROL, O_HOLD, O_GATHER, O_RETURN, O_BUILD, O_TRAIN, O_OTHER = range(len(ORDERS))

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
    if u.producing > 0:
        return O_TRAIN
    if u.order == IDLE:
        return O_NONE
    if u.order in (MOVE, FOLLOW):
        return O_MOVE
    if u.order in (ATTACK, ATTACK_MOVE):
        return O_ATTACK
    if u.order == PATROL:
        return O_PATROL
    if u.order == HOLD:
        return O_HOLD
    if u.order == GATHER:
        return O_GATHER
    return O_RETURN if u.order == RETURN else O_BUILD


@rule
def progress(u: Any, ts: Any) -> float:
    """How much of a building is built, 0 to 1."""
    if u.build_left <= 0.0:
        return 1.0
    return 1.0 - u.build_left / ts[u.kind].build_loops


@rule
def harvesters(g: Any, us: Any, slot: int) -> int:
    """Workers that harvest there; for a command center, all that harvest minerals. Nobody knows that of an enemy's."""
    n = 0
    if us[slot].owner == ENEMY:
        return n
    for i in range(g.top):
        u = us[i]
        if u.kind == SCV and u.owner == OWN and u.order in (GATHER, RETURN):
            at = u.order_slot if u.order == GATHER else u.source
            mineral = at >= 0 and us[at].kind == MINERAL_FIELD
            if at == slot or (us[slot].kind == COMMAND_CENTER and mineral):
                n += 1
    return n


@rule
def ideal_harvesters(g: Any, us: Any, slot: int) -> int:
    """Two a patch, three a refinery; for a command center, two for each patch, in a melee for each of its own base."""
    kind = us[slot].kind
    if kind == MINERAL_FIELD:
        return 2
    if kind == REFINERY:
        return 3
    n = 0
    if kind == COMMAND_CENTER and us[slot].owner == OWN:
        for i in range(g.top):
            u = us[i]
            if u.kind == MINERAL_FIELD and (
                g.scenario != MELEE or distance(u.x, u.y, us[slot].x, us[slot].y) <= SEARCH_RADIUS
            ):
                n += 2
    return n


@rule
def on_screen(g: Any, u: Any) -> bool:
    """Is the unit's center on the screen?"""
    return abs(u.x - g.camera_x) <= CAMERA_WIDTH / 2 and abs(u.y - g.camera_y) <= CAMERA_WIDTH / 2


@rule
def fill_units(
    g: Any, us: Any, ts: Any, raw: bool, kinds: Any, columns: Any, features: Any, mask: Any, slots: Any
) -> None:
    """The units of the ``kinds`` shown: own, enemies, neutrals; ``slots`` says where each row's unit is kept."""
    width = MAP_SIZE if raw else CAMERA_WIDTH
    left, top = (0.0, width) if raw else (g.camera_x - width / 2, g.camera_y + width / 2)
    row = 0
    for turn in range(3):
        owner = OWN if turn == 0 else (ENEMY if turn == 1 else NEUTRAL)
        for i in range(g.top):
            u = us[i]
            if row == mask.shape[0]:
                return
            if u.owner != owner or not kinds[u.kind] or not (raw or on_screen(g, u)) or not is_visible(g, us, ts, i):
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
                elif c == C_COOLDOWN:
                    value = max(u.cooldown, 0.0) if owner == OWN else 0.0
                elif c == C_ORDER:
                    value = order_shown(u) if owner == OWN else 0
                elif c == C_CARRYING:
                    value = u.cargo
                elif c == C_PROGRESS:
                    value = progress(u, ts)
                elif c == C_CONTENTS:
                    value = u.contents
                elif c == C_QUEUE:
                    value = u.producing if owner == OWN else 0
                elif c == C_ASSIGNED:
                    value = harvesters(g, us, i) if owner == OWN and ts[u.kind].footprint_w else 0
                elif c == C_IDEAL:
                    value = ideal_harvesters(g, us, i) if owner == OWN else 0
                features[row, k] = value
            row += 1
    for i in range(row, mask.shape[0]):
        mask[i] = 0
        slots[i] = -1
        features[i] = 0.0


@rule
def unit_plane(g: Any, u: Any, ts: Any, plane: int) -> int:
    """What a unit shows in a plane of the screen; -1 if that plane does not show units."""
    if plane == S_RELATIVE:
        return alliance(u.owner)
    if plane == S_PLAYER_ID:
        return player_number(g, u.owner)
    if plane == S_TYPE:
        return u.kind
    if plane == S_SELECTED:
        return u.selected
    if plane == S_HIT_POINTS:
        return int(min(u.hp, 1599.0))
    if plane == S_HIT_POINTS_RATIO:
        return int(255.0 * u.hp / ts[u.kind].hp)
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
    g: Any, us: Any, ts: Any, plane_map: Any, left: float, top: float, cell_x: float, cell_y: float
) -> None:
    """1 inside the playable rectangle, but where something stands."""
    fill_ground(g, plane_map, left, top, cell_x, cell_y, 1)
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
def explore(g: Any, us: Any, ts: Any, explored: Any) -> None:
    """The cells of the map as ``visibility_map`` shows them: 0 never seen, 1 seen before, 2 in sight now."""
    size = explored.shape[0]
    for row in range(size):
        for column in range(size):
            explored[row, column] = min(explored[row, column], 1)
    for i in range(g.top):
        u = us[i]
        if u.kind == 0 or u.owner != OWN:
            continue
        sight = ts[u.kind].sight
        for row in range(max(0, math.floor(u.y - sight)), min(size, math.floor(u.y + sight) + 1)):
            for column in range(max(0, math.floor(u.x - sight)), min(size, math.floor(u.x + sight) + 1)):
                dx, dy = column + 0.5 - u.x, row + 0.5 - u.y
                if dx * dx + dy * dy <= sight * sight:
                    explored[row, column] = 2


@rule
def fill_visibility(
    g: Any, plane_map: Any, left: float, top: float, cell_x: float, cell_y: float, explored: Any
) -> None:
    """All of the playable rectangle in sight where there is no fog; else what has been explored."""
    if g.fog == 0:
        fill_ground(g, plane_map, left, top, cell_x, cell_y, 2)
        return
    for row in range(plane_map.shape[0]):
        for column in range(plane_map.shape[1]):
            x, y = math.floor(left + (column + 0.5) * cell_x), math.floor(top - (row + 0.5) * cell_y)
            if 0 <= x < explored.shape[1] and 0 <= y < explored.shape[0]:
                plane_map[row, column] = explored[y, x]


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
def fill_screen(g: Any, us: Any, ts: Any, explored: Any, planes: Any, screen: Any) -> None:
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
            fill_visibility(g, screen[:, :, p], left, top, cell_x, cell_y, explored)
        elif plane in (S_PATHABLE, S_BUILDABLE):
            fill_open_ground(g, us, ts, screen[:, :, p], left, top, cell_x, cell_y)
        elif plane == S_HEIGHT:
            screen[:, :, p] = TERRAIN_HEIGHT
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
                    value = unit_plane(g, u, ts, plane)
                    if value >= 0:
                        draw(screen[:, :, p], x, y, radius, stretch, value, 0)


@rule
def fill_minimap(g: Any, us: Any, ts: Any, explored: Any, planes: Any, minimap: Any) -> None:
    """The planes of the minimap, [height, width, planes]: the whole map."""
    minimap[:] = 0
    cell_x, cell_y = MAP_SIZE / minimap.shape[1], MAP_SIZE / minimap.shape[0]
    stretch = cell_y / cell_x
    for p in range(planes.shape[0]):
        plane = planes[p]
        if plane == M_VISIBILITY:
            fill_visibility(g, minimap[:, :, p], 0.0, MAP_SIZE, cell_x, cell_y, explored)
        elif plane in (M_PATHABLE, M_BUILDABLE):
            fill_open_ground(g, us, ts, minimap[:, :, p], 0.0, MAP_SIZE, cell_x, cell_y)
        elif plane == M_HEIGHT:
            minimap[:, :, p] = TERRAIN_HEIGHT
        elif plane == M_CAMERA:
            for row in range(minimap.shape[0]):
                for column in range(minimap.shape[1]):
                    dx = (column + 0.5) * cell_x - g.camera_x
                    dy = MAP_SIZE - (row + 0.5) * cell_y - g.camera_y
                    if max(abs(dx), abs(dy)) <= CAMERA_WIDTH / 2:
                        minimap[row, column, p] = 1
    for turn in range(3):
        owner = NEUTRAL if turn == 0 else (ENEMY if turn == 1 else OWN)
        for i in range(g.top):
            u = us[i]
            if u.kind == 0 or u.owner != owner or not is_visible(g, us, ts, i):
                continue
            x, y, radius = u.x / cell_x, (MAP_SIZE - u.y) / cell_y, ts[u.kind].radius / cell_x
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
                    value = u.kind
                if value >= 0:
                    draw(minimap[:, :, p], x, y, radius, stretch, value, 0)


@rule
def fill_numbers(g: Any, us: Any, ts: Any, names: Any, numbers: Any) -> None:
    """The numbers asked for."""
    army, army_supply, workers, idle = 0, 0, 0, 0
    for i in range(g.top):
        u = us[i]
        if u.kind != 0 and u.owner == OWN:
            if is_army(u.kind):
                army += 1
                army_supply += ts[u.kind].supply
            elif u.kind == SCV:
                workers += 1
                idle += is_idle_worker(u)
    for k in range(names.shape[0]):
        n = names[k]
        value = 0.0
        if n == N_LOOP:
            value = g.loop
        elif n == N_SCORE:
            value = g.score
        elif n == N_ARMY:
            value = army
        elif n == N_FOOD_ARMY:
            value = army_supply / 2
        elif n == N_FOOD_USED:
            value = supply_used(g, us, ts, OWN) / 2
        elif n == N_FOOD_CAP:
            value = supply_cap(g, us, ts, OWN) / 2
        elif n == N_FOOD_WORKERS:
            value = workers
        elif n == N_IDLE_WORKERS:
            value = idle
        elif n == N_MINERALS:
            value = g.minerals
        elif n == N_VESPENE:
            value = g.vespene
        elif n == N_SELECTED:
            value = count_selected(g, us)
        elif n == N_CAMERA_X:
            value = g.camera_x / MAP_SIZE
        elif n == N_CAMERA_Y:
            value = 1.0 - g.camera_y / MAP_SIZE
        numbers[k] = value
