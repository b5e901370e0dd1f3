"""MoveToBeacon: a point each time the marine comes within reach of the beacon, which then jumps elsewhere.

Rules: ``MoveToBeacon.SC2Map/MapScript.galaxy``; places: ``Regions`` in the same archive.
"""

from __future__ import annotations

from typing import Any

from envs.standin.catalog import BEACON, MARINE
from envs.standin.compiled import rule
from envs.standin.world import NEUTRAL, OWN, distance, spawn, uniform

REACH = 1.25
"""Radius of the region around the beacon that the marine's center must enter (``Regions``, id 2)."""

APART = 5.0
"""The beacon is drawn again while it is nearer to the marine than this."""


@rule
def place_beacon(g: Any, us: Any) -> None:
    """Draw the beacon's place: in the spawn rectangle, not in the disc at its center, not near the marine."""
    while True:
        x, y = uniform(g, 23.5, 42.5), uniform(g, 21.5, 34.5)
        if distance(x, y, 33.0, 28.0) >= 4.0 and distance(x, y, us[0].x, us[0].y) >= APART:
            us[1].x = x
            us[1].y = y
            return


@rule
def start(g: Any, us: Any, ts: Any) -> None:
    """One marine anywhere, unselected, and a beacon."""
    spawn(g, us, ts, MARINE, OWN, uniform(g, g.left, g.right), uniform(g, g.bottom, g.top_y))
    spawn(g, us, ts, BEACON, NEUTRAL, 33.0, 28.0)
    place_beacon(g, us)


@rule
def after_loop(g: Any, us: Any) -> None:
    """The map's trigger, run every game loop."""
    if distance(us[0].x, us[0].y, us[1].x, us[1].y) <= REACH:
        g.score += 1.0
        place_beacon(g, us)
