"""The way over ground with cliffs: A* over the map's cells, eight neighbors, no cut corners."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.standin.rules.compiled import rule

STRAIGHT, DIAGONAL = 5, 7
"""What a step costs: whole numbers, so that the cells that wait are kept by cost."""
BUCKETS = 32


@rule
def to_go(across: int, along: int) -> int:
    """What a way costs at least, so many columns and rows from the goal."""
    across, along = abs(across), abs(along)
    return STRAIGHT * max(across, along) + (DIAGONAL - STRAIGHT) * min(across, along)


@rule
def find_path(blocked: Any, width: int, start: int, goal: int) -> Any:
    """The cells of the shortest way, the start left out; to the cell nearest to the goal if there is none.

    It is half of a melee's work: columns and rows are kept, for to divide costs more than all else here.
    """
    cells = blocked.shape[0]
    cost = np.full(cells, 1 << 30, np.int32)
    parent = np.full(cells, -1, np.int32)
    done = np.zeros(cells, np.uint8)
    head = np.full(BUCKETS, -1, np.int32)
    after = np.empty(8 * cells, np.int32)
    waiting = np.empty(8 * cells, np.int32)
    goal_row, goal_column = goal // width, goal % width
    cost[start] = 0
    level = to_go(start % width - goal_column, start // width - goal_row)
    head[level % BUCKETS] = 0
    waiting[0], after[0] = start, -1
    made, empty = 1, 0
    end, nearest = start, level
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
        row = at // width
        column = at - row * width
        left = to_go(column - goal_column, row - goal_row)
        if left < nearest:
            end, nearest = at, left
        if at == goal:
            break
        for dr in range(-1, 2):
            for dc in range(-1, 2):
                to, beside = at + dr * width + dc, column + dc
                if beside < 0 or beside >= width or to < 0 or to >= cells or blocked[to] or done[to]:
                    continue
                slanting = dr != 0 and dc != 0
                if slanting and (blocked[at + dc] or blocked[at + dr * width]):
                    continue
                new = cost[at] + (DIAGONAL if slanting else STRAIGHT)
                if new < cost[to] and made < waiting.shape[0]:
                    cost[to] = new
                    parent[to] = at
                    place = (new + to_go(beside - goal_column, row + dr - goal_row)) % BUCKETS
                    waiting[made], after[made] = to, head[place]
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
