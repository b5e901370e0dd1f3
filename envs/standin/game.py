"""Whole games: start them, step them, show them. These are the kernels that Python calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from envs.standin.actions import act
from envs.standin.orders import give_orders
from envs.standin.rules.abilities.bunker import enter
from envs.standin.rules.abilities.repair import repair
from envs.standin.rules.cards import COMMANDS, SUCCESS, find_available
from envs.standin.rules.catalog import KINDS, SCV
from envs.standin.rules.combat import bury, fight, fly_missiles, garrison, is_at_rest, weapon_loop
from envs.standin.rules.compiled import kernel, rule
from envs.standin.rules.economy import bring_back, gather
from envs.standin.rules.motion import go, push_apart
from envs.standin.rules.orders import perform
from envs.standin.rules.players import most_hp, turn
from envs.standin.rules.production.construction import construct
from envs.standin.rules.production.plots import snap
from envs.standin.rules.production.queues import START_ENERGY, finish_research, produce
from envs.standin.rules.scenario_ids import (
    BUILD_MARINES,
    COLLECT_MINERAL_SHARDS,
    COLLECT_MINERALS_AND_GAS,
    DEFEAT_ROACHES,
    DEFEAT_SWARM,
    FIND_ZERGLINGS,
    MELEE,
    MOVE_TO_BEACON,
)
from envs.standin.rules.terrain.levels import FLAT
from envs.standin.rules.world import (
    BUILD,
    ENTER,
    FOLLOW,
    GARRISON,
    GATHER,
    IDLE,
    MOVE,
    NEUTRAL,
    OWN,
    PLAYING,
    REPAIR,
    RETURN,
    SCANS,
    TIME_UP,
    is_mobile,
    mix,
    next_order,
    present,
    remember,
    remove,
    spawn,
)
from envs.standin.scenarios import (
    collect_mineral_shards,
    defeat_waves,
    economies,
    find_and_defeat_zerglings,
    melee,
    move_to_beacon,
)
from envs.standin.show.observe import fill_numbers, fill_units
from envs.standin.show.planes import NEVER, explore, fill_minimap, fill_screen
from envs.starcraft.interface import BELOW_CENTER

FOLLOW_GAP = 0.5
"""How near, edge to edge, a unit follows another."""


@rule
def clear_player(g: Any) -> None:
    """What a player has before the first loop: nothing."""
    g.score = 0.0
    g.camera_x = (g.left + g.right) / 2
    g.camera_y = (g.bottom + g.top_y) / 2 - BELOW_CENTER
    g.cheats = 0
    g.minerals = 0
    g.vespene = 0
    g.collected_minerals = 0
    g.collected_vespene = 0
    g.last_idle = 0
    g.upgrades = 0
    g.researching = 0
    for k in range(SCANS):
        g.scan_until[k] = 0


@rule
def start_game(g: Any, us: Any, ts: Any, scenario: int, limit: int, places: Any, resources: Any) -> None:
    """Empty the map and let the scenario's script set it up. The game's seed and episode must be set."""
    for i in range(us.shape[0]):
        us[i].kind = 0
        us[i].selected = 0
        us[i].other_selected = 0
    g.random = mix(g.seed, g.episode)
    g.scenario = scenario
    g.limit = limit
    g.loop = 0
    g.status = PLAYING
    g.top = 0
    g.next_tag = 0
    g.left, g.bottom, g.right, g.top_y = places[0, 0], places[0, 1], places[0, 2], places[0, 3]
    g.width, g.height, g.ground = 64, 64, 0
    if places.shape[0] > 3 and scenario == MELEE:
        g.width, g.height, g.ground = int(places[3, 0]), int(places[3, 1]), int(places[3, 2])
    g.fog = scenario in (FIND_ZERGLINGS, MELEE)
    g.camera_free = g.fog
    g.turned = 0
    g.enemies = 0
    g.fellows = 0
    g.corner = 1
    g.dying = 0
    g.obstacles = 0
    for _ in range(2):
        clear_player(g)
        turn(g, us)
    g.missiles = 0
    if scenario == MOVE_TO_BEACON:
        move_to_beacon.start(g, us, ts, places)
    elif scenario == COLLECT_MINERAL_SHARDS:
        collect_mineral_shards.start(g, us, ts, places)
    elif scenario == FIND_ZERGLINGS:
        find_and_defeat_zerglings.start(g, us, ts, places)
    elif scenario in (DEFEAT_ROACHES, DEFEAT_SWARM):
        defeat_waves.start(g, us, ts, places, scenario == DEFEAT_ROACHES)
    elif scenario == MELEE:
        melee.start(g, us, ts, places, resources)
    else:
        economies.start(g, us, ts, places, resources, scenario == BUILD_MARINES)


@rule
def unit_loop(g: Any, us: Any, ts: Any, me: int) -> None:
    """One loop of a unit that can move: its weapon's clockwork, then its order."""
    u = us[me]
    if u.order == GARRISON:
        garrison(g, us, ts, me)
        return
    if u.expires > 0 and g.loop >= u.expires:
        remove(g, us, me)
        return
    if u.moving == 0:
        u.speed = 0.0
    u.moving = 0
    if weapon_loop(g, us, ts, me):
        return
    if u.order == MOVE:
        if go(g, us, ts, u, u.order_x, u.order_y):
            next_order(u)
    elif u.order == FOLLOW:
        if not present(us, u.order_slot, u.order_tag):
            next_order(u)
        else:
            v = us[u.order_slot]
            near = FOLLOW_GAP + ts[u.kind].radius + ts[v.kind].radius
            if (v.x - u.x) ** 2 + (v.y - u.y) ** 2 > near * near:
                go(g, us, ts, u, v.x, v.y)
    elif u.order == GATHER:
        gather(g, us, ts, me)
    elif u.order == RETURN:
        bring_back(g, us, ts, me)
    elif u.order >= BUILD:
        construct(g, us, ts, me)
    elif u.order == ENTER:
        enter(g, us, ts, me)
    elif u.order == REPAIR:
        repair(g, us, ts, me)
    elif (u.kind != SCV or u.order != IDLE or u.target >= 0) and ts[u.kind].damage > 0.0:
        fight(g, us, ts, me)
    if u.order == IDLE and u.queued > 0:
        next_order(u)


