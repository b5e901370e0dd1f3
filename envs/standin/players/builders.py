"""Hand-written players for the maps with an economy: a list of wants, the first that can be met is worked on.

They work in world coordinates, which a camera that stays where it is makes plain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from envs.standin.players.sight import KINDS, Action, Observation, Player, Sight
from envs.standin.scenarios.head_start import BARRACKS_SITES as BARRACKS
from envs.standin.scenarios.head_start import DEPOT_SITES, SECOND_BASE
from envs.starcraft.interface import BELOW_CENTER, CAMERA_WIDTH, MAP_SIZE, Interface
from envs.starcraft.layouts.archive import COMMAND_CENTER
from envs.starcraft.maps import MAPS

Point = tuple[float, float]

_LEFT, _BOTTOM, _RIGHT, _TOP = MAPS["BuildMarines"].written.places[0]
_CAMERA: Point = ((_LEFT + _RIGHT) / 2, (_BOTTOM + _TOP) / 2 - BELOW_CENTER)
"""Where it is on the mini-games' maps."""

DEPOTS, GAS_DEPOTS = (DEPOT_SITES[name] for name in ("BuildMarines", "CollectMineralsAndGas"))


class _Game:
    """One game's observation, in words."""

    def __init__(self, see: Sight, observation: Observation, game: int) -> None:
        self.see, self.game = see, game
        rows = observation["units"]["features"][game][observation["units"]["mask"][game] > 0]
        self.units = {name: rows[:, k] for name, k in see.column.items()}
        numbers = observation["player"][game]
        self.numbers = dict(zip(see.interface.numbers, (float(v) for v in numbers), strict=True))
        self.available = observation["action_mask"]["function"][game]
        self.minimap = observation["minimap"][game] if "minimap" in observation else None
        x, y = _CAMERA
        if "camera_x" in self.numbers:
            x, y = MAP_SIZE * self.numbers["camera_x"], MAP_SIZE * (1 - self.numbers["camera_y"])
        self.left, self.top = x - CAMERA_WIDTH / 2, y + CAMERA_WIDTH / 2
        """The upper left corner of the screen, in world coordinates."""

    def rows(self, kind: str) -> list[int]:
        """Rows of the player's units, or of resources, of a kind."""
        theirs = self.units["alliance"] == 4
        return [int(i) for i in np.flatnonzero((self.units["unit_type"] == KINDS[kind]) & ~theirs)]

    def place(self, row: int) -> Point:
        """Where a unit is, in world coordinates."""
        x, y = float(self.units["x"][row]), float(self.units["y"][row])
        return self.left + x * CAMERA_WIDTH, self.top - y * CAMERA_WIDTH

    def selected(self, kind: str) -> bool:
        """Are only units of that kind selected?"""
        chosen = self.units["selected"] > 0
        return bool(chosen.any() and (self.units["unit_type"][chosen] == KINDS[kind]).all())

    def can(self, function: str) -> bool:
        """Is the function available?"""
        return bool(self.available[self.see.function[function]])

    def finished(self, kind: str) -> list[int]:
        """Rows of finished buildings of a kind."""
        return [i for i in self.rows(kind) if self.units["build_progress"][i] >= 1]


class _Hand:
    """Writes one game's action."""

    def __init__(self, now: _Game, action: Action) -> None:
        self.now, self.see, self.action, self.game = now, now.see, action, now.game

    def call(self, function: str, at: Point | None = None, **arguments: int) -> bool:
        """Choose a function, at a place in world coordinates."""
        self.action["function"][self.game] = self.see.function[function]
        if at is not None:
            x, y = (at[0] - self.now.left) / CAMERA_WIDTH, (self.now.top - at[1]) / CAMERA_WIDTH
            self.action["screen"][self.game] = self.see.cell(x, y)
        for name, value in arguments.items():
            self.action[name][self.game] = value
        return True


def _patch(now: _Game, near: Point) -> Point | None:
    """The place of the mineral field nearest to a point."""
    places = [now.place(i) for i in now.rows("MineralField")]
    return min(places, key=lambda p: (p[0] - near[0]) ** 2 + (p[1] - near[1]) ** 2) if places else None


