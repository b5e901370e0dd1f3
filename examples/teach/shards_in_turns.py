"""CollectMineralShards by clicks: a player of one's own that a policy can learn from, for it needs no memory.

    python -m examples.teach.shards_in_turns --episodes 200 --out demonstrations/shards
    perceiver-rl imitate demonstrations/shards --config collect_mineral_shards_clicks_shown

Both marines cannot be sent to different shards by one click: one is selected and told where to go, then the other. What
each is about follows from what is seen: whom it is nearest to, and how many orders it has (``order_length``).
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

import perceiver_rl
from agents.runs import experiment
from envs.starcraft.maps import interface_for

CONFIG = "collect_mineral_shards_clicks_shown"
ALMOST = 2.5 / 24
"""A marine this near to a shard, in widths of the screen, is told where to go next."""

Spot = tuple[float, float]


class ShardsInTurns:
    """Observations of the experiment's interface to actions, a batch of games at a time."""

    def __init__(self, **options: Any) -> None:
        face = interface_for("CollectMineralShards", **options)
        self.column = {name: i for i, name in enumerate(face.unit_features)}
        self.function = {name: i for i, name in enumerate(face.functions)}
        self.width, self.height = face.screen_size

    def __call__(self, observation: dict[str, Any]) -> dict[str, np.ndarray]:
        """See the class."""
        features, there = observation["units"]["features"], observation["units"]["mask"] > 0
        action = {name: np.zeros(len(there), np.int64) for name in ("function", "screen", "queued")}
        for game in range(len(there)):
            self._choose(features[game][there[game]], action, game)
        return action

    def _choose(self, units: np.ndarray, action: dict[str, np.ndarray], game: int) -> None:
        spots = [(float(x), float(y)) for x, y in units[:, [self.column["x"], self.column["y"]]]]
        own = [int(i) for i in np.flatnonzero(units[:, self.column["alliance"]] == 1)]
        shards = [spots[i] for i in np.flatnonzero(units[:, self.column["alliance"]] == 3)]
        if len(own) != 2 or not shards:
            return
        at = [spots[i] for i in own]
        selected = [bool(units[i, self.column["selected"]]) for i in own]
        orders = [int(units[i, self.column["order_length"]]) for i in own]
        tours = _tours(at, shards)
        left = [0.0 if not n else 9.0 if n > 1 else math.dist(at[m], tours[m][0]) for m, n in enumerate(orders)]
        me = int(selected[1])
        other = 1 - me

        def act(function: str, spot: Spot, queued: bool = False) -> None:
            column, row = (min(int(v * n), n - 1) for v, n in zip(spot, (self.width, self.height), strict=True))
            action["function"][game] = self.function[function]
            action["screen"][game], action["queued"][game] = row * self.width + column, queued

        if selected[0] == selected[1]:
            act("select_point", at[int(left[1] < left[0])])
        elif not orders[me]:
            act("Move_screen", tours[me][0])
        elif not orders[other]:
            act("select_point", at[other])
        elif left[me] < ALMOST and len(tours[me]) > 1:
            act("Move_screen", tours[me][1], queued=True)
        elif left[other] < left[me]:
            act("select_point", at[other])
        elif orders[me] == 1:
            act("Move_screen", tours[me][0])


def _tours(at: list[Spot], shards: list[Spot]) -> list[list[Spot]]:
    """For each marine the shard nearest to it, which is nobody else's, and the one nearest to that."""
    nearest = [_nearest(spot, shards) for spot in at]
    if nearest[0] == nearest[1] and len(shards) > 1:
        further = int(math.dist(at[1], nearest[1]) >= math.dist(at[0], nearest[0]))
        nearest[further] = _nearest(at[further], [s for s in shards if s != nearest[0]])
    tours = []
    left = [s for s in shards if s not in nearest]
    for first in nearest:
        tours.append([first, *([_nearest(first, left)] if left else [])])
        left = [s for s in left if s not in tours[-1]]
    return tours


def _nearest(to: Spot, spots: list[Spot]) -> Spot:
    return min(spots, key=lambda spot: math.dist(to, spot))


def main() -> None:
    """Record episodes of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--out", default="demonstrations/shards")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    options = experiment.read_config(experiment.find_config(CONFIG)).env_options
    env = "sim/CollectMineralShards"
    shown = perceiver_rl.record(ShardsInTurns(**options), env, asked.episodes, asked.out, seed=asked.seed, **options)
    print(f"{len(shown.returns())} episodes, mean return {np.mean(shown.returns()):.1f}, in {asked.out}")


if __name__ == "__main__":
    main()
