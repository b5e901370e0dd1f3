"""The way over ground with cliffs: A* over the map's cells, eight neighbors, no cut corners."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.standin.rules.compiled import rule

STRAIGHT, DIAGONAL = 5, 7
"""What a step costs: whole numbers, so that the cells that wait are kept by cost."""
BUCKETS = 32


@rule
def to_go(at: int, goal: int, width: int) -> int:
    """What the way to the goal costs at least."""
    across, along = abs(at % width - goal % width), abs(at // width - goal // width)
    return STRAIGHT * max(across, along) + (DIAGONAL - STRAIGHT) * min(across, along)


@rule
def find_path(blocked: Any, width: int, start: int, goal: int) -> Any:
    """The cells of the shortest way, the start left out; to the cell nearest to the goal if there is none."""
    cells = blocked.shape[0]
    cost = np.full(cells, 1 << 30, np.int32)
    parent = np.full(cells, -1, np.int32)
    done = np.zeros(cells, np.uint8)
    head = np.full(BUCKETS, -1, np.int32)
    after = np.full(8 * cells, -1, np.int32)
    waiting = np.zeros(8 * cells, np.int32)
    cost[start] = 0
    level = to_go(start, goal, width)
    head[level % BUCKETS] = 0
    waiting[0] = start
    made, empty = 1, 0
    end, nearest = start, to_go(start, goal, width)
    while empty < BUCKETS:
        entry = head[level % BUCKETS]
        if entry < 0:
            level += 1
            empty += 1
            continue
        empty = 0
        head[level % BUCKETS] = after[entry]
        at = waiting[entry]
        if done[at]:
            continue
        done[at] = 1
        left = to_go(at, goal, width)
        if left < nearest:
            end, nearest = at, left
        if at == goal:
            break
        for k in range(9):
            dr, dc = k // 3 - 1, k % 3 - 1
            column = at % width + dc
            to = at + dr * width + dc
            if column < 0 or column >= width or to < 0 or to >= cells or blocked[to] or done[to]:
                continue
            if dr != 0 and dc != 0 and (blocked[at + dc] or blocked[at + dr * width]):
                continue
            new = cost[at] + (DIAGONAL if dr != 0 and dc != 0 else STRAIGHT)
            if new < cost[to] and made < waiting.shape[0]:
                cost[to] = new
                parent[to] = at
                place = (new + to_go(to, goal, width)) % BUCKETS
                waiting[made] = to
                after[made] = head[place]
                head[place] = made
                made += 1
    length = 0
    at = end
    while parent[at] >= 0:
        length += 1
        at = parent[at]
    path = np.zeros(length, np.int64)
    at = end
    for k in range(length - 1, -1, -1):
        path[k] = at
        at = parent[at]
    return path