def idle_to_work(now: _Game, hand: _Hand, to: Point = COMMAND_CENTER) -> bool:
    """Idle workers harvest minerals."""
    if now.numbers["idle_worker_count"] < 1:
        return False
    patch = _patch(now, to)
    if patch is None:
        return False
    workers = [i for i in now.rows("SCV") if now.units["selected"][i]]
    if now.selected("SCV") and workers and all(now.units["order"][i] == 0 for i in workers):
        return hand.call("Harvest_Gather_screen", patch)
    return hand.call("select_idle_worker", select_worker=2)


def train_worker(now: _Game, hand: _Hand, most: int) -> bool:
    """Keep every command center at work until there are enough workers."""
    if now.numbers["minerals"] < 50 or now.numbers["food_workers"] >= most:
        return False
    if now.numbers["food_cap"] <= now.numbers["food_used"]:
        return False
    free = [i for i in now.finished("CommandCenter") if now.units["queue"][i] < 1]
    if not free:
        return False
    if now.units["selected"][free[0]] and now.selected("CommandCenter") and now.can("Train_SCV_quick"):
        return hand.call("Train_SCV_quick")
    return hand.call("select_point", now.place(free[0]))


def build(now: _Game, hand: _Hand, kind: str, function: str, cost: float, places: Sequence[Point]) -> bool:
    """A worker builds at the first of the places where nothing stands."""
    if now.numbers["minerals"] < cost:
        return False
    standing = [now.place(i) for i in now.rows(kind)]
    free = [p for p in places if all(abs(p[0] - q[0]) + abs(p[1] - q[1]) > 0.7 for q in standing)]
    if not free:
        return False
    chosen = np.flatnonzero(now.units["selected"] > 0)
    ready = now.selected("SCV") and len(chosen) == 1 and now.units["order"][chosen[0]] != 7
    if ready and now.can(function):
        return hand.call(function, free[0])
    workers = [i for i in now.rows("SCV") if now.units["carrying"][i] == 0 and now.units["order"][i] in (0, 5)]
    if not workers:
        return False
    nearest = min(workers, key=lambda i: np.hypot(*np.subtract(now.place(i), free[0])))
    return hand.call("select_point", now.place(nearest))


def under_way(now: _Game, kind: str) -> int:
    """Buildings of a kind that are being built."""
    return len(now.rows(kind)) - len(now.finished(kind))


def builders_walking(now: _Game) -> bool:
    """Is a worker on its way to, or at, a building place?"""
    building = sum(under_way(now, kind) for kind in ("SupplyDepot", "Barracks", "Refinery", "CommandCenter"))
    return int((now.units["order"][now.units["unit_type"] == KINDS["SCV"]] == 7).sum()) > building


def depot(now: _Game, hand: _Hand, spare: float, places: Sequence[Point]) -> bool:
    """A supply depot before supply runs out."""
    coming = 8 * under_way(now, "SupplyDepot")
    if now.numbers["food_cap"] + coming - now.numbers["food_used"] > spare or builders_walking(now):
        return False
    return build(now, hand, "SupplyDepot", "Build_SupplyDepot_screen", 100, places)


def fill_refineries(now: _Game, hand: _Hand, memory: dict[str, Any]) -> bool:
    """Three workers into each refinery: send some that harvest minerals."""
    for i in now.finished("Refinery"):
        if now.units["assigned_harvesters"][i] >= 3:
            continue
        chosen = [k for k in now.rows("SCV") if now.units["selected"][k]]
        if memory.get("sending") and len(chosen) == 1:
            memory["sending"] = False
            return hand.call("Harvest_Gather_screen", now.place(i))
        workers = [k for k in now.rows("SCV") if now.units["carrying"][k] == 0 and now.units["order"][k] == 5]
        at = now.place(i)
        workers = [k for k in workers if np.hypot(*np.subtract(now.place(k), at)) > 3]
        if workers:
            memory["sending"] = True
            nearest = min(workers, key=lambda k: np.hypot(*np.subtract(now.place(k), at)))
            return hand.call("select_point", now.place(nearest))
    return False


