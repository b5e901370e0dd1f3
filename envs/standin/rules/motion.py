"""Moving: straight on, around obstacles, and out of each other's way.

Obstacles are the footprints of buildings and resources, and cliffs where there are any. A unit whose straight way is
clear takes it; otherwise a path is searched on the grid of map cells and followed corner by corner. Units are discs
that push each other apart: one that fights or holds its position stands, the others give way. Harvesting workers pass
through units, as in the game.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from envs.standin.rules.compiled import rule
from envs.standin.rules.terrain.levels import back_to_ground, is_open, is_open_line
from envs.standin.rules.terrain.paths import find_path
from envs.standin.rules.world import BUILD, GATHER, HOLD, IDLE, MOVE, RETURN, is_mobile, next_order

TURN = math.radians(999.84 / 16)
"""How far a unit turns in a loop (``TurningRate``); it shoots when it faces its target within :data:`ARC`."""
ARC = math.radians(11.25)
_TURN_COS, _TURN_SIN, _READY = math.cos(TURN), math.sin(TURN), math.cos(TURN + ARC)

WIDEST = 1.125
"""No two units that can move touch at this distance or more: twice the largest radius among them, the marauder's."""

STIM_SPEED, SLOW_SPEED = np.float32(1.5), np.float32(0.5)
"""``MoveSpeedMultiplier`` of stimpacks and of concussive shells."""


TOUCH = 0.005
"""Units that overlap by less only touch."""


@rule
def turn_to(u: Any, dx: float, dy: float, away: float) -> bool:
    """Turn one loop's way towards a direction; True if that brings it within the arc to shoot."""
    if away < 1e-3:
        return True
    dx, dy = dx / away, dy / away
    along = u.face_x * dx + u.face_y * dy
    if along >= _TURN_COS:
        u.face_x = dx
        u.face_y = dy
        return True
    side = _TURN_SIN if u.face_x * dy - u.face_y * dx >= 0.0 else -_TURN_SIN
    x, y = u.face_x * _TURN_COS - u.face_y * side, u.face_x * side + u.face_y * _TURN_COS
    u.face_x = x
    u.face_y = y
    return along >= _READY


@rule
def advance(g: Any, u: Any, ts: Any, x: float, y: float) -> bool:
    """Go one loop's way straight towards a point, inside the playable rectangle; True once there."""
    t = ts[u.kind]
    x = min(max(x, g.left + t.radius), g.right - t.radius)
    y = min(max(y, g.bottom + t.radius), g.top_y - t.radius)
    dx, dy = x - u.x, y - u.y
    left = math.sqrt(dx * dx + dy * dy)
    if left < 1e-4:
        return True
    if u.speed == 0.0 and not turn_to(u, dx, dy, left):
        return False
    dx, dy = dx / left, dy / left
    u.face_x = dx
    u.face_y = dy
    u.moving = 1
    u.stirred = 1
    g.crowded = 1
    fastest = t.speed
    if g.loop < u.stim_until:
        fastest *= STIM_SPEED
    if g.loop < u.slow_until:
        fastest *= SLOW_SPEED
    if t.acceleration > 0.0:
        u.speed = min(u.speed + t.acceleration, fastest)
    else:
        u.speed = fastest
    if left <= u.speed:
        u.x = x
        u.y = y
        return True
    u.x += dx * u.speed
    u.y += dy * u.speed
    return False


@rule
def go(g: Any, us: Any, ts: Any, u: Any, x: float, y: float) -> bool:
    """Go one loop's way towards a point, around obstacles; True once there."""
    if g.obstacles == 0:
        return advance(g, u, ts, x, y)
    if u.way_version != g.obstacles or abs(u.way_x - x) + abs(u.way_y - y) > 0.5:
        find_way(g, us, ts, u, x, y)
    if abs(u.corner_x - x) + abs(u.corner_y - y) <= 0.5:
        return advance(g, u, ts, x, y)
    if advance(g, u, ts, u.corner_x, u.corner_y):
        find_way(g, us, ts, u, x, y)
    return False


@rule
def find_way(g: Any, us: Any, ts: Any, u: Any, x: float, y: float) -> None:
    """Set the unit's next corner: the point itself, or the farthest point of a path that can be walked to straight."""
    u.way_x = x
    u.way_y = y
    u.corner_x = x
    u.corner_y = y
    u.way_version = g.obstacles
    if not is_clear(g, us, ts, u.kind, u.x, u.y, x, y, ts[u.kind].radius):
        path = search(g, us, ts, u.kind, u.x, u.y, x, y)
        for k in range(path.shape[0]):
            if k > 0 and not is_clear(g, us, ts, u.kind, u.x, u.y, path[k, 0], path[k, 1], ts[u.kind].radius):
                break
            u.corner_x = path[k, 0]
            u.corner_y = path[k, 1]


