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
from envs.standin.rules.catalog import BARRACKS, COMMAND_CENTER, SCV, SUPPLY_DEPOT
from envs.standin.rules.world import OWN

Point = tuple[float, float]

MOST_MINERALS = 1000
MOST_DEPOTS, MOST_BARRACKS, MOST_SCVS = 6, 5, 8

BARRACKS_SITES: tuple[Point, ...] = (
    (36.5, 32.5), (36.5, 28.5), (36.5, 24.5), (36.5, 20.5), (32.5, 21.5), (32.5, 34.5), (28.5, 34.5),
)  # fmt: skip
DEPOT_SITES: dict[str, tuple[Point, ...]] = {
    "BuildMarines": tuple((x, y) for x in (44.0, 42.0, 40.0) for y in np.arange(20.0, 36.0, 2.0)),
    "CollectMineralsAndGas": tuple((float(x), y) for y in (20.0, 35.0) for x in range(29, 38, 2)),
}
SECOND_BASE: Point = (34.5, 27.5)


def furnish(
    name: str, share: float, games: npt.NDArray[Any], units: npt.NDArray[Any], types: npt.NDArray[Any], which: Any
) -> None:
    """Let ``share`` of the games ``which`` of the map ``name``, which have just begun, begin with more than they do.

    What it is follows from a game's seed and episode.
    """
    for k in np.asarray(which).tolist():
        random = np.random.default_rng([int(games["seed"][k]), int(games["episode"][k]), 1])
        if random.random() < share:
            games["minerals"][k] = 50 * random.integers(1, MOST_MINERALS // 50 + 1)
            for kind, place in _drawn(name, random):
                game.create(games[k : k + 1], units[k : k + 1], types, kind, OWN, *place)


def _drawn(name: str, random: np.random.Generator) -> Iterator[tuple[int, Point]]:
    """Kinds and places of what a game begins with."""
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
