"""Orders for every unit: which may be given, and what comes of them.

An order is a row of integers: the command, how it is aimed (:data:`AIMS`), the row of the unit that it is aimed at, and
the place. Equal orders of several units are one command to all of them, where the game has it so: the
first of a building's or of a training command's units takes it for itself alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from envs.standin.rules.cards import C_ATTACK, COMMANDS, NO_OP, SUCCESS, built_by, can, find_available, trained_by
from envs.standin.rules.catalog import BEACON, GEYSER, REFINERY, SCV
from envs.standin.rules.compiled import kernel, rule
from envs.standin.rules.economy import is_patch
from envs.standin.rules.orders import perform
from envs.standin.rules.players import turn
from envs.standin.rules.production.plots import snap
from envs.standin.rules.terrain.levels import span
from envs.standin.rules.world import BUILD, ENEMY, OWN
from envs.starcraft.functions import ORDER_GRID, STRIDE

AIMS = ("quick", "unit", "pt", "away")
_QUICK, _UNIT, _PT, _AWAY = range(len(AIMS))
WHAT, AIM, TARGET, PLACE = range(4)
ORDER = 4
"""Integers in an order."""

TARGETS = ("enemy", "resource", "geyser", "unit")
"""What may be aimed at, each with a mask of its own."""


@rule
def on_grid(g: Any, x: float, y: float) -> tuple[float, float]:
    """A place as orders are sent: the center of a cell of the finest grid, counted from the upper left."""
    cell, last = span(g) / ORDER_GRID, ORDER_GRID - 1.0
    column, row = math.floor(x / cell), math.floor((g.height - y) / cell)
    return (min(max(column, 0.0), last) + 0.5) * cell, g.height - (min(max(row, 0.0), last) + 0.5) * cell


@rule
def aimed_place(g: Any, us: Any, me: int, order: Any, target: int, cells: Any) -> tuple[float, float]:
    """Where an order leads that is aimed at a place or a beacon, or away from a unit."""
    u = us[me]
    if order[AIM] == _PT:
        x = span(g) * (order[PLACE] % cells[0] + 0.5) / cells[0]
        return on_grid(g, x, g.height - span(g) * ((order[PLACE] // cells[0] + 0.5) / cells[1]))
    if order[AIM] == _AWAY:
        x, y = np.float64(u.x), np.float64(u.y)
        dx, dy = x - np.float64(us[target].x), y - np.float64(us[target].y)
        way = STRIDE / max(math.hypot(dx, dy), 1e-6)
        return on_grid(g, min(max(x + way * dx, g.left), g.right), min(max(y + way * dy, g.bottom), g.top_y))
    return on_grid(g, us[target].x, us[target].y)


@rule
def alike(a: Any, b: Any) -> bool:
    """Are two orders one command to two units?"""
    alone = a[AIM] == _AWAY or trained_by(a[WHAT]) != 0 or built_by(a[WHAT]) != 0
    return not alone and a[WHAT] == b[WHAT] and a[AIM] == b[AIM] and a[TARGET] == b[TARGET] and a[PLACE] == b[PLACE]


@rule
def give_orders(g: Any, us: Any, ts: Any, orders: Any, slots: Any, cells: Any, chosen: Any) -> int:
    """Carry out a game's orders, [U, 4]; how many commands the game did not accept."""
    refused = 0
    rows = orders.shape[0]
    done = np.zeros(rows, np.int8)
    for row in range(rows):
        me, order = slots[row], orders[row]
        if done[row] or order[WHAT] == NO_OP or me < 0 or us[me].kind == 0 or us[me].owner != OWN:
            continue
        chosen[:] = 0
        chosen[me] = 1
        for other in range(row + 1, rows):
            slot = slots[other]
            if slot >= 0 and us[slot].owner == OWN and alike(order, orders[other]):
                chosen[slot] = 1
                done[other] = 1
        target = -1
        if order[AIM] == _UNIT or order[AIM] == _AWAY:
            target = slots[order[TARGET]]
            if target < 0 or us[target].kind == 0:
                refused += 1
                continue
        x, y = 0.0, 0.0
        if order[AIM] != _QUICK:
            x, y = aimed_place(g, us, me, order, target, cells)
            if target >= 0 and (order[AIM] == _AWAY or us[target].kind == BEACON):
                target = -1
            elif target >= 0:
                x, y = us[target].x, us[target].y
        refused += perform(g, us, ts, order[WHAT], 0, x, y, target, -1, chosen) != SUCCESS
    return refused


