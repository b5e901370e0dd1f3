"""CollectMineralShards: two marines, twenty shards, a point each; when all are gone, twenty more.

Rules: ``CollectMineralShards.SC2Map/MapScript.galaxy``. A shard gives its minerals by an ability of its own with a
range of 1 (``PickupMinerals100`` in the Liberty campaign's data). Whether radii add to that range is not settled by any
source at hand: here a marine picks up a shard that its edge comes within 1 of, centers 1.375 apart.
"""

from __future__ import annotations

from typing import Any

from envs.standin.rules.catalog import MARINE, SHARD
from envs.standin.rules.compiled import rule
from envs.standin.rules.world import NEUTRAL, OWN, distance, remove, spawn, uniform

SHARDS = 20
APART = 2.0
"""No shard appears nearer to a marine than this."""

PICKUP = 1.0 + 0.375


@rule
def place_shards(g: Any, us: Any, ts: Any, places: Any) -> None:
    """Twenty shards, uniform in the mineral area (rectangle 1), not near a marine."""
    n = 0
    while n < SHARDS:
        x, y = uniform(g, places[1, 0], places[1, 2]), uniform(g, places[1, 1], places[1, 3])
        near = False
        for i in range(2):
            if distance(x, y, us[i].x, us[i].y) < APART:
                near = True
        if not near:
            spawn(g, us, ts, SHARD, NEUTRAL, x, y)
            n += 1


@rule
def start(g: Any, us: Any, ts: Any, places: Any) -> None:
    """Two marines anywhere, unselected, and the first shards."""
    for _ in range(2):
        spawn(g, us, ts, MARINE, OWN, uniform(g, g.left, g.right), uniform(g, g.bottom, g.top_y))
    place_shards(g, us, ts, places)


@rule
def after_loop(g: Any, us: Any, ts: Any, places: Any) -> None:
    """Shards in reach of a marine are picked up."""
    left = 0
    for k in range(2, g.top):
        shard = us[k]
        if shard.kind != SHARD:
            continue
        taken = False
        for i in range(2):
            dx, dy = us[i].x - shard.x, us[i].y - shard.y
            if dx * dx + dy * dy <= PICKUP * PICKUP:
                taken = True
        if taken:
            remove(g, us, k)
            g.minerals += 100
            g.score += 1.0
        else:
            left += 1
    if left == 0:
        place_shards(g, us, ts, places)
