"""The state of a game, and the rules of space: random numbers, appearing, disappearing, moving.

A batch of games is two arrays of records, ``games[B]`` of :data:`GAME` and ``units[B, U]`` of :data:`UNIT`. Rules get
one game ``g``, its units ``us`` (slots; a slot whose ``kind`` is 0 is free) and the table of unit types ``ts``.
Slots from ``g.top`` on are free. World coordinates: x to the right, y up.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from envs.standin.catalog import BEACON, MARINE, STRUCTURE
from envs.standin.compiled import rule

NEUTRAL, OWN, ENEMY = 0, 1, 2

QUEUE = 8
"""Orders that can wait behind the one being carried out."""

# Orders
IDLE, MOVE, FOLLOW, ATTACK_MOVE, ATTACK, PATROL, HOLD, GATHER, RETURN, BUILD = range(10)

PLAYING, ENDED, TIME_UP = range(3)

UNIT = np.dtype(
    [
        ("kind", "i4"),
        ("owner", "i4"),
        ("tag", "i4"),
        ("selected", "i4"),
        ("groups", "i4"),  # bit i: in control group i
        ("x", "f4"),
        ("y", "f4"),
        ("facing", "f4"),  # radians, counter-clockwise from the right
        ("speed", "f4"),
        ("hp", "f4"),
        # the order being carried out
        ("order", "i4"),
        ("order_x", "f4"),
        ("order_y", "f4"),
        ("order_slot", "i4"),
        ("order_tag", "i4"),
        # those waiting
        ("queued", "i4"),
        ("queue", "i4", (QUEUE,)),
        ("queue_x", "f4", (QUEUE,)),
        ("queue_y", "f4", (QUEUE,)),
        ("queue_slot", "i4", (QUEUE,)),
        ("queue_tag", "i4", (QUEUE,)),
    ],
    align=True,
)

GAME = np.dtype(
    [
        ("seed", "u8"),
        ("episode", "i8"),
        ("random", "u8"),
        ("scenario", "i4"),
        ("loop", "i4"),
        ("limit", "i4"),
        ("status", "i4"),
        ("top", "i4"),
        ("next_tag", "i4"),
        ("score", "f4"),
        ("camera_x", "f4"),
        ("camera_y", "f4"),
        ("left", "f4"),  # the playable rectangle
        ("bottom", "f4"),
        ("right", "f4"),
        ("top_y", "f4"),
    ],
    align=True,
)


@rule
def mix(seed: Any, stream: Any) -> Any:
    """A 64-bit seed from two numbers (the finalizer of splitmix64, Steele et al., 2014)."""
    z = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * (np.uint64(stream) + np.uint64(1))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@rule
def random(g: Any) -> float:
    """The game's next random number, uniform in [0, 1) (splitmix64)."""
    g.random += np.uint64(0x9E3779B97F4A7C15)
    z = g.random
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@rule
def uniform(g: Any, low: float, high: float) -> float:
    """A random number, uniform in [low, high)."""
    return low + (high - low) * random(g)


@rule
def distance(x0: float, y0: float, x1: float, y1: float) -> float:
    """The distance between two points."""
    return math.sqrt((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0))


@rule
def spawn(g: Any, us: Any, ts: Any, kind: int, owner: int, x: float, y: float) -> int:
    """Put a unit into the first free slot and say which; -1 if there is none."""
    slot = -1
    for i in range(us.shape[0]):
        if us[i].kind == 0:
            slot = i
            break
    if slot < 0:
        return -1
    u = us[slot]
    u.kind = kind
    u.owner = owner
    g.next_tag += 1
    u.tag = g.next_tag
    u.selected = 0
    u.groups = 0
    u.x = x
    u.y = y
    u.facing = 1.25 * math.pi
    u.speed = 0.0
    u.hp = ts[kind].hp
    u.order = IDLE
    u.queued = 0
    g.top = max(g.top, slot + 1)
    return slot


@rule
def remove(g: Any, us: Any, slot: int) -> None:
    """Free a slot."""
    us[slot].kind = 0
    us[slot].selected = 0
    while g.top > 0 and us[g.top - 1].kind == 0:
        g.top -= 1


@rule
def is_army(kind: int) -> bool:
    """Does ``select_army`` take such a unit?"""
    return kind == MARINE


@rule
def is_structure(ts: Any, kind: int) -> bool:
    """Is it a building or a resource?"""
    return ts[kind].attributes & STRUCTURE != 0


@rule
def is_target(kind: int) -> bool:
    """Can a command be aimed at such a unit?"""
    return kind not in (0, BEACON)


@rule
def present(us: Any, slot: int, tag: int) -> bool:
    """Is the unit that was in that slot still there?"""
    return 0 <= slot < us.shape[0] and us[slot].kind != 0 and us[slot].tag == tag


@rule
def next_order(u: Any) -> None:
    """Drop the order being carried out and take up the next in the queue."""
    if u.queued == 0:
        u.order = IDLE
        return
    u.order = u.queue[0]
    u.order_x = u.queue_x[0]
    u.order_y = u.queue_y[0]
    u.order_slot = u.queue_slot[0]
    u.order_tag = u.queue_tag[0]
    u.queued -= 1
    for i in range(u.queued):
        u.queue[i] = u.queue[i + 1]
        u.queue_x[i] = u.queue_x[i + 1]
        u.queue_y[i] = u.queue_y[i + 1]
        u.queue_slot[i] = u.queue_slot[i + 1]
        u.queue_tag[i] = u.queue_tag[i + 1]


@rule
def move_towards(g: Any, u: Any, ts: Any, x: float, y: float) -> bool:
    """Go one loop's way straight towards a point, inside the playable rectangle; True once there."""
    t = ts[u.kind]
    radius = t.radius
    x = min(max(x, g.left + radius), g.right - radius)
    y = min(max(y, g.bottom + radius), g.top_y - radius)
    dx, dy = x - u.x, y - u.y
    left = math.sqrt(dx * dx + dy * dy)
    if left < 1e-6:
        return True
    u.facing = math.atan2(dy, dx)
    if t.acceleration > 0.0:
        u.speed = min(u.speed + t.acceleration, t.speed)
    else:
        u.speed = t.speed
    if left <= u.speed:
        u.x = x
        u.y = y
        return True
    u.x += dx / left * u.speed
    u.y += dy / left * u.speed
    return False
