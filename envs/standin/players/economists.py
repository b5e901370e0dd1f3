"""Hand-written players of the maps with an economy that give every unit an order in each step: the orders style.

Who is told what follows from the unit itself, so that it can be imitated by units that choose apart from one another:
all workers that have just delivered build, or go for gas, not the nearest one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from envs.spaces import ACTION_MASK
from envs.standin.players.commanders import Field
from envs.standin.players.sight import KINDS, Action, Observation, Player
from envs.standin.rules.catalog import type_table
from envs.starcraft.interface import MAP_SIZE, ORDERS, Interface
from envs.starcraft.layouts.archive import COMMAND_CENTER
from envs.starcraft.maps import MAPS

Point = tuple[float, float]

NEAR = 3.4
"""World units from a command center within which a worker with empty hands has just delivered what it had."""

# Centers of cells of the grids that the maps' interfaces have: 40 x 40 for the first two, then 32 x 32.
SECOND_BASE: Point = (34.4, 28.0)
GAS_DEPOTS: tuple[Point, ...] = tuple((float(x), y) for y in (21.0, 35.0) for x in range(29, 39, 2))
DEPOTS: tuple[Point, ...] = tuple((x, float(y)) for x in (43.0, 41.0, 39.0) for y in range(21, 36, 2))
BARRACKS: tuple[Point, ...] = (*((35.0, y) for y in (33.0, 29.0, 25.0, 21.0)), (31.0, 21.0), (31.0, 35.0), (27.0, 21.0))

MOST_SUPPLY = 200
IDLE, GATHERS, BUILDS = (ORDERS.index(name) for name in ("none", "gather", "build"))
BUILDINGS = ("SupplyDepot", "Barracks", "Refinery", "CommandCenter")
COSTS = {name: float(type_table()["minerals"][KINDS[name]]) for name in (*BUILDINGS, "SCV", "Marine")}
"""Minerals."""
COLUMNS = ("unit_type", "alliance", "x", "y", "order", "carrying", "build_progress", "queue", "assigned_harvesters")
NUMBERS = ("game_loop", "minerals", "food_used", "food_cap", "food_workers")


class Base:
    """One game: what its player has, what is left to spend, and who was given an order in this step."""

    def __init__(self, field: Field, observation: Observation, action: Action, game: int, loops: int) -> None:
        self.field, self.action, self.game = field, action, game
        self.y = MAP_SIZE - field.y[game]
        self.x = field.x[game]
        numbers = dict(zip(field.interface.numbers, observation["player"][game], strict=True))
        self.loop, self.minerals = float(numbers["game_loop"]), float(numbers["minerals"])
        self.used, self.cap, self.workers = (float(numbers[f"food_{name}"]) for name in ("used", "cap", "workers"))
        self.left = loops - self.loop
        self.open = observation[ACTION_MASK][field.interface.building_place][game]

    def get(self, name: str) -> np.ndarray:
        """A column of the units' table."""
        return self.field.get(name)[self.game]

    def rows(self, kind: str) -> list[int]:
        """Rows of the units of a kind."""
        return [int(i) for i in np.flatnonzero(self.field.are(kind)[self.game])]

    def finished(self, kind: str) -> list[int]:
        """Rows of finished buildings of a kind."""
        return [i for i in self.rows(kind) if self.get("build_progress")[i] >= 1]

    def distance(self, row: int, to: Point) -> float:
        """World units from a unit to a point."""
        return float(np.hypot(self.x[row] - to[0], self.y[row] - to[1]))

    def cell(self, place: Point) -> int:
        """The cell of the minimap that holds a place."""
        (width, height), (x, y) = self.field.interface.minimap_size, place
        return int((MAP_SIZE - y) * height / MAP_SIZE) * width + int(x * width / MAP_SIZE)

    def free(self) -> list[int]:
        """Workers that harvest minerals with empty hands, and got no order yet in this step."""
        order, carrying = self.get("order"), self.get("carrying")
        new = self.action["function"][self.game] == 0
        return [i for i in self.rows("SCV") if new[i] and not carrying[i] and order[i] in (IDLE, GATHERS)]

    def hands(self) -> list[int]:
        """Who may be told something else: idle workers, mostly a new one; where none is coming, all that have just
        delivered."""
        free, order, centers = self.free(), self.get("order"), self.finished("CommandCenter")
        idle = [i for i in free if order[i] == IDLE]
        if idle or any(self.get("queue")[i] for i in centers):
            return idle
        homes = [(float(self.x[i]), float(self.y[i])) for i in centers]
        return [i for i in free if any(self.distance(i, home) < NEAR for home in homes)]

    def order(self, row: int, function: str, **arguments: int) -> None:
        """Give a unit an order."""
        self.action["function"][self.game, row] = self.field.function[function]
        for name, value in arguments.items():
            self.action[name][self.game, row] = value

    def harvest(self, to: Point) -> None:
        """Idle workers that got no order go to the patches near a point, one to each."""
        order, new = self.get("order"), self.action["function"][self.game] == 0
        patches = sorted(self.rows("MineralField"), key=lambda k: self.distance(k, to))[:8]
        for turn, row in enumerate(i for i in self.rows("SCV") if order[i] == IDLE and new[i]):
            if patches:
                self.order(row, "Harvest_Gather_unit", resource=patches[turn % len(patches)])

    def train(self, kind: str, at: str, most: float, queue: int = 1) -> None:
        """Every finished building of a kind has a unit in production, while minerals and supply last."""
        waiting = self.get("queue")
        for row in self.finished(at):
            room = self.used < self.cap and self.minerals >= COSTS[kind] and most > 0
            if room and waiting[row] < queue:
                self.order(row, f"Train_{kind}_quick")
                self.minerals, self.used, most = self.minerals - COSTS[kind], self.used + 1, most - 1

    def coming(self, kind: str) -> int:
        """Buildings of a kind that are being built."""
        return len(self.rows(kind)) - len(self.finished(kind))

    def builders(self) -> int:
        """Workers on their way to a building place."""
        building = sum(self.coming(kind) for kind in BUILDINGS)
        return int((self.get("order")[self.rows("SCV")] == BUILDS).sum()) - building

    def build(self, kind: str, places: Sequence[Point]) -> None:
        """Workers that have just delivered build at the first of the places that is free: whoever comes first does, and
        the others go back to work."""
        standing = [i for k in BUILDINGS for i in self.rows(k)]
        free = [p for p in places if all(self.distance(i, p) > 1.5 for i in standing)]
        if kind != "Refinery":
            free = [p for p in free if self.open[self.cell(p)]]
        workers = self.hands()
        if self.minerals < COSTS[kind] or not free or not workers:
            return
        geysers = self.rows("VespeneGeyser")
        for row in workers:
            if kind == "Refinery":
                geyser = min(geysers, key=lambda i: self.distance(i, free[0]))
                self.order(row, "Build_Refinery_pt", geyser=geyser)
            else:
                self.order(row, f"Build_{kind}_pt", **{self.field.interface.building_place: self.cell(free[0])})
        self.minerals -= COSTS[kind]

    def depot(self, spare: float, places: Sequence[Point]) -> None:
        """A supply depot before supply runs out."""
        coming = self.coming("SupplyDepot") + max(self.builders(), 0)
        if not coming and self.cap - self.used <= spare and self.cap < MOST_SUPPLY:
            self.build("SupplyDepot", places)

    def fill_refineries(self) -> None:
        """Three workers into each refinery: those that are idle."""
        order = self.get("order")
        idle = [i for i in self.free() if order[i] == IDLE]
        for row in self.finished("Refinery"):
            if self.get("assigned_harvesters")[row] < 3:
                for worker in idle:
                    self.order(worker, "Harvest_Gather_unit", resource=row)
                return