@rule
def one_loop(g: Any, us: Any, ts: Any, places: Any, dead: Any, who: Any, at: Any) -> None:
    """One game loop: units carry out their orders and get out of each other's way, then the map's triggers run."""
    for i in range(g.top):
        u = us[i]
        if u.kind == 0 or u.owner == NEUTRAL or u.hp <= 0.0:
            continue
        if is_mobile(u.kind):
            if not is_at_rest(g, ts, u):
                unit_loop(g, us, ts, i)
        elif u.producing > 0:
            came_out = produce(g, us, ts, i)
            if g.scenario == BUILD_MARINES:
                economies.score_marine(g, came_out)
    if g.missiles > 0:
        fly_missiles(g, us, ts)
    dead[:] = 0
    if g.dying:
        bury(g, us, ts, dead)
    if g.crowded:
        push_apart(g, us, ts, who, at)
    g.loop += 1
    after_loop(g, us, ts, places, dead, who)
    if g.loop >= g.limit and g.status == PLAYING:
        g.status = TIME_UP


@rule
def run_loops(g: Any, us: Any, ts: Any, loops: int, places: Any, dead: Any, who: Any, at: Any) -> None:
    """So many loops, or as many as are left of the game."""
    for _ in range(loops):
        if g.status != PLAYING:
            break
        one_loop(g, us, ts, places, dead, who, at)


@rule
def after_loop(g: Any, us: Any, ts: Any, places: Any, dead: Any, who: Any) -> None:
    """The map's triggers."""
    scenario = g.scenario
    if scenario == MOVE_TO_BEACON:
        move_to_beacon.after_loop(g, us, places)
    elif scenario == COLLECT_MINERAL_SHARDS:
        collect_mineral_shards.after_loop(g, us, ts, places)
    elif scenario == FIND_ZERGLINGS:
        find_and_defeat_zerglings.after_loop(g, us, ts, dead)
    elif scenario in (DEFEAT_ROACHES, DEFEAT_SWARM):
        defeat_waves.after_loop(g, us, ts, places, scenario == DEFEAT_ROACHES, dead)
    elif scenario == COLLECT_MINERALS_AND_GAS:
        economies.score_collected(g)
    elif scenario == MELEE:
        melee.after_loop(g, us, ts, places, dead, who)


@kernel
def reset(games: Any, units: Any, ts: Any, which: Any, scenario: int, limit: int, places: Any, resources: Any) -> None:
    """Start a new episode in the games ``which``."""
    for k in range(which.shape[0]):
        b = which[k]
        start_game(games[b], units[b], ts, scenario, limit, places, resources)


