"""Hand-written players of melees that give every unit an order in each step: the orders style."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from envs.standin.players.commanders import Field
from envs.standin.players.economists import COLUMNS, COSTS, IDLE, NUMBERS, Base, Point
from envs.standin.players.sight import Action, Observation, Player
from envs.starcraft.interface import MAP_SIZE, ORDERS, Interface

FUNCTIONS = (
    "Harvest_Gather_unit", "Train_SCV_quick", "Build_SupplyDepot_pt", "Build_Barracks_pt", "Train_Marine_quick",
    "Attack_pt",
)  # fmt: skip
ATTACKS = ORDERS.index("attack")
WORKERS, BARRACKS = 22, 5
WAVE, RETREAT = 16, 6
"""Marines with which an attack begins, and with which it ends."""
HOME, CLOSE = 22.0, 9.0
"""World units from home within which an enemy is answered; from a target at which it counts as reached."""
_DEPOTS = [(x, y) for y in (8.0, 12.0) for x in (-4.0, 0.0, 4.0, 8.0, 12.0, 16.0)]
_BARRACKS = [(x, y) for x in (8.0, 12.0, 16.0) for y in (4.0, 0.0, -4.0, -8.0)]
"""From the command center, in the direction of the other base: a multiple of the cells of any grid that will do."""
_SEARCH = [(0, 0), (-8, -8), (-12, 0), (0, -12), (12, 12), (20, 0), (0, 20), (-14, -14)]


@dataclass
class _Memory:
    """What one game's player is about."""

    home: Point = (0.0, 0.0)
    attacking: bool = False
    searched: int = 0
    waited: int = 0
    shift: int = 0
    loop: float = -1.0
    target: Point = field(default=(0.0, 0.0))


def attack(interface: Interface) -> Player:
    """Workers and marines without a pause; with sixteen marines to where the enemy began, and then to wherever it may
    be; against whoever comes, all that there are."""
    seen = Field(interface, COLUMNS, FUNCTIONS)
    missing = [name for name in NUMBERS if name not in interface.numbers]
    if missing:
        raise ValueError(f"this player needs an interface with {', '.join(missing)}")
    memories: dict[int, _Memory] = {}

    def play(observation: Observation) -> Action:
        seen.look(observation)
        action = seen.keep()
        for game in range(len(action["function"])):
            now = Base(seen, observation, action, game, 10**9)
            memory = memories.setdefault(game, _Memory())
            if now.loop < memory.loop or memory.loop < 0:
                memory = memories[game] = _Memory()
                centers = now.rows("CommandCenter")
                memory.home = (float(now.x[centers[0]]), float(now.y[centers[0]])) if centers else (0.0, 0.0)
            memory.loop = now.loop
            _economy(now, memory)
            _army(now, memory)
        return action

    return play


def _economy(now: Base, memory: _Memory) -> None:
    own = now.field.own[now.game]
    barracks = [i for i in now.finished("Barracks") if own[i]]
    now.harvest(memory.home)
    now.train("SCV", "CommandCenter", WORKERS - now.workers)
    now.depot(3 + 2 * len(barracks), _sites(now, memory, _DEPOTS))
    now.train("Marine", "Barracks", 200, 2)
    want = BARRACKS if now.workers >= 15 else 1
    if len(now.rows("Barracks")) < want and now.finished("SupplyDepot") and now.builders() <= 0:
        now.build("Barracks", _sites(now, memory, _BARRACKS))
    rich = now.minerals >= COSTS["Barracks"] + COSTS["SupplyDepot"]
    memory.waited = memory.waited + 1 if rich and now.builders() <= 0 else 0
    if memory.waited > 12:  # a place that looks free and is not
        memory.shift, memory.waited = memory.shift + 1, 0


def _sites(now: Base, memory: _Memory, offsets: list[tuple[float, float]]) -> list[Point]:
    """Places around home, towards the middle of the map, at centers of the grid's cells."""
    side = 1 if memory.home[0] < MAP_SIZE / 2 else -1
    cell = MAP_SIZE / now.field.interface.minimap_size[0]
    places = [
        tuple((np.floor((h + side * d) / cell) + 0.5) * cell for h, d in zip(memory.home, offset, strict=True))
        for offset in offsets
    ]
    turn = memory.shift % len(places)
    return [(float(x), float(y)) for x, y in places[turn:] + places[:turn]]


def _army(now: Base, memory: _Memory) -> None:
    marines = [i for i in now.rows("Marine") if now.field.own[now.game][i]]
    if not marines:
        memory.attacking = False
        return
    memory.attacking = len(marines) >= (RETREAT if memory.attacking else WAVE)
    enemies = np.flatnonzero(now.field.enemy[now.game])
    near = [int(i) for i in enemies if now.distance(int(i), memory.home) < HOME]
    if near:
        chosen = min(near, key=lambda i: now.distance(i, memory.home))
        target = (float(now.x[chosen]), float(now.y[chosen]))
    elif memory.attacking and len(enemies):
        middle = (float(now.x[marines].mean()), float(now.y[marines].mean()))
        chosen = min((int(i) for i in enemies), key=lambda i: now.distance(i, middle))
        target = (float(now.x[chosen]), float(now.y[chosen]))
    elif memory.attacking:
        target = _search(now, memory, marines)
    else:
        side = 1 if memory.home[0] < MAP_SIZE / 2 else -1
        target = (memory.home[0] + side * 10, memory.home[1] + side * 6)
    _send(now, memory, marines, target)


def _search(now: Base, memory: _Memory, marines: list[int]) -> Point:
    """Where the enemy began, and when nobody is there, around it."""
    side = 1 if memory.home[0] < MAP_SIZE / 2 else -1
    dx, dy = _SEARCH[memory.searched % len(_SEARCH)]
    target = (MAP_SIZE - memory.home[0] - side * dx, MAP_SIZE - memory.home[1] - side * dy)
    if min(now.distance(i, target) for i in marines) < 3:
        memory.searched += 1
    return target


def _send(now: Base, memory: _Memory, marines: list[int], target: Point) -> None:
    """Everybody attacks there; who is on the way to a place nearby, or fights, is left alone."""
    order = now.get("order")
    moved = np.hypot(target[0] - memory.target[0], target[1] - memory.target[1]) > CLOSE
    memory.target = target if moved else memory.target
    width, height = now.field.interface.minimap_size
    x, y = (min(max(value, 1.0), MAP_SIZE - 1) for value in target)
    place = int((MAP_SIZE - y) * height / MAP_SIZE) * width + int(x * width / MAP_SIZE)
    for row in marines:
        idle = order[row] == IDLE and now.distance(row, target) > 5
        if moved or idle or (order[row] != ATTACKS and now.distance(row, target) > 5):
            now.order(row, "Attack_pt", place=place)
