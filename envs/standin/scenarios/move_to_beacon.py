"""MoveToBeacon: a point each time the marine comes within reach of the beacon, which then jumps elsewhere.

Rules: ``MoveToBeacon.SC2Map/MapScript.galaxy``; places: ``Regions`` in the same archive.
"""

from __future__ import annotations

from typing import Any

from envs.standin.rules.catalog import BEACON, MARINE
from envs.standin.rules.compiled import rule
from envs.standin.rules.world import NEUTRAL, OWN, distance, spawn, uniform

APART = 5.0
"""The beacon is drawn again while it is nearer to the marine than this."""


@rule
def place_beacon(g: Any, us: Any, places: Any) -> None:
    """Draw the beacon's place: in the spawn rectangle (1), not in the disc at its center (2), not near the marine."""
    while True:
        x, y = uniform(g, places[1, 0], places[1, 2]), uniform(g, places[1, 1], places[1, 3])
        outside = distance(x, y, places[2, 0], places[2, 1]) >= places[2, 2]
        if outside and distance(x, y, us[0].x, us[0].y) >= APART:
            us[1].x = x
            us[1].y = y
            return


@rule
def start(g: Any, us: Any, ts: Any, places: Any) -> None:
    """One marine anywhere, unselected, and a beacon."""
    spawn(g, us, ts, MARINE, OWN, uniform(g, g.left, g.right), uniform(g, g.bottom, g.top_y))
    spawn(g, us, ts, BEACON, NEUTRAL, 0.0, 0.0)
    place_beacon(g, us, places)


@rule
def after_loop(g: Any, us: Any, places: Any) -> None:
    """The map's trigger, run every loop: is the marine's center in the region around the beacon (radius ``[3, 0]``)?"""
    if distance(us[0].x, us[0].y, us[1].x, us[1].y) <= places[3, 0]:
        g.score += 1.0
        place_beacon(g, us, places)