@rule
def is_clear(g: Any, us: Any, ts: Any, kind: int, x0: float, y0: float, x1: float, y1: float, radius: float) -> bool:
    """Can a disc go straight from one point to the other? Obstacles that hold either point do not count: a worker
    stands at its mineral, and a command may be aimed into a building."""
    for i in range(g.top):
        o = us[i]
        t = ts[o.kind]
        if t.footprint_w == 0 or o.kind == 0:
            continue
        half_w, half_h = 0.5 * t.footprint_w + 0.7 * radius, 0.5 * t.footprint_h + 0.7 * radius
        ax, ay, bx, by = x0 - o.x, y0 - o.y, x1 - o.x, y1 - o.y
        if (abs(ax) <= half_w and abs(ay) <= half_h) or (abs(bx) <= half_w and abs(by) <= half_h):
            continue
        # the part of the segment inside the slab of each axis
        low, high = 0.0, 1.0
        dx, dy = bx - ax, by - ay
        if abs(dx) < 1e-9:
            if abs(ax) > half_w:
                continue
        else:
            p, q = (-half_w - ax) / dx, (half_w - ax) / dx
            low, high = max(low, min(p, q)), min(high, max(p, q))
        if abs(dy) < 1e-9:
            if abs(ay) > half_h:
                continue
        else:
            p, q = (-half_h - ay) / dy, (half_h - ay) / dy
            low, high = max(low, min(p, q)), min(high, max(p, q))
        if low < high:
            return False
    return is_open_line(g, kind, x0, y0, x1, y1, radius)


@rule
def block_cells(g: Any, us: Any, ts: Any, kind: int) -> Any:
    """The map's cells, row by row from the bottom: 1 where an obstacle is, or no playable ground."""
    width, height = g.width, g.height
    blocked = np.ones(width * height, np.uint8)
    for row in range(math.ceil(g.bottom), math.floor(g.top_y)):
        for column in range(math.ceil(g.left), math.floor(g.right)):
            blocked[row * width + column] = not is_open(g, kind, column + 0.5, row + 0.5)
    for i in range(g.top):
        o = us[i]
        t = ts[o.kind]
        if o.kind != 0 and t.footprint_w > 0:
            left, bottom = math.floor(o.x - 0.5 * t.footprint_w + 0.5), math.floor(o.y - 0.5 * t.footprint_h + 0.5)
            for row in range(max(0, bottom), min(height, bottom + t.footprint_h)):
                for column in range(max(0, left), min(width, left + t.footprint_w)):
                    blocked[row * width + column] = 1
    return blocked


@rule
def on_map(at: float, cells: int) -> int:
    """The row or column of cells that holds a coordinate, or the nearest: a command can be aimed past the edge."""
    return min(max(int(at), 0), cells - 1)


@rule
def search(g: Any, us: Any, ts: Any, kind: int, x0: float, y0: float, x1: float, y1: float) -> Any:
    """The shortest path over the map's cells, eight neighbors, no cut corners: the cells' centers in order, [n, 2].

    The start and the goal count as free. If there is no way, the path leads to the cell nearest to the goal.
    """
    blocked = block_cells(g, us, ts, kind)
    width = g.width
    start, goal = int(y0) * width + int(x0), on_map(y1, g.height) * width + on_map(x1, width)
    blocked[goal] = 0
    steps = find_path(blocked, width, start, goal)
    way = np.zeros((steps.shape[0], 2))
    for k in range(steps.shape[0]):
        way[k, 0] = x1 if steps[k] == goal else steps[k] % width + 0.5
        way[k, 1] = y1 if steps[k] == goal else steps[k] // width + 0.5
    return way


@rule
def passes_through(u: Any) -> bool:
    """Does it walk through other units? Workers that harvest or build do."""
    return u.order in (GATHER, RETURN) or u.order >= BUILD


