"""Energy, and what an orbital command spends it on: a scan, a MULE, supply dropped on a depot."""

from __future__ import annotations

from typing import Any

from envs.standin.rules.catalog import LOWERED_DEPOT, MULE, SUPPLY_DEPOT
from envs.standin.rules.compiled import rule
from envs.standin.rules.economy import nearest_source, set_source
from envs.standin.rules.world import GATHER, OWN, SCANS, spawn

ENERGY_A_LOOP = 0.5625 / 16
"""``EnergyRegenRate``, a game second."""
COST = 50.0
SCAN_LOOPS = 196
"""12.2775 s (``ExpireDelay``)."""
MULE_LOOPS = 90 * 16
"""How long a MULE works (``MULETimedLife``)."""
EXTRA_SUPPLY = 16
"""Halves of supply that are dropped on a depot, once."""


@rule
def energy_of(g: Any, ts: Any, u: Any) -> float:
    """A unit's energy now."""
    return min(u.energy + ENERGY_A_LOOP * (g.loop - u.energy_at), ts[u.kind].energy)


@rule
def spend_energy(g: Any, ts: Any, u: Any) -> None:
    """Take what one of its abilities costs."""
    u.energy = energy_of(g, ts, u) - COST
    u.energy_at = g.loop


@rule
def scan(g: Any, owner: int, x: float, y: float) -> None:
    """Let a player see that place for a while; of too many scans the oldest ends."""
    oldest = 0
    if owner == OWN:
        for k in range(SCANS):
            if g.scan_until[k] < g.scan_until[oldest]:
                oldest = k
        g.scan_x[oldest] = x
        g.scan_y[oldest] = y
        g.scan_until[oldest] = g.loop + SCAN_LOOPS


@rule
def call_mule(g: Any, us: Any, ts: Any, owner: int, x: float, y: float, target: int) -> bool:
    """A MULE comes down there, and harvests the patch that it was sent to, or the nearest."""
    at = target if target >= 0 else nearest_source(g, us, x, y, False)
    if at >= 0:
        x, y = us[at].x, us[at].y
    new = spawn(g, us, ts, MULE, owner, x, y)
    if new < 0:
        return False
    u = us[new]
    u.expires = g.loop + MULE_LOOPS
    if at >= 0:
        u.order = GATHER
        set_source(us, u, at)
    return True


@rule
def takes_supply(u: Any, owner: int) -> bool:
    """Is it a depot of the player's that has not had a supply drop yet?"""
    return u.kind in (SUPPLY_DEPOT, LOWERED_DEPOT) and u.owner == owner and u.build_left <= 0.0 and u.extra == 0


@rule
def lower(g: Any, b: Any, down: bool) -> None:
    """A depot goes into the ground, or comes up."""
    b.kind = LOWERED_DEPOT if down else SUPPLY_DEPOT
    g.obstacles += 1