def _player(interface: Interface, functions: tuple[str, ...], plan: Any) -> Player:
    columns = ("unit_type", "alliance", "x", "y", "selected", "order", "carrying", "build_progress", "queue")
    see = Sight(interface, ("select_point", "select_idle_worker", *functions), columns)
    memory: dict[int, dict[str, Any]] = {}

    def play(observation: Observation) -> Action:
        action = see.nothing(len(observation["units"]["mask"]))
        for i in range(len(action["function"])):
            now = _Game(see, observation, i)
            if now.numbers["game_loop"] == 0:
                memory[i] = {}
            plan(now, _Hand(now, action), memory.setdefault(i, {}))
        return action

    return play


def mine(interface: Interface) -> Player:
    """Workers to the minerals, a second command center as soon as it can be paid for, and workers until supply is used
    up (what the hand-written agents do whose scores on StarCraft II are published)."""

    def plan(now: _Game, hand: _Hand, memory: dict[str, Any]) -> bool:
        ready = len(now.rows("CommandCenter")) < 2 and not builders_walking(now)
        if ready and build(now, hand, "CommandCenter", "Build_CommandCenter_screen", 400, (SECOND_BASE,)):
            return True
        return idle_to_work(now, hand) or train_worker(now, hand, 200)

    functions = ("Harvest_Gather_screen", "Train_SCV_quick", "Build_CommandCenter_screen")
    return _player(interface, functions, plan)


def mine_and_expand(interface: Interface) -> Player:
    """Workers without a pause, refineries, and a second command center between the two mineral lines."""

    def plan(now: _Game, hand: _Hand, memory: dict[str, Any]) -> bool:
        bases, loop = len(now.finished("CommandCenter")), now.numbers["game_loop"]
        side = SECOND_BASE if bases > 1 and now.numbers["food_workers"] > 18 else COMMAND_CENTER
        late = loop > 5000
        if idle_to_work(now, hand, side) or (not late and train_worker(now, hand, 44 if bases > 1 else 22)):
            return True
        if late:
            return False
        if len(now.rows("CommandCenter")) < 2 and now.numbers["food_workers"] >= 16 and not builders_walking(now):
            return build(now, hand, "CommandCenter", "Build_CommandCenter_screen", 400, (SECOND_BASE,))
        if depot(now, hand, 3, GAS_DEPOTS):
            return True
        geysers = [now.place(i) for i in now.rows("VespeneGeyser")]
        if len(now.rows("Refinery")) < bases * 2 and geysers and not builders_walking(now) and loop < 4500:
            near = sorted(geysers, key=lambda p: p[0])
            if now.numbers["food_workers"] >= 16 and build(
                now, hand, "Refinery", "Build_Refinery_screen", 75, near[:1]
            ):
                return True
        return fill_refineries(now, hand, memory)

    functions = ("Harvest_Gather_screen", "Train_SCV_quick", "Build_CommandCenter_screen", "Build_Refinery_screen")
    return _player(interface, functions, plan)


def barracks_first(interface: Interface) -> Player:
    """Seven barracks, then marines; twenty workers; a depot each time that supply is used up (what the hand-written
    agents do whose scores on StarCraft II are published)."""

    def plan(now: _Game, hand: _Hand, memory: dict[str, Any]) -> bool:
        blocked = now.numbers["food_used"] >= now.numbers["food_cap"]
        if idle_to_work(now, hand):
            return True
        if blocked and build(now, hand, "SupplyDepot", "Build_SupplyDepot_screen", 100, DEPOTS):
            return True
        barracks = now.rows("Barracks")
        if len(barracks) >= 7:
            return train_marines(now, hand, 5) or train_worker(now, hand, 20)
        ready = now.finished("SupplyDepot") and not builders_walking(now)
        if ready and build(now, hand, "Barracks", "Build_Barracks_screen", 150, BARRACKS):
            return True
        return train_worker(now, hand, 20)

    return _player(interface, ("Harvest_Gather_screen", "Build_Barracks_screen", "Train_Marine_quick"), plan)


def train_marines(now: _Game, hand: _Hand, most: int) -> bool:
    """Another marine, where fewer than ``most`` are in production."""
    barracks = now.finished("Barracks")
    if not any(now.units["queue"][i] < most for i in barracks) or now.numbers["minerals"] < 50:
        return False
    all_selected = now.selected("Barracks") and (now.units["selected"] > 0).sum() == len(now.rows("Barracks"))
    if all_selected and now.can("Train_Marine_quick"):
        return hand.call("Train_Marine_quick")
    return hand.call("select_point", now.place(barracks[0]), select_point_act=2)