@kernel
def choose_all(
    games: Any,
    units: Any,
    ts: Any,
    first: int,
    last: int,
    players: int,
    actions: Any,
    tags: Any,
    slots: Any,
    sizes: Any,
    raw: bool,
    refused: Any,
) -> None:
    """Carry out an action of each player in the games from ``first`` to ``last`` - 1, without letting time pass.

    Of two ``players`` each has an action: the rows of game b are 2 b and 2 b + 1, and the first one's is carried out
    first.
    """
    chosen = np.zeros(units.shape[1], np.int64)
    for row in range(players * first, players * last):
        g, us, second = games[row // players], units[row // players], row % players == 1
        if second:
            turn(g, us)
        refused[row] = act(g, us, ts, actions[row], tags[row], slots[row], sizes, raw, chosen) != SUCCESS
        if second:
            turn(g, us)


@kernel
def order_all(
    games: Any,
    units: Any,
    ts: Any,
    first: int,
    last: int,
    players: int,
    orders: Any,
    slots: Any,
    cells: Any,
    refused: Any,
) -> None:
    """As :func:`choose_all`, with orders for every unit; see :mod:`envs.standin.orders`."""
    chosen = np.zeros(units.shape[1], np.int64)
    for row in range(players * first, players * last):
        g, us, second = games[row // players], units[row // players], row % players == 1
        if second:
            turn(g, us)
        refused[row] = give_orders(g, us, ts, orders[row], slots[row], cells, chosen) > 0
        if second:
            turn(g, us)


@kernel
def run(
    games: Any, units: Any, ts: Any, first: int, last: int, loops: int, players: int, places: Any, rewards: Any
) -> None:
    """Run up to ``loops`` game loops in the games from ``first`` to ``last`` - 1; what each player earns in them."""
    who = np.zeros(units.shape[1], np.int64)
    dead = np.zeros(3, np.int64)
    at = np.zeros((2, units.shape[1]), np.float32)
    for b in range(first, last):
        g = games[b]
        before, other_before = g.score, g.other_score
        run_loops(g, units[b], ts, loops, places, dead, who, at)
        rewards[players * b] = g.score - before
        if players == 2:
            rewards[2 * b + 1] = g.other_score - other_before


@kernel
def turn_table(games: Any, units: Any) -> None:
    """Let a batch of one be the other player's, or the first one's again (:func:`envs.standin.rules.players.turn`)."""
    turn(games[0], units[0])


@kernel
def choose(games: Any, units: Any, ts: Any, action: Any, tags: Any, slots: Any, sizes: Any) -> int:
    """Carry out a choice of the feature style in a batch of one, without letting time pass; what comes of it."""
    chosen = np.zeros(units.shape[1], np.int64)
    return act(games[0], units[0], ts, action, tags, slots, sizes, False, chosen)


@kernel
def command(
    games: Any, units: Any, ts: Any, what: int, queued: int, x: float, y: float, target: int, chosen: Any
) -> int:
    """Command the units ``chosen[slot]`` = 1 in a batch of one, without letting time pass; what comes of it."""
    return perform(games[0], units[0], ts, what, queued, x, y, target, -1, chosen)


@kernel
def create(games: Any, units: Any, ts: Any, kind: int, owner: int, x: float, y: float) -> int:
    """Put a unit into a batch of one, a building onto the grid of map cells; its slot, or -1 if there is no room."""
    g = games[0]
    t = ts[kind]
    if t.plot_w > 0:
        x, y = snap(x, t.plot_w), snap(y, t.plot_h)
        g.obstacles += 1
    slot = spawn(g, units[0], ts, kind, owner, x, y)
    if slot >= 0:
        units[0, slot].hp = most_hp(g, ts, kind, owner)
        units[0, slot].energy = START_ENERGY if t.energy > 0.0 else 0.0
    return slot


@kernel
def research(games: Any, units: Any, row: int) -> None:
    """Let the player of a batch of one have an upgrade."""
    g = games[0]
    if g.upgrades & (1 << (row - KINDS)) == 0:
        finish_research(g, units[0], OWN, row)


@kernel
def observe(
    games: Any,
    units: Any,
    ts: Any,
    which: Any,
    players: int,
    raw: bool,
    explored: Any,
    kinds: Any,
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
    own_mask: Any,
    target_mask: Any,
) -> None:
    """Fill what the rows ``which`` show: of two ``players`` a game has two, see :func:`step`.

    ``functions`` [n] holds each function's command; empty arrays are skipped.
    """
    available = np.zeros(len(COMMANDS), np.int8)
    for k in range(which.shape[0]):
        b = which[k]
        g = games[b // players]
        us = units[b // players]
        second = b % players == 1
        if second:
            turn(g, us)
        if explored.shape[1]:
            if g.loop == 0:
                explored[b] = NEVER
            explore(g, us, ts, explored[b])
        if g.fog and g.ground != FLAT:
            remember(g, us, ts)
        if columns.shape[0]:
            fill_units(g, us, ts, raw, kinds, columns, features[b], mask[b], slots[b])
        if screen_planes.shape[0]:
            fill_screen(g, us, ts, kinds, explored[b], screen_planes, screen[b])
        if minimap_planes.shape[0]:
            fill_minimap(g, us, ts, kinds, explored[b], minimap_planes, minimap[b])
        if names.shape[0]:
            fill_numbers(g, us, ts, names, numbers[b])
        find_available(g, us, ts, raw, available)
        for i in range(functions.shape[0]):
            function_mask[b, i] = available[functions[i]]
        if raw:
            for row in range(mask.shape[1]):
                slot = slots[b, row]
                own_mask[b, row] = slot >= 0 and us[slot].owner == OWN
                target_mask[b, row] = slot >= 0
        if second:
            turn(g, us)
