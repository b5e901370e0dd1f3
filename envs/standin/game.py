"""Whole games: start them, step them, show them. These are the kernels that Python calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.standin import orders
from envs.standin.compiled import kernel, rule
from envs.standin.observe import fill_minimap, fill_numbers, fill_screen, fill_units
from envs.standin.orders import act, find_available
from envs.standin.scenarios import move_to_beacon
from envs.standin.world import FOLLOW, MOVE, PLAYING, TIME_UP, mix, move_towards, next_order, present

SCENARIOS = ("MoveToBeacon",)
MOVE_TO_BEACON = 0


@rule
def start_game(g: Any, us: Any, ts: Any, scenario: int, limit: int, region: Any) -> None:
    """Empty the map and let the scenario's script set it up. The game's seed and episode must be set."""
    for i in range(us.shape[0]):
        us[i].kind = 0
        us[i].selected = 0
    g.random = mix(g.seed, g.episode)
    g.scenario = scenario
    g.limit = limit
    g.loop = 0
    g.status = PLAYING
    g.top = 0
    g.next_tag = 0
    g.score = 0.0
    g.left, g.bottom, g.right, g.top_y = region[0], region[1], region[2], region[3]
    g.camera_x = (g.left + g.right) / 2
    g.camera_y = (g.bottom + g.top_y) / 2 - 3.0
    if scenario == MOVE_TO_BEACON:
        move_to_beacon.start(g, us, ts)


@rule
def one_loop(g: Any, us: Any, ts: Any) -> None:
    """One game loop: units carry out their orders, then the map's triggers run."""
    for i in range(g.top):
        u = us[i]
        if u.kind == 0:
            continue
        if u.order == MOVE:
            if move_towards(g, u, ts, u.order_x, u.order_y):
                next_order(u)
        elif u.order == FOLLOW:
            if not present(us, u.order_slot, u.order_tag):
                next_order(u)
            else:
                move_towards(g, u, ts, us[u.order_slot].x, us[u.order_slot].y)
    g.loop += 1
    if g.scenario == MOVE_TO_BEACON:
        move_to_beacon.after_loop(g, us)
    if g.loop >= g.limit and g.status == PLAYING:
        g.status = TIME_UP


@kernel
def reset(games: Any, units: Any, ts: Any, which: Any, scenario: int, limit: int, region: Any) -> None:
    """Start a new episode in the games ``which``."""
    for k in range(which.shape[0]):
        b = which[k]
        start_game(games[b], units[b], ts, scenario, limit, region)


@kernel
def step(
    games: Any,
    units: Any,
    ts: Any,
    first: int,
    last: int,
    loops: int,
    choices: Any,
    screen: int,
    minimap: int,
    rewards: Any,
    refused: Any,
) -> None:
    """Carry out each game's choice and run up to ``loops`` game loops, in the games from ``first`` to ``last`` - 1."""
    for b in range(first, last):
        g = games[b]
        us = units[b]
        before = g.score
        refused[b] = not act(g, us, ts, choices[b], screen, minimap)
        for _ in range(loops):
            if g.status != PLAYING:
                break
            one_loop(g, us, ts)
        rewards[b] = g.score - before


@kernel
def observe(
    games: Any,
    units: Any,
    ts: Any,
    which: Any,
    raw: bool,
    columns: Any,
    features: Any,
    mask: Any,
    slots: Any,
    screen_planes: Any,
    screen: Any,
    minimap_planes: Any,
    minimap: Any,
    names: Any,
    numbers: Any,
    functions: Any,
    function_mask: Any,
) -> None:
    """Fill what the games ``which`` show. ``functions`` [n] holds each function's command; empty arrays are skipped."""
    available = np.zeros(len(orders.COMMANDS), np.int8)
    for k in range(which.shape[0]):
        b = which[k]
        g = games[b]
        us = units[b]
        if columns.shape[0]:
            fill_units(g, us, ts, raw, columns, features[b], mask[b], slots[b])
        if screen_planes.shape[0]:
            fill_screen(g, us, ts, screen_planes, screen[b])
        if minimap_planes.shape[0]:
            fill_minimap(g, us, ts, minimap_planes, minimap[b])
        if names.shape[0]:
            fill_numbers(g, us, ts, names, numbers[b])
        find_available(g, us, available)
        for i in range(functions.shape[0]):
            function_mask[b, i] = available[functions[i]]
