"""Hand-written players of melees that give every unit an order in each step: the orders style.

What it does follows from what is seen now, so that it can be imitated: nothing is remembered but where home is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.standin.players.commanders import FAR, Field
from envs.standin.players.economists import BUILDS, COLUMNS, COSTS, GATHERS, IDLE, MOST_SUPPLY, NUMBERS, Base, Point
from envs.standin.players.sight import KINDS, Action, Observation, Player
from envs.standin.scenarios.head_start import MELEE_BARRACKS, MELEE_DEPOTS
from envs.starcraft.interface import MAP_SIZE, Interface

FUNCTIONS = (
    "Harvest_Gather_unit", "Train_SCV_quick", "Build_SupplyDepot_pt", "Build_Barracks_pt", "Train_Marine_quick",
    "Attack_pt", "Attack_unit",
)  # fmt: skip
WORKERS, FIRST, BARRACKS = 17, 13, 6
"""Workers that eight patches keep busy; those with which more than one barracks is built; barracks."""
WAVE, RETREAT, REINFORCE = 28, 10, 8
"""Marines with which an attack begins, and below which it ends; those at home that follow together."""
HOME, CLOSE = 22.0, 3.0
"""World units from home within which an enemy is answered; from a target at which it counts as reached."""
GUARD, RUSH = 15.0, 4
"""World units from home within which workers answer enemy workers, and how many of these are a rush."""
IN_REACH, IN_SIGHT = 6.5, 12.0
"""World units within which a marine shoots at an enemy of its choice; within which an idle one goes to meet it."""
LATE, TURN = 9000.0, 600.0
"""Game loops after which an attack that finds nobody looks around, and for which it looks at each place."""
NEAR = 3.8
"""World units from home within which a worker with empty hands has just delivered what it had."""
EDGE = 5.0
"""World units from the map's border within which no cell's center can be walked on."""
_RALLY = (10.0, 6.0)
_SEARCH = [(0, 0), (-8, -8), (-12, 0), (0, -12), (12, 12), (20, 0), (0, 20), (-14, -14)]
"""From where the other one began."""


class _Side(Base):
    """A player's own units, and the places around its home."""

    def __init__(self, field: Field, observation: Observation, action: Action, game: int, home: Point) -> None:
        super().__init__(field, observation, action, game, 10**9)
        self.own, self.home = field.own[game], home
        self.side = 1 if home[0] < MAP_SIZE / 2 else -1

    def rows(self, kind: str) -> list[int]:
        """Rows of the own units of a kind."""
        return [row for row in super().rows(kind) if self.own[row]]

    def away(self, rows: Sequence[int] | np.ndarray, point: Point) -> np.ndarray:
        """World units from units to a point."""
        return np.hypot(self.x[rows] - point[0], self.y[rows] - point[1])

    def around(self, offset: Point) -> Point:
        """A place from home in the direction of the other base, at the center of one of the grid's cells."""
        cell = MAP_SIZE / self.field.interface.minimap_size[0]
        x, y = (
            float((np.floor((h + self.side * d) / cell) + 0.5) * cell) for h, d in zip(self.home, offset, strict=True)
        )
        return x, y

    def send(self, rows: Sequence[int], target: Point, close: float = CLOSE) -> None:
        """Those that are not there yet attack on their way to a point."""
        width, height = self.field.interface.minimap_size
        x, y = (min(max(value, EDGE), MAP_SIZE - EDGE) for value in target)
        place = int((MAP_SIZE - y) * height / MAP_SIZE) * width + int(x * width / MAP_SIZE)
        for row in rows:
            if self.distance(row, target) >= close:
                self.order(row, "Attack_pt", place=place)


def attack(interface: Interface) -> Player:
    """As many workers as there is work for, marines without a pause; all of them answer whoever comes, and with
    twenty-eight they go to where the enemy began, and then to wherever it may be. Near enemies they shoot the weakest.
    """
    seen = Field(interface, (*COLUMNS, "health_ratio"), FUNCTIONS)
    missing = [name for name in NUMBERS if name not in interface.numbers]
    if missing:
        raise ValueError(f"this player needs an interface with {', '.join(missing)}")
    homes: dict[int, Point] = {}

    def play(observation: Observation) -> Action:
        seen.look(observation)
        action, centers = seen.keep(), seen.are("CommandCenter") & seen.own
        for game in range(len(action["function"])):
            for row in np.flatnonzero(centers[game])[:1]:
                homes[game] = (float(seen.x[game, row]), MAP_SIZE - float(seen.y[game, row]))
            now = _Side(seen, observation, action, game, homes.get(game, (0.0, 0.0)))
            _economy(now)
            _guard(now)
            _army(now)
            _fight(now)
        return action

    return play