@rule
def take(g: Any, ts: Any, u: Any, places: Any, cells: Any, side: int, on_orders_grid: bool) -> None:
    """No building of ``side`` cells is placed where it would overlap this unit, if that is one."""
    t = ts[u.kind]
    if t.plot_w == 0:
        return
    wide, high = span(g) / cells[0], span(g) / cells[1]
    near_x, near_y = 0.5 * (side + t.plot_w) - 0.01, 0.5 * (side + t.plot_h) - 0.01
    first, last = math.floor((u.x - near_x - 1) / wide), math.ceil((u.x + near_x + 1) / wide)
    top, bottom = math.floor((g.height - u.y - near_y - 1) / high), math.ceil((g.height - u.y + near_y + 1) / high)
    for line in range(max(top, 0), min(bottom, cells[1])):
        for column in range(max(first, 0), min(last, cells[0])):
            x, y = wide * (column + 0.5), g.height - high * (line + 0.5)
            if on_orders_grid:
                x, y = on_grid(g, x, y)
            if abs(u.x - snap(x, side)) < near_x and abs(u.y - snap(y, side)) < near_y:
                places[line * cells[0] + column] = 0


@kernel
def find_sites(
    games: Any,
    units: Any,
    ts: Any,
    first: int,
    last: int,
    players: int,
    slots: Any,
    places: Any,
    inside: Any,
    cells: Any,
    side: int,
    on_orders_grid: bool,
) -> None:
    """Where buildings of ``side`` cells can be placed [B, P]: in whose cell's center, or the nearest of the grid that
    orders are sent in, it is ``inside`` [P] and would overlap none that is seen."""
    for b in range(first, last):
        places[b] = inside
        for row in range(slots.shape[1]):
            if slots[b, row] >= 0:
                u = units[b // players, slots[b, row]]
                take(games[b // players], ts, u, places[b], cells, side, on_orders_grid)


@kernel
def fill_order_masks(
    games: Any,
    units: Any,
    ts: Any,
    first: int,
    last: int,
    players: int,
    slots: Any,
    commands: Any,
    functions: Any,
    targets: Any,
    finish: bool,
    builders: int,
    workers_fight: bool,
) -> None:
    """Which orders each unit may be given [B, U, F], and who may be aimed at [B, 4, U], in the order of TARGETS.

    Who builds can be told nothing else if it is to ``finish``; of those who do not, the first ``builders`` that could
    build can be told to (0: all). Workers can be told to attack if they are to fight. Filled are the rows from
    ``first`` to ``last`` - 1.
    """
    available = np.zeros(len(COMMANDS), np.int8)
    for b in range(first, last):
        g, us = games[b // players], units[b // players]
        second = b % players == 1
        if second:
            turn(g, us)
        find_available(g, us, ts, True, available)
        hands = 0
        for row in range(slots.shape[1]):
            slot = slots[b, row]
            functions[b, row] = 0
            targets[b, :, row] = 0
            if slot < 0:
                continue
            u = us[slot]
            targets[b, 0, row] = u.owner == ENEMY
            targets[b, 1, row] = is_patch(u.kind) or (u.kind == REFINERY and u.build_left <= 0.0)
            targets[b, 2, row] = u.kind == GEYSER
            targets[b, 3, row] = 1
            if u.owner != OWN:
                continue
            bound = finish and u.order >= BUILD
            may, could = builders == 0 or hands < builders, 0
            peaceful = u.kind == SCV and not workers_fight
            for f in range(commands.shape[0]):
                what = commands[f]
                possible = what == NO_OP or (not bound and available[what] and can(g, u, what))
                possible = possible and not (peaceful and what == C_ATTACK)
                builds = possible and built_by(what) != 0
                could |= builds
                functions[b, row, f] = possible and (may or not builds)
            hands += could
        if second:
            turn(g, us)
