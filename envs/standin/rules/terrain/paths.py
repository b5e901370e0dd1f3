"""The way around obstacles: A* over the map's cells, eight neighbors, no cut corners."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.standin.rules.compiled import rule

STRAIGHT, DIAGONAL = 5, 7
"""What a step costs: whole numbers, so that the cells that wait are kept by cost."""
BUCKETS = 32
FAR = 1 << 30
POCKET = 64
"""Cells that a goal is cut off with at most, for it to be noticed."""


@rule
def to_go(across: int, along: int) -> int:
    """What a way costs at least, so many columns and rows from the goal."""
    across, along = abs(across), abs(along)
    return STRAIGHT * max(across, along) + (DIAGONAL - STRAIGHT) * min(across, along)


@rule
def pocket(blocked: Any, width: int, start: int, goal: int) -> Any:
    """The cells that are cut off together with a goal, such as what is left of a building's footprint; none where they
    are more than a few, or the start is one of them."""
    found = np.empty(POCKET + 8, np.int64)
    found[0] = goal
    n, k = 1, 0
    while k < n:
        at = found[k]
        k += 1
        if at == start or n >= POCKET:
            return found[:0]
        row = at // width
        column = at - row * width
        for dr in range(-1, 2):
            for dc in range(-1, 2):
                to, beside = at + dr * width + dc, column + dc
                if beside < 0 or beside >= width or to < 0 or to >= blocked.shape[0] or blocked[to]:
                    continue
                if dr != 0 and dc != 0 and (blocked[at + dc] or blocked[at + dr * width]):
                    continue
                if not np.any(found[:n] == to):
                    found[n] = to
                    n += 1
    return found[:n]


@rule
def near_enough(blocked: Any, width: int, start: int, goal: int) -> int:
    """How far from a goal that is cut off the nearest other free cell is: a search that gets as near as that may end,
    and need not look at all the map for what is nearer. 0 for a goal that is not seen to be cut off."""
    cut_off = pocket(blocked, width, start, goal)
    if cut_off.shape[0] == 0:
        return 0
    goal_row, goal_column = goal // width, goal % width
    nearest = FAR
    for row in range(blocked.shape[0] // width):
        if STRAIGHT * abs(row - goal_row) >= nearest:
            continue
        for column in range(width):
            at = row * width + column
            left = to_go(column - goal_column, row - goal_row)
            if left < nearest and not blocked[at] and not np.any(cut_off == at):
                nearest = left
    return nearest


@rule
def find_path(blocked: Any, width: int, start: int, goal: int) -> Any:
    """The cells of the shortest way, the start left out; to the cell nearest to the goal if there is none.

    Columns and rows are kept, for to divide costs more than all else here; and what is blocked costs less than
    nothing, so that one comparison tells what need not be looked at again.
    """
    cells = blocked.shape[0]
    height = cells // width
    enough = near_enough(blocked, width, start, goal)
    cost = np.full(cells, FAR, np.int32)
    for at in range(cells):
        if blocked[at]:
            cost[at] = -1
    parent = np.full(cells, -1, np.int32)
    head = np.full(BUCKETS, -1, np.int32)
    after, waiting, price = np.empty(8 * cells, np.int32), np.empty(8 * cells, np.int32), np.empty(8 * cells, np.int32)
    goal_row, goal_column = goal // width, goal % width
    cost[start] = 0
    level = to_go(start % width - goal_column, start // width - goal_row)
    head[level % BUCKETS] = 0
    waiting[0], after[0], price[0] = start, -1, 0
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
        if price[entry] != cost[at]:
            continue
        row = at // width
        column = at - row * width
        left = to_go(column - goal_column, row - goal_row)
        if left < nearest:
            end, nearest = at, left
        if left <= enough:
            break
        for dr in range(max(-1, -row), min(2, height - row)):
            for dc in range(max(-1, -column), min(2, width - column)):
                to = at + dr * width + dc
                slanting = dr != 0 and dc != 0
                new = cost[at] + (DIAGONAL if slanting else STRAIGHT)
                if new >= cost[to] or (slanting and (blocked[at + dc] or blocked[at + dr * width])):
                    continue
                cost[to] = new
                parent[to] = at
                place = (new + to_go(column + dc - goal_column, row + dr - goal_row)) % BUCKETS
                waiting[made], after[made], price[made] = to, head[place], new
                head[place] = made
                made += 1
    return way_back(parent, end)


@rule
def way_back(parent: Any, end: int) -> Any:
    """The cells on the way to ``end``, that without a parent left out."""
    length, at = 0, end
    while parent[at] >= 0:
        length += 1
        at = parent[at]
    path = np.zeros(length, np.int64)
    at = end
    for k in range(length - 1, -1, -1):
        path[k] = at
        at = parent[at]
    return path