def build_marines(interface: Interface) -> Player:
    """Sixteen workers, barracks as minerals allow, depots in time, marines without a pause."""

    def plan(now: _Game, hand: _Hand, memory: dict[str, Any]) -> bool:
        barracks = now.finished("Barracks")
        left = 14400 - now.numbers["game_loop"]
        if idle_to_work(now, hand) or (left > 4000 and train_worker(now, hand, 22)):
            return True
        if left > 900 and depot(now, hand, 3 + 2 * len(barracks), DEPOTS):
            return True
        want = 6 if now.numbers["food_workers"] >= 16 else 1
        if left > 2500 and len(now.rows("Barracks")) < want and now.finished("SupplyDepot"):
            rich = now.numbers["minerals"] >= 150
            if rich and not builders_walking(now):
                return build(now, hand, "Barracks", "Build_Barracks_screen", 150, BARRACKS)
        return train_marines(now, hand, 2)

    return _player(interface, ("Harvest_Gather_screen", "Build_Barracks_screen", "Train_Marine_quick"), plan)


def attack(interface: Interface) -> Player:
    """The melee: marines from four barracks; twelve of them, and all that follow, attack."""
    width, height = interface.minimap_size
    enemy_plane = interface.minimap_planes.index("player_relative")

    def target(now: _Game, base: Point, turn: int) -> int:
        """The minimap's cell to attack: where an enemy shows, or else in turn places in and around the other base."""
        assert now.minimap is not None
        seen = np.flatnonzero(now.minimap[..., enemy_plane] == 4)
        if len(seen):
            return int(seen[turn % len(seen)])
        around = ((0, 0), (-8, -8), (-12, 0), (0, -12), (-14, -14), (4, -4), (-4, 4))[turn % 7]
        side = 1 if base[0] < MAP_SIZE / 2 else -1
        x, y = (MAP_SIZE - base[0] + side * around[0]) / MAP_SIZE, (base[1] - side * around[1]) / MAP_SIZE
        return int(y * height) * width + int(x * width)

    def plan(now: _Game, hand: _Hand, memory: dict[str, Any]) -> bool:
        loop = now.numbers["game_loop"]
        base = memory.setdefault("base", (now.left + CAMERA_WIDTH / 2, now.top - CAMERA_WIDTH / 2))
        inward = 1 if base[0] < MAP_SIZE / 2 else -1
        if now.numbers["army_count"] >= 12 and loop >= memory.get("attack", 0):
            if now.selected("Marine") or memory.get("called"):
                turn = memory["turn"] = memory.get("turn", -1) + 1
                memory["attack"], memory["called"] = loop + 320, False
                if now.can("Attack_minimap"):
                    return hand.call("Attack_minimap", minimap=target(now, base, turn))
                return False
            memory["called"] = True
            return hand.call("select_army")
        if idle_to_work(now, hand, base) or train_worker(now, hand, 20):
            return True
        barracks = now.finished("Barracks")
        depots = [(base[0] + inward * dx, base[1] + inward * dy) for dy in (7.5, 9.5) for dx in np.arange(-3.5, 11, 2)]
        if depot(now, hand, 3 + 2 * len(barracks), depots):
            return True
        sites = [(base[0] + inward * 8, base[1] + inward * dy) for dy in (4, 0, -4, -8)]
        want = 4 if now.numbers["food_workers"] >= 15 else 1
        more = len(now.rows("Barracks")) < want and now.finished("SupplyDepot") and not builders_walking(now)
        if more and build(now, hand, "Barracks", "Build_Barracks_screen", 150, sites):
            return True
        free = [i for i in barracks if now.units["queue"][i] < 2]
        if not free or now.numbers["minerals"] < 50:
            return False
        if now.selected("Barracks") and now.can("Train_Marine_quick"):
            return hand.call("Train_Marine_quick")
        return hand.call("select_point", now.place(free[0]), select_point_act=2)

    functions = (
        "Harvest_Gather_screen",
        "Build_Barracks_screen",
        "Train_Marine_quick",
        "select_army",
        "Attack_minimap",
    )
    return _player(interface, functions, plan)
