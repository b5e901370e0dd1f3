"""Hand-written players for the maps without an economy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.standin.players.sight import Action, Floats, Observation, Player, Sight, pick
from envs.standin.rules.world import QUEUE
from envs.starcraft.interface import CAMERA_WIDTH, MAP_SIZE, Interface, Size

_BASICS = ("unit_type", "alliance", "x", "y", "selected")


def move_to_beacon(interface: Interface) -> Player:
    """Select the marine; from then on go to where the beacon is (the demo mode of the map's script)."""
    see = Sight(interface, ("select_army", "Move_screen"), ("unit_type", "x", "y"))

    def play(observation: Observation) -> Action:
        beacon = see.are(observation, "Beacon_Terran")
        action = see.nothing(len(beacon))
        go = see.can(observation, "Move_screen")
        action["function"] = np.where(go, see.function["Move_screen"], see.function["select_army"])
        target = see.cell(pick(beacon, see.units(observation, "x")), pick(beacon, see.units(observation, "y")))
        action["screen"] = np.where(go, target, 0)
        return action

    return play


def shards_together(interface: Interface) -> Player:
    """Both marines, always, to the shard nearest to the middle between them."""
    see = Sight(interface, ("select_army", "Move_screen"), _BASICS)

    def play(observation: Observation) -> Action:
        shards, marines = see.are(observation, "NaturalMinerals"), see.are(observation, "Marine")
        x, y = see.units(observation, "x"), see.units(observation, "y")
        both = (see.units(observation, "selected") * marines).sum(1) == 2
        cx, cy = (np.where(marines, v, 0).sum(1, keepdims=True) / 2 for v in (x, y))
        away = np.where(shards, (x - cx) ** 2 + (y - cy) ** 2, np.inf)
        nearest = away.argmin(1)
        rows = np.arange(len(x))
        action = see.nothing(len(x))
        action["function"] = np.where(both, see.function["Move_screen"], see.function["select_army"])
        action["screen"] = np.where(both, see.cell(x[rows, nearest], y[rows, nearest]), 0)
        return action

    return play


def shards_apart(interface: Interface) -> Player:
    """The marines walk separate tours: while one follows the places queued up for it, the other is given its own."""
    see = Sight(interface, ("select_point", "Move_screen"), (*_BASICS, "order"))
    if "queued" not in interface.arguments:
        raise ValueError("this player needs an interface with the argument queued")
    memory: dict[int, _Tours] = {}

    def play(observation: Observation) -> Action:
        action = see.nothing(len(observation["units"]["mask"]))
        for i in range(len(action["function"])):
            memory.setdefault(i, _Tours()).choose(see, observation, i, action)
        return action

    return play


def shards_by_command(interface: Interface) -> Player:
    """The same tours for the raw style: whichever marine is to go elsewhere than it goes is commanded there."""
    see = Sight(interface, ("Move_unit",), ("unit_type", "x", "y"))
    scale = MAP_SIZE / CAMERA_WIDTH  # tours are measured in widths of the screen
    memory: dict[int, list[Spot | None]] = {}

    def play(observation: Observation) -> Action:
        xs, ys = see.units(observation, "x") * scale, see.units(observation, "y") * scale
        shards, marines = see.are(observation, "NaturalMinerals"), see.are(observation, "Marine")
        action = see.nothing(len(xs))
        for i in range(len(xs)):
            spots = [(float(xs[i, k]), float(ys[i, k])) for k in range(len(xs[i]))]
            own = [int(k) for k in np.flatnonzero(marines[i])]
            rows = {spots[k]: int(k) for k in np.flatnonzero(shards[i])}
            going = memory.setdefault(i, [None, None])
            for m, tour in enumerate(plan(list(rows), [[spots[k]] for k in own])):
                wanted = tour[0] if tour else None
                if going[m] not in rows:  # it has been picked up: the marine stands
                    going[m] = None
                if wanted is not None and going[m] is None and not action["function"][i]:
                    action["function"][i] = see.function["Move_unit"]
                    if interface.one_unit:
                        action["unit_tags"][i] = own[m]
                    else:
                        action["unit_tags"][i, own[m]] = 1
                    action["target_unit_tag"][i] = rows[wanted]
                    going[m] = wanted
        return action

    return play


SWITCH, ENOUGH = 16.0, 40.0
"""A marine that will be done in fewer loops than this is given more to do, once the other has so much to do."""

ON_THE_WAY = 1.2 / CAMERA_WIDTH
"""A shard this near to a marine's way is picked up as it passes."""
REACH = 1.05 / CAMERA_WIDTH
"""How far from a shard a marine is sent: clicks are as coarse as the screen's cells."""

_LOOPS = CAMERA_WIDTH / (2.25 / 16)
"""Loops that a marine takes to walk as far as the screen is wide."""

Spot = tuple[float, float]


class _Tours:
    """What one game's two marines have been sent to."""

    def __init__(self) -> None:
        self.sent: list[list[tuple[Spot, Spot]]] = [[], []]
        """For each marine, shards and the places near them that it walks to."""
        self.turn = 0
        self.tries = 0

    def choose(self, see: Sight, observation: Observation, game: int, action: Action) -> None:
        x, y = see.units(observation, "x")[game], see.units(observation, "y")[game]
        marines = np.flatnonzero(see.are(observation, "Marine")[game])
        shards = [(float(x[k]), float(y[k])) for k in np.flatnonzero(see.are(observation, "NaturalMinerals")[game])]
        selected = see.units(observation, "selected")[game][marines] > 0
        at = [(float(x[k]), float(y[k])) for k in marines]
        for m in range(2):
            at_work = see.units(observation, "order")[game][marines[m]] > 0
            self.sent[m] = [(s, aim) for s, aim in self.sent[m] if s in shards and at_work]
        ways = [[at[m], *(aim for _, aim in self.sent[m])] for m in range(2)]
        busy = [_LOOPS * _length(way) for way in ways]
        tours = plan(shards, ways)
        other = 1 - self.turn
        starved = busy[other] < SWITCH and busy[self.turn] >= ENOUGH
        if tours[other] and (starved or not tours[self.turn] or len(self.sent[self.turn]) > QUEUE - 2):
            self.turn, self.tries = other, 0
        if self.tries >= 2:
            # Two marines in one cell: the click takes the other one, again and again. It may as well go.
            self.turn, self.tries = 1 - self.turn, 0
            tours.reverse()
        if not tours[self.turn]:
            return
        me = marines[self.turn]
        if not selected[self.turn] or selected[1 - self.turn]:
            action["function"][game] = see.function["select_point"]
            action["screen"][game] = see.cell(x[me], y[me])
            self.tries += 1
            return
        self.tries = 0
        target, *rest = tours[self.turn]
        aim = _near(target, ways[self.turn][-1], rest[0] if rest else ways[self.turn][-1])
        if math.dist(aim, ways[self.turn][-1]) < 0.7 / CAMERA_WIDTH:
            aim = target  # a click on the marine itself would not move it
        action["function"][game] = see.function["Move_screen"]
        action["screen"][game] = see.cell(*aim)
        action["queued"][game] = int(bool(self.sent[self.turn]))
        self.sent[self.turn].append((target, aim))


def _length(way: list[Spot]) -> float:
    return sum(math.dist(a, b) for a, b in itertools.pairwise(way))


def _on_way(spot: Spot, a: Spot, b: Spot) -> Spot:
    """The place on the straight way from a to b that is nearest to a spot."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    along = ((spot[0] - a[0]) * dx + (spot[1] - a[1]) * dy) / max(dx * dx + dy * dy, 1e-12)
    along = min(max(along, 0.0), 1.0)
    return a[0] + along * dx, a[1] + along * dy


def _from_way(spot: Spot, a: Spot, b: Spot) -> float:
    return math.dist(spot, _on_way(spot, a, b))


def _near(spot: Spot, before: Spot, after: Spot) -> Spot:
    """The place that a spot can be reached from with the least detour from the way from before it to after it."""
    x, y = _on_way(spot, before, after)
    part = min(1.0, REACH / max(math.dist(spot, (x, y)), 1e-9))
    return spot[0] + part * (x - spot[0]), spot[1] + part * (y - spot[1])


def _passed(spot: Spot, way: list[Spot]) -> bool:
    return any(_from_way(spot, a, b) < ON_THE_WAY for a, b in itertools.pairwise(way))


def plan(shards: list[Spot], ways: list[list[Spot]]) -> list[list[Spot]]:
    """Tours of the shards that nobody walks past yet: greedy ones, the nearest shard always to whoever has walked
    least, then shortened by turning parts around (2-opt), less what lies on the way."""
    left = [s for s in shards if not any(_passed(s, way) for way in ways)]
    walked = [_length(way) for way in ways]
    at = [way[-1] for way in ways]
    tours: list[list[Spot]] = [[], []]
    while left:
        m = int(walked[1] < walked[0])
        nearest = min(left, key=lambda s: math.dist(s, at[m]))
        walked[m] += math.dist(nearest, at[m])
        at[m] = nearest
        tours[m].append(nearest)
        left.remove(nearest)
    return [_skip(ways[m][-1], _untangle(ways[m][-1], tours[m])) for m in range(2)]


def all_on_the_way(shards: Iterable[Spot], ways: list[list[Spot]], tours: list[list[Spot]]) -> bool:
    """Whether whoever walks these tours comes by every shard."""
    walks = [[way[-1], *tour] for way, tour in zip(ways, tours, strict=False)]
    return all(any(shard in walk or _passed(shard, walk) for walk in walks) for shard in shards)


def longest(ways: list[list[Spot]], tours: list[list[Spot]]) -> float:
    """How far the marine that has most to walk has to."""
    return max((_length([way[-1], *tour]) for way, tour in zip(ways, tours, strict=False)), default=0.0)


def _untangle(start: Spot, tour: list[Spot]) -> list[Spot]:
    """2-opt of an open way: turn a part around as long as that shortens it."""
    way = [start, *tour]
    better = True
    while better:
        better = False
        for i, j in itertools.combinations(range(1, len(way)), 2):
            turned = way[:i] + way[i : j + 1][::-1] + way[j + 1 :]
            if _length(turned) < _length(way) - 1e-9:
                way, better = turned, True
    return way[1:]


def _skip(start: Spot, tour: list[Spot]) -> list[Spot]:
    """The tour without the shards that lie on the way from one before them to one after them."""
    kept: list[Spot] = []
    for k, spot in enumerate(tour):
        before = kept[-1] if kept else start
        if k + 1 == len(tour) or _from_way(spot, before, tour[k + 1]) >= ON_THE_WAY:
            kept.append(spot)
    return kept


def focus_fire(interface: Interface, first: str | None = None) -> Player:
    """All marines attack one enemy: of the near ones of the kind ``first``, else of all, the weakest, then the nearest
    (for DefeatRoaches the demo mode of the map's script)."""
    see = Sight(interface, ("select_army", "Attack_screen"), (*_BASICS, "health_ratio"))

    def play(observation: Observation) -> Action:
        x, y, enemy, cx, cy = _front(see, observation)
        away = (x - cx) ** 2 + (y - cy) ** 2
        health = see.units(observation, "health_ratio")
        worth = np.where(enemy, np.round(health, 2) * 10 + away, np.inf)
        if first is not None:
            worth -= np.where(see.are(observation, first) & (away < 0.09), 100, 0)
        return _attack(see, observation, x, y, enemy, worth.argmin(1))

    return play


def _front(see: Sight, observation: Observation) -> tuple[Floats, Floats, npt.NDArray[np.bool_], Floats, Floats]:
    """Places of all units, which are enemies, and the middle of the marines."""
    x, y = see.units(observation, "x"), see.units(observation, "y")
    enemy = (see.units(observation, "alliance") == 4) & (observation["units"]["mask"] > 0)
    own = see.are(observation, "Marine")
    n = np.maximum(own.sum(1, keepdims=True), 1)
    return x, y, enemy, np.where(own, x, 0).sum(1, keepdims=True) / n, np.where(own, y, 0).sum(1, keepdims=True) / n


def _attack(
    see: Sight, observation: Observation, x: Floats, y: Floats, enemy: npt.NDArray[np.bool_], target: npt.NDArray[Any]
) -> Action:
    rows = np.arange(len(x))
    own = see.are(observation, "Marine")
    all_selected = (see.units(observation, "selected") * own).sum(1) == own.sum(1)
    action = see.nothing(len(x))
    go = all_selected & see.can(observation, "Attack_screen") & enemy.any(1)
    action["function"] = np.where(
        go, see.function["Attack_screen"], np.where(all_selected, 0, see.function["select_army"])
    )
    action["screen"] = np.where(go, see.cell(x[rows, target], y[rows, target]), 0)
    return action


def bait(interface: Interface) -> Player:
    """One marine walks into the enemy, and the banelings burst on it; the others shoot what is left."""
    see = Sight(interface, ("select_army", "select_point", "Attack_screen", "Move_screen"), (*_BASICS, "health_ratio"))
    fire = focus_fire(interface, "Baneling")

    def play(observation: Observation) -> Action:
        x, y, enemy, cx, _ = _front(see, observation)
        own, banelings = see.are(observation, "Marine"), see.are(observation, "Baneling")
        action = fire(observation)
        ex = np.where(enemy, x, 0).sum(1) / np.maximum(enemy.sum(1), 1)
        gap = np.abs(np.where(own[:, :, None] & enemy[:, None, :], x[:, :, None] - x[:, None, :], 9)).min((1, 2))
        lone = (see.units(observation, "selected") * own).sum(1) == 1
        sending = (banelings.sum(1) >= 2) & (own.sum(1) >= 4) & (gap > 0.12)
        # The marine at the end of the column nearest to the enemy is the one that goes.
        front = np.where(own, np.abs(x - ex[:, None]) - np.abs(y - cx * 0 - 0.3) * 0.1, np.inf).argmin(1)
        rows = np.arange(len(x))
        running = (banelings.sum(1) >= 2) & lone
        target = np.where(banelings, np.abs(x - cx), np.inf).argmin(1)
        send = running & see.can(observation, "Move_screen")
        pick_one = sending & ~lone
        action["function"] = np.where(pick_one, see.function["select_point"], action["function"])
        action["function"] = np.where(send, see.function["Move_screen"], action["function"])
        action["screen"] = np.where(pick_one, see.cell(x[rows, front], y[rows, front]), action["screen"])
        action["screen"] = np.where(send, see.cell(x[rows, target], y[rows, target]), action["screen"])
        return action

    return play


ROUTE = np.array([(18, 37), (32, 37), (46, 37), (46, 27), (46, 19), (32, 19), (18, 19), (18, 28)], float)
"""Where to look for zerglings, in world units: the centers of the script's own exploration regions."""


def search_and_attack(interface: Interface) -> Player:
    """Attack what shows on the minimap; where nothing does, walk the route, attacking what is met."""
    size = interface.minimap_size
    turns: dict[int, int] = {}

    def where(game: int, middle: Floats | None) -> tuple[int, int]:
        if middle is None:
            turns[game] = 0
            return 0, 0
        column, row = _minimap(ROUTE[turns.setdefault(game, 0) % 8], size)
        if abs(row - middle[0]) + abs(column - middle[1]) < min(size) / 16:
            turns[game] += 1
        return row, column

    return _searching(interface, where)


ROUND = np.array(
    [(x, 41) for x in range(13, 51, 4)]
    + [(51, y) for y in range(41, 15, -4)]
    + [(x, 15) for x in range(51, 13, -4)]
    + [(13, y) for y in range(15, 41, 4)],
    float,
)
"""The edge of what can be walked on, clockwise, in world units."""
AHEAD = 3


def go_round(interface: Interface) -> Player:
    """Attack what shows on the minimap; where nothing does, go round the edge of the map. Where to follows from where
    the marines are: there is nothing to remember."""
    places = np.array([_minimap(place, interface.minimap_size)[::-1] for place in ROUND])

    def where(game: int, middle: Floats | None) -> tuple[int, int]:
        if middle is None:
            return 0, 0
        nearest = ((places - middle) ** 2).sum(1).argmin()
        row, column = places[(nearest + AHEAD) % len(places)]
        return int(row), int(column)

    return _searching(interface, where)


def _searching(interface: Interface, where: Callable[[int, Floats | None], tuple[int, int]]) -> Player:
    """Attack what shows on the minimap, and else ``where`` says, of a game and the marines' middle (row, column); None:
    they are not selected yet."""
    see = Sight(interface, ("select_army", "Attack_minimap"), ("unit_type", "alliance"))
    if "player_relative" not in interface.minimap_planes:
        raise ValueError("this player needs an interface with the minimap plane player_relative")
    plane, size = interface.minimap_planes.index("player_relative"), interface.minimap_size

    def play(observation: Observation) -> Action:
        relative = observation["minimap"][..., plane]
        action = see.nothing(len(relative))
        ready = see.can(observation, "Attack_minimap")
        for i, seen in enumerate(relative):
            if not ready[i]:
                action["function"][i] = see.function["select_army"]
                where(i, None)
                continue
            own = np.argwhere(seen == 1)
            if not len(own):
                continue
            middle = own.mean(0)
            enemies = np.argwhere(seen == 4)
            if len(enemies):
                row, column = enemies[((enemies - middle) ** 2).sum(1).argmin()]
            else:
                row, column = where(i, middle)
            action["function"][i] = see.function["Attack_minimap"]
            action["minimap"][i] = row * size[0] + column
        return action

    return play


def _minimap(place: Floats, size: Size) -> tuple[int, int]:
    return int(place[0] / MAP_SIZE * size[0]), int((1 - place[1] / MAP_SIZE) * size[1])
