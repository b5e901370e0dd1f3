"""Games that begin with some of what is to be built: what comes late in a game is learned before what leads to it.

At the start of BuildMarines nothing that scores is in reach of somebody who tries things out: a depot, a barracks and a
marine follow on one another. Where some games begin later, each step is learned from where its worth shows already, the
last one first (Florensa et al. 2017, arXiv 1707.05300, whose states are found by going backwards; these are drawn).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from envs.standin import game
from envs.standin.rules.catalog import BARRACKS, COMMAND_CENTER, MARINE, SCV, SUPPLY_DEPOT
from envs.standin.rules.world import OWN

Point = tuple[float, float]

MOST_MINERALS = 1000
MOST_DEPOTS, MOST_BARRACKS, MOST_SCVS, MOST_MARINES = 6, 5, 8, 16

BARRACKS_SITES: tuple[Point, ...] = (
    (36.5, 32.5), (36.5, 28.5), (36.5, 24.5), (36.5, 20.5), (32.5, 21.5), (32.5, 34.5), (28.5, 34.5),
)  # fmt: skip
DEPOT_SITES: dict[str, tuple[Point, ...]] = {
    "BuildMarines": tuple((x, y) for x in (44.0, 42.0, 40.0) for y in np.arange(20.0, 36.0, 2.0)),
    "CollectMineralsAndGas": tuple((float(x), y) for y in (20.0, 35.0) for x in range(29, 38, 2)),
}
SECOND_BASE: Point = (34.5, 27.5)
MELEE_MIDDLE = 32.0
MELEE_DEPOTS: tuple[Point, ...] = tuple((x, y) for y in (12.0, 8.0) for x in (-4.0, 0.0, 4.0, 8.0, 12.0, 16.0))
MELEE_BARRACKS: tuple[Point, ...] = tuple((x, y) for x in (8.0, 12.0, 16.0) for y in (4.0, 0.0, -4.0))
"""From a command center in the direction of the other base: a multiple of the cells of any grid that will do."""


def furnish(
    name: str, share: float, games: npt.NDArray[Any], units: npt.NDArray[Any], types: npt.NDArray[Any], which: Any
) -> None:
    """Let ``share`` of the games ``which`` of the map ``name``, which have just begun, begin with more than they do.

    What it is follows from a game's seed and episode; in a melee each side has its own.
    """
    for k in np.asarray(which).tolist():
        random = np.random.default_rng([int(games["seed"][k]), int(games["episode"][k]), 1])
        if random.random() >= share:
            continue
        for center in units[k][units["kind"][k] == COMMAND_CENTER]:
            owner, home = int(center["owner"]), (float(center["x"]), float(center["y"]))
            purse = "minerals" if owner == OWN else "other_minerals"
            games[purse][k] = 50 * random.integers(1, MOST_MINERALS // 50 + 1)
            for kind, place in _drawn(name, random) if name in DEPOT_SITES else _base(home, random):
                game.create(games[k : k + 1], units[k : k + 1], types, kind, owner, *place)


def _drawn(name: str, random: np.random.Generator) -> Iterator[tuple[int, Point]]:
    """Kinds and places of what a mini-game begins with."""
    depots = random.integers(0, MOST_DEPOTS + 1)
    for site in random.permutation(DEPOT_SITES[name])[:depots]:
        yield SUPPLY_DEPOT, tuple(site)
    if name == "BuildMarines":
        for site in random.permutation(BARRACKS_SITES)[: random.integers(0, MOST_BARRACKS + 1) * (depots > 0)]:
            yield BARRACKS, tuple(site)
    elif random.random() < 0.5:
        yield COMMAND_CENTER, SECOND_BASE
    for _ in range(random.integers(0, MOST_SCVS + 1) * (depots > 0)):
        yield SCV, (30.5 + 3 * random.random(), 24.0 + random.random())


def _base(home: Point, random: np.random.Generator) -> Iterator[tuple[int, Point]]:
    """Kinds and places of what a side of a melee begins with."""
    side = 1 if home[0] < MELEE_MIDDLE else -1

    def at(x: float, y: float) -> Point:
        return home[0] + side * x, home[1] + side * y

    depots, workers = int(random.integers(0, MOST_DEPOTS + 1)), int(random.integers(0, MOST_SCVS + 1))
    for site in MELEE_DEPOTS[:depots]:
        yield SUPPLY_DEPOT, at(*site)
    barracks = random.integers(0, MOST_BARRACKS + 1) * (depots > 0)
    for site in MELEE_BARRACKS[:barracks]:
        yield BARRACKS, at(*site)
    for _ in range(workers * (depots > 0)):
        yield SCV, at(4 + random.random(), 3 * random.random())
    room = max(0, min(8 * depots - workers, MOST_MARINES)) if barracks else 0
    for _ in range(random.integers(0, room + 1)):
        yield MARINE, at(9 + 2 * random.random(), 6 + random.random())