def _player(scenario: str, interface: Interface, functions: Sequence[str], plan: Callable[[Base], None]) -> Player:
    field = Field(interface, COLUMNS, tuple(functions))
    missing = [name for name in NUMBERS if name not in interface.numbers]
    if missing:
        raise ValueError(f"this player needs an interface with {', '.join(missing)}")

    def play(observation: Observation) -> Action:
        field.look(observation)
        action = field.keep()
        for game in range(len(action["function"])):
            plan(Base(field, observation, action, game, MAPS[scenario].loops))
        return action

    return play


def mine_and_expand(interface: Interface) -> Player:
    """Workers without a pause, a second command center between the two mineral lines, then refineries."""

    def plan(now: Base) -> None:
        bases = len(now.finished("CommandCenter"))
        if now.left >= 1100:
            _expand(now, bases)
        now.fill_refineries()
        now.harvest(SECOND_BASE if bases > 1 and now.workers > 18 else COMMAND_CENTER)

    functions = ("Harvest_Gather_unit", "Train_SCV_quick", "Build_CommandCenter_pt", "Build_Refinery_pt")
    return _player("CollectMineralsAndGas", interface, functions, plan)


def _expand(now: Base, bases: int) -> None:
    if len(now.rows("CommandCenter")) < 2 and now.workers >= 14:
        if now.builders() <= 0:
            now.build("CommandCenter", (SECOND_BASE,))
        if now.minerals < COSTS["CommandCenter"] + COSTS["SCV"] and now.workers >= 15:
            return
    now.train("SCV", "CommandCenter", (44 if bases > 1 else 22) - now.workers)
    now.depot(3, GAS_DEPOTS)
    if len(now.rows("Refinery")) < bases * 2 and now.builders() <= 0 and now.left > 2000 and now.workers >= 19:
        geysers = [(float(now.x[i]), float(now.y[i])) for i in now.rows("VespeneGeyser")]
        now.build("Refinery", sorted(geysers)[:1])


def build_marines(interface: Interface) -> Player:
    """Workers first, barracks as minerals allow, depots in time, marines without a pause."""

    def plan(now: Base) -> None:
        barracks = now.finished("Barracks")
        if now.left > 900:
            now.depot(3 + 2 * len(barracks), DEPOTS)
        now.train("Marine", "Barracks", 200, 2)
        if now.left > 4000:
            now.train("SCV", "CommandCenter", 24 - now.workers)
        want = 6 if now.workers >= 16 else 1
        if now.left > 2500 and len(now.rows("Barracks")) < want and now.finished("SupplyDepot") and now.builders() <= 0:
            now.build("Barracks", BARRACKS)
        now.harvest(COMMAND_CENTER)

    functions = ("Harvest_Gather_unit", "Build_Barracks_pt", "Build_SupplyDepot_pt", "Train_Marine_quick")
    return _player("BuildMarines", interface, functions, plan)