def _economy(now: _Side) -> None:
    order, progress = now.get("order"), now.get("build_progress")
    workers, barracks, depots = now.rows("SCV"), now.rows("Barracks"), now.rows("SupplyDepot")
    ready, built = now.finished("Barracks"), now.finished("SupplyDepot")
    building = int((order[workers] == BUILDS).sum())
    coming = min(len(depots) - len(built), building)  # what its builder has left is not coming
    on_the_way = building - int(sum(progress[i] < 1 for i in (*barracks, *depots)))
    patches = np.flatnonzero(now.field.are("MineralField")[now.game])
    patches = patches[np.argsort(now.away(patches, now.home))][:8]
    for turn, row in enumerate(i for i in workers if order[i] == IDLE):
        if len(patches):
            now.order(row, "Harvest_Gather_unit", resource=int(patches[turn % len(patches)]))
    short = now.cap - now.used <= 4 + 2 * len(ready) and not coming and now.cap < MOST_SUPPLY
    more = len(built) > 0 and len(barracks) < (BARRACKS if now.workers >= FIRST else 1)
    if on_the_way > 0:  # what it will cost is kept
        now.minerals -= COSTS["Barracks"] if more and not short else COSTS["SupplyDepot"]
    now.train("SCV", "CommandCenter", WORKERS - now.workers)
    if on_the_way <= 0 and short:
        _build(now, "SupplyDepot", MELEE_DEPOTS)
        now.minerals -= COSTS["SupplyDepot"] if len(ready) < 2 else 0
    elif on_the_way <= 0 and more:
        _build(now, "Barracks", MELEE_BARRACKS)
    if now.minerals >= COSTS["Marine"] and now.used < now.cap:  # all are told, as nothing tells one from another
        for row in (i for i in ready if now.get("queue")[i] < 2):
            now.order(row, "Train_Marine_quick")


def _build(now: _Side, kind: str, offsets: Sequence[Point]) -> None:
    """Workers that have just delivered build at the first place that is free. All of them are told, as little tells the
    nearest one from another: whoever comes first builds, and the others go back to work."""
    order, carrying, new = now.get("order"), now.get("carrying"), now.action["function"][now.game] == 0
    free = [i for i in now.rows("SCV") if new[i] and not carrying[i] and order[i] in (IDLE, GATHERS)]
    near = [i for i in free if now.distance(i, now.home) < NEAR]
    sites = [cell for cell in (now.cell(now.around(offset)) for offset in offsets) if now.open[cell]]
    if now.minerals < COSTS[kind] or not near or not sites:
        return
    for row in near:
        now.order(row, f"Build_{kind}_pt", site=sites[0])
    now.minerals -= COSTS[kind]


def _guard(now: _Side) -> None:
    """Workers at home answer a rush of workers, the weakest of those that are near first: marines come too late."""
    kinds, order = now.get("unit_type"), now.get("order")
    coming = np.flatnonzero(now.field.enemy[now.game] & (kinds == KINDS["SCV"]))
    coming = coming[now.away(coming, now.home) < GUARD]
    if len(coming) < RUSH:
        return
    for row in now.rows("SCV"):
        if order[row] in (IDLE, GATHERS) and now.distance(row, now.home) < GUARD:
            away = np.hypot(now.x[row] - now.x[coming], now.y[row] - now.y[coming])
            enemy = coming[away.argmin()]
            now.send([row], (float(now.x[enemy]), float(now.y[enemy])), 0.0)


def _army(now: _Side) -> None:
    """Where marines go that have nothing to do."""
    marines, order = now.rows("Marine"), now.get("order")
    if not marines:
        return
    enemies = [int(i) for i in np.flatnonzero(now.field.enemy[now.game])]
    out = [i for i in marines if now.distance(i, now.home) > HOME]
    idle = [i for i in marines if order[i] == IDLE]
    near = [i for i in enemies if now.distance(i, now.home) < HOME]
    if near:
        now.send(sorted({*idle, *out}), _nearest(now, near, now.home))
        return
    gone = len(out) >= RETREAT // 2
    waiting = [i for i in idle if i not in out]
    if len(marines) < (RETREAT if gone else WAVE):
        now.send(sorted({*idle, *out}), now.around(_RALLY))
        return
    army = out or marines
    middle = float(now.x[army].mean()), float(now.y[army].mean())
    target = _nearest(now, enemies, middle) if enemies else _search(now, out)
    follow = len(waiting) >= (REINFORCE if gone else 1)
    now.send(waiting, target if follow else now.around(_RALLY))
    now.send([i for i in idle if i in out], target)


def _nearest(now: _Side, rows: Sequence[int], to: Point) -> Point:
    row = min(rows, key=lambda i: now.distance(i, to))
    return float(now.x[row]), float(now.y[row])


def _search(now: _Side, out: Sequence[int]) -> Point:
    """Where the enemy began, and when nobody is there, around it."""
    spots = [(MAP_SIZE - now.home[0] - now.side * dx, MAP_SIZE - now.home[1] - now.side * dy) for dx, dy in _SEARCH]
    arrived = now.loop > LATE and out and now.away(out, spots[0]).min() < 30
    return spots[int(now.loop // TURN) % len(spots) if arrived else 0]


def _fight(now: _Side) -> None:
    """Marines shoot the weakest of the enemies that they reach, so that they shoot together."""
    marines, kinds = now.rows("Marine"), now.get("unit_type")
    fighting = now.field.enemy[now.game] & ((kinds == KINDS["Marine"]) | (kinds == KINDS["SCV"]))
    enemies = np.flatnonzero(fighting)
    if not marines or not len(enemies):
        return
    order, weak = now.get("order"), 4.5 * now.get("health_ratio")[enemies]
    away = np.hypot(now.x[marines, None] - now.x[enemies], now.y[marines, None] - now.y[enemies])
    chosen = (away + weak + FAR * (away > IN_REACH)).argmin(1)
    for turn, row in enumerate(marines):
        enemy = int(enemies[chosen[turn]])
        distance = away[turn, chosen[turn]]
        if distance < IN_REACH:
            now.action["place"][now.game, row] = 0
            now.order(row, "Attack_unit", enemy=enemy)
        elif distance < IN_SIGHT and order[row] == IDLE:
            now.send([row], (float(now.x[enemy]), float(now.y[enemy])))