@rule
def push_apart(g: Any, us: Any, ts: Any, who: Any, at: Any) -> None:
    """Move overlapping units apart, and out of obstacles. Runs only after something moved, and only for what did.

    ``who`` [U] and ``at`` [2, U] are scratch space: the units that take part, those that moved first, and their places,
    packed, because looking at all pairs is most of a crowded game's work.
    """
    moved, n = 0, 0
    for turn in range(2):
        for i in range(g.top):
            u = us[i]
            if is_mobile(u.kind) and (u.stirred & 1) == 1 - turn and not passes_through(u):
                who[n] = i
                at[0, n], at[1, n] = u.x, u.y
                n += 1
        if turn == 0:
            moved = n
    for p in range(moved):
        for q in range(p + 1, n):
            dx, dy = at[0, q] - at[0, p], at[1, q] - at[1, p]
            d2 = dx * dx + dy * dy
            if d2 >= WIDEST * WIDEST:
                continue
            a, b = us[who[p]], us[who[q]]
            apart = ts[a.kind].radius + ts[b.kind].radius
            if d2 < (apart - TOUCH) * (apart - TOUCH):
                push_pair(a, b, who[p], dx, dy, apart, d2)
                at[0, p], at[1, p] = a.x, a.y
                at[0, q], at[1, q] = b.x, b.y
    g.crowded = 0
    for i in range(g.top):
        u = us[i]
        if u.stirred == 0 or not is_mobile(u.kind):
            continue
        radius = ts[u.kind].radius
        if g.obstacles > 0 and not passes_through(u):
            leave_obstacles(g, us, ts, u)
            back_to_ground(g, u)
        u.x = min(max(u.x, g.left + radius), g.right - radius)
        u.y = min(max(u.y, g.bottom + radius), g.top_y - radius)
        u.stirred >>= 1
        g.crowded |= u.stirred


@rule
def push_pair(a: Any, b: Any, i: int, dx: float, dy: float, apart: float, d2: float) -> None:
    """Two units overlap: the one that stands its ground stays, else they share the way; enemies do not push."""
    away = math.sqrt(d2)
    if away < 1e-3:
        angle = 2.399963 * (i + 1)
        dx, dy = math.cos(angle), math.sin(angle)
    else:
        dx, dy = dx / away, dy / away
    overlap = apart - away
    share = 0.5
    stands_a, stands_b = a.order == HOLD or a.windup > 0.0 or a.target >= 0, b.order == HOLD or b.windup > 0.0
    stands_b = stands_b or b.target >= 0
    if a.owner != b.owner or stands_a or stands_b:
        if a.moving == 0 and b.moving == 1:
            share = 0.0
        elif a.moving == 1 and b.moving == 0:
            share = 1.0
    a.x -= dx * overlap * share
    a.y -= dy * overlap * share
    b.x += dx * overlap * (1.0 - share)
    b.y += dy * overlap * (1.0 - share)
    if a.moving and b.moving and a.face_x * b.face_x + a.face_y * b.face_y < 0.0:
        # Two that meet head-on would block each other for ever: each keeps to its right.
        a.x += 0.5 * dy * overlap
        a.y -= 0.5 * dx * overlap
        b.x -= 0.5 * dy * overlap
        b.y += 0.5 * dx * overlap
    if overlap > 0.01:
        a.stirred |= 2
        b.stirred |= 2
    if a.owner == b.owner:
        arrive_together(a, b, apart)
        arrive_together(b, a, apart)


@rule
def arrive_together(a: Any, b: Any, apart: float) -> None:
    """A unit has arrived, too, when it bumps into one that has arrived where it is going, or, close to that place,
    into one that wants to be there as well."""
    if a.order != MOVE or abs(a.order_x - b.order_x) + abs(a.order_y - b.order_y) > 0.2:
        return
    close = abs(a.order_x - a.x) <= apart and abs(a.order_y - a.y) <= apart
    if b.order == IDLE or (b.order == MOVE and close):
        next_order(a)


@rule
def leave_obstacles(g: Any, us: Any, ts: Any, u: Any) -> None:
    """Push a unit out of the footprints that it has got into, the short way."""
    radius = ts[u.kind].radius
    for i in range(g.top):
        o = us[i]
        t = ts[o.kind]
        if o.kind == 0 or t.footprint_w == 0:
            continue
        dx, dy = u.x - o.x, u.y - o.y
        in_x, in_y = 0.5 * t.footprint_w + radius - abs(dx), 0.5 * t.footprint_h + radius - abs(dy)
        if in_x > 0.0 and in_y > 0.0:
            if in_x < in_y:
                u.x += in_x if dx >= 0.0 else -in_x
            else:
                u.y += in_y if dy >= 0.0 else -in_y
