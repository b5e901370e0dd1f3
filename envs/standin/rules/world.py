"""The state of a game: its records, its random numbers, units that appear and disappear.

A batch of games is two arrays of records, ``games[B]`` of :data:`GAME` and ``units[B, U]`` of :data:`UNIT`. Rules get
one game ``g``, its units ``us`` (slots; a slot whose ``kind`` is 0 is free) and the table of unit types ``ts``.
Slots from ``g.top`` on are free. A reference to a unit is its slot and its tag, since a slot can be used again.
World coordinates: x to the right, y up. Times are in game loops.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from envs.standin.rules.catalog import (
    BEACON,
    COMMAND_CENTER,
    MARAUDER,
    MARINE,
    MULE,
    ORBITAL_COMMAND,
    REAPER,
    ROACH,
    SHARD,
    STRUCTURE,
    ZERGLING,
)
from envs.standin.rules.compiled import rule
from envs.standin.rules.terrain.levels import sees_up

NEUTRAL, OWN, ENEMY = 0, 1, 2

QUEUE = 8
"""Orders that can wait behind the one being carried out."""

PRODUCTION = 8
"""Units that a building can have in production: five, and eight beside a reactor."""

SCANS = 4
"""Scans of a player's that can last at the same time."""
SCAN_RADIUS = 13.0

SHIELD = 10
"""Hit points that a combat shield adds."""

MISSILES = 16
"""Missiles that can be in the air."""

# Orders. Building kind k is ordered by BUILD + k. Who is in a bunker has the order GARRISON, and is far off the map.
IDLE, MOVE, FOLLOW, ATTACK_MOVE, ATTACK, PATROL, HOLD, GATHER, RETURN, ENTER, REPAIR, GARRISON = range(12)
BUILD = 16

# What a worker is doing about its GATHER or RETURN order.
GOING, MINING, DROPPING = range(3)

NO_CARGO, MINERALS, VESPENE = range(3)

PLAYING, LOST, TIME_UP, WON = range(4)

SEEN, REMEMBERED = 1, 2
"""What a player knows of a building or a resource of somebody else's, as far as it knows of it."""

FREE, FOOD, TECH, FAST, GOD = 1, 2, 4, 8, 16
"""Cheats, for tests of what plays the game: nothing costs anything, supply for all, nothing is required, what is built
or trained takes a loop, and nobody hurts the player's units."""

UNIT = np.dtype(
    [
        # what every loop reads comes first, in one line of the processor's cache
        ("kind", "i4"),
        ("owner", "i4"),
        ("x", "f4"),
        ("y", "f4"),
        ("hp", "f4"),
        ("order", "i4"),
        ("target", "i4"),  # whom it fights
        ("target_tag", "i4"),
        ("cooldown", "f4"),
        ("windup", "f4"),  # until the shot leaves; 0: not shooting
        ("look", "i4"),  # game loop of the next look for a target
        ("tag", "i4"),
        ("moving", "i4"),  # went somewhere in this loop
        ("stirred", "i4"),  # bit 0: moved or was pushed in this loop; bit 1: was pushed just now
        ("speed", "f4"),
        ("face_x", "f4"),  # the direction that it faces, of length 1
        ("face_y", "f4"),
        ("selected", "i4"),
        ("groups", "i4"),  # bit i: in control group i
        ("other_selected", "i4"),  # the same of the other player, who may have selected it, too
        ("other_groups", "i4"),
        ("known", "i4"),  # the player has seen it: what does not move is remembered
        ("other_known", "i4"),
        # where the order that is being carried out leads
        ("order_x", "f4"),
        ("order_y", "f4"),
        ("order_slot", "i4"),
        ("order_tag", "i4"),
        # the way there: where it ends, the next corner on it, and for which obstacles it was found
        ("way_x", "f4"),
        ("way_y", "f4"),
        ("corner_x", "f4"),
        ("corner_y", "f4"),
        ("way_version", "i4"),
        ("called", "i4"),  # game loop of the last call for help
        ("from_x", "f4"),  # where a patrol turns back to
        ("from_y", "f4"),
        # harvesting: phase, time left in it, what is carried
        ("phase", "i4"),
        ("timer", "f4"),
        ("cargo", "i4"),
        ("cargo_amount", "i4"),
        ("source", "i4"),  # the resource to come back to
        ("source_tag", "i4"),
        # resources
        ("contents", "f4"),
        ("worker", "i4"),  # who is at work on it
        ("worker_tag", "i4"),
        # buildings: time left in construction, production, rally
        ("build_left", "f4"),
        ("producing", "i4"),
        ("product", "i4", (PRODUCTION,)),
        ("product_left", "f4"),  # of the first; -1: not begun
        ("rally", "i4"),  # 0 none, 1 a place, 2 a unit
        ("rally_x", "f4"),
        ("rally_y", "f4"),
        ("rally_slot", "i4"),
        ("rally_tag", "i4"),
        ("second_left", "f4"),  # of the second, where two are made at once
        ("addon", "i4"),  # beside a building, its add-on; of an add-on, its building
        ("addon_tag", "i4"),
        ("addon_kind", "i4"),  # the kind of the finished add-on; 0: none
        ("extra", "i4"),  # halves of supply that were dropped on a depot
        # what lasts: until which game loop; energy at a game loop, hit points at the last loop that took some
        ("stim_until", "i4"),
        ("slow_until", "i4"),
        ("expires", "i4"),  # 0: never
        ("hurt_at", "i4"),
        ("energy", "f4"),
        ("energy_at", "i4"),
        ("owed", "f4"),  # vespene that repairing has used and not paid
        # the orders waiting
        ("queued", "i4"),
        ("queue", "i4", (QUEUE,)),
        ("queue_x", "f4", (QUEUE,)),
        ("queue_y", "f4", (QUEUE,)),
        ("queue_slot", "i4", (QUEUE,)),
        ("queue_tag", "i4", (QUEUE,)),
    ],
    align=True,
)

PACE = 10
"""Numbers that say how well a computer player plays."""

_PLAYER: list[tuple[Any, ...]] = [
    ("score", "f4"),
    ("camera_x", "f4"),
    ("camera_y", "f4"),
    ("cheats", "i4"),
    ("minerals", "i4"),
    ("vespene", "i4"),
    ("collected_minerals", "i4"),
    ("collected_vespene", "i4"),
    ("last_idle", "i4"),  # the tag of the worker that select_idle_worker chose last
    ("upgrades", "i4"),  # bit k - KINDS: has that row of the catalog
    ("researching", "i4"),
    ("scan_x", "f4", (SCANS,)),
    ("scan_y", "f4", (SCANS,)),
    ("scan_until", "i4", (SCANS,)),
    # a computer player's, 0 for others: Difficulty and AIBuild of the API, kept from game to game
    ("difficulty", "i4"),
    ("build", "i4"),
    ("pace", "f4", (PACE,)),  # how well it plays: ``scenarios/pace.py``
    ("plan", "i4"),  # the build that it plays in this game
    ("wave", "i4"),  # marines that its next attack waits for
    ("attacking", "i4"),
    ("busy", "i4"),  # game loop until which it gives no further order to build or train
    ("target_x", "f4"),  # where it has last seen a building of the other's; -1: nowhere
    ("target_y", "f4"),
]
"""What a player has."""

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
        ("left", "f4"),  # the playable rectangle
        ("bottom", "f4"),
        ("right", "f4"),
        ("top_y", "f4"),
        ("width", "i4"),  # of the map, and its height, in cells
        ("height", "i4"),
        ("ground", "i4"),  # :mod:`envs.standin.rules.terrain`; 0: flat
        ("fog", "i4"),
        ("camera_free", "i4"),
        ("dying", "i4"),  # some unit's hit points have run out
        ("crowded", "i4"),  # some unit moved or was pushed
        ("obstacles", "i4"),  # version of the obstacles' layout; 0: there are none
        ("turned", "i4"),  # 1: the second player's units are OWN for now, see :func:`turn`
        ("enemies", "i4"),  # units of ENEMY's
        ("fellows", "i4"),  # units of OWN's
        ("corner", "i4"),  # the row of ``places`` where OWN began; ENEMY has the other of 1 and 2
        *_PLAYER,  # OWN's
        *((f"other_{field[0]}", *field[1:]) for field in _PLAYER),  # ENEMY's
        ("missiles", "i4"),
        ("missile_left", "f4", (MISSILES,)),
        ("missile_damage", "f4", (MISSILES,)),
        ("missile_slows", "i4", (MISSILES,)),
        ("missile_slot", "i4", (MISSILES,)),
        ("missile_tag", "i4", (MISSILES,)),
        ("missile_from", "i4", (MISSILES,)),
        ("missile_from_tag", "i4", (MISSILES,)),
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
    u.other_selected = 0
    u.other_groups = 0
    u.known = SEEN if owner == NEUTRAL else 0
    u.other_known = u.known
    u.x = x
    u.y = y
    u.face_x = -math.sqrt(0.5)
    u.face_y = -math.sqrt(0.5)
    u.speed = 0.0
    u.moving = 0
    u.stirred = 1
    u.hp = ts[kind].hp
    u.order = IDLE
    u.order_x = -1.0
    u.order_y = -1.0
    u.order_slot = -1
    u.queued = 0
    u.way_version = -1
    u.target = -1
    u.cooldown = 0.0
    u.windup = 0.0
    u.look = 0
    u.called = -1000
    u.phase = GOING
    u.timer = 0.0
    u.cargo = NO_CARGO
    u.cargo_amount = 0
    u.source = -1
    u.contents = ts[kind].contents
    u.worker = -1
    u.build_left = 0.0
    u.producing = 0
    u.product_left = -1.0
    u.second_left = -1.0
    u.rally = 0
    u.addon = -1
    u.addon_kind = 0
    u.extra = 0
    u.stim_until = 0
    u.slow_until = 0
    u.expires = 0
    u.hurt_at = -1000
    u.energy = 0.0
    u.energy_at = g.loop
    u.owed = 0.0
    g.enemies += owner == ENEMY
    g.fellows += owner == OWN
    g.crowded = 1
    g.top = max(g.top, slot + 1)
    return slot


@rule
def remove(g: Any, us: Any, slot: int) -> None:
    """Free a slot."""
    g.enemies -= us[slot].owner == ENEMY
    g.fellows -= us[slot].owner == OWN
    us[slot].kind = 0
    us[slot].selected = 0
    us[slot].other_selected = 0
    while g.top > 0 and us[g.top - 1].kind == 0:
        g.top -= 1


@rule
def is_army(kind: int) -> bool:
    """Does ``select_army`` take such a unit?"""
    return kind in (MARINE, MARAUDER, REAPER) or ZERGLING <= kind <= ROACH


@rule
def is_mobile(kind: int) -> bool:
    """Can it move?"""
    return MARINE <= kind <= ROACH or MARAUDER <= kind <= MULE


@rule
def is_town_hall(kind: int) -> bool:
    """Do workers bring their cargo there?"""
    return kind in (COMMAND_CENTER, ORBITAL_COMMAND)


@rule
def is_structure(ts: Any, kind: int) -> bool:
    """Is it a building or a resource?"""
    return ts[kind].attributes & STRUCTURE != 0


@rule
def is_target(kind: int) -> bool:
    """Can a command be aimed at such a unit?"""
    return kind not in (0, BEACON, SHARD)


@rule
def is_visible(g: Any, us: Any, ts: Any, slot: int) -> bool:
    """Does the player see the unit? Where there is fog, enemies only in the sight of one of the player's own."""
    return g.fog == 0 or us[slot].owner != ENEMY or in_sight(g, us, ts, slot)


@rule
def in_sight(g: Any, us: Any, ts: Any, slot: int) -> bool:
    """Is the unit in the sight of one of the player's own, or scanned?"""
    x, y = us[slot].x, us[slot].y
    for i in range(g.top):
        v = us[i]
        if v.kind != 0 and v.owner == OWN:
            dx, dy, sight = x - v.x, y - v.y, ts[v.kind].sight
            if dx * dx + dy * dy <= sight * sight and sees_up(g, v.x, v.y, x, y):
                return True
    return is_scanned(g, x, y)


@rule
def remember(g: Any, us: Any, ts: Any) -> None:
    """The player takes notice of the buildings and resources in sight, and remembers those that are not any more."""
    for i in range(g.top):
        u = us[i]
        if u.kind == 0 or u.owner == OWN or not is_structure(ts, u.kind):
            continue
        if in_sight(g, us, ts, i):
            u.known = SEEN
        elif u.known:
            u.known = REMEMBERED


@rule
def is_scanned(g: Any, x: float, y: float) -> bool:
    """Does one of the player's scans show that place?"""
    for k in range(SCANS):
        if g.scan_until[k] > g.loop and distance(x, y, g.scan_x[k], g.scan_y[k]) <= SCAN_RADIUS:
            return True
    return False


@rule
def present(us: Any, slot: int, tag: int) -> bool:
    """Is the unit that was in that slot still there?"""
    return 0 <= slot < us.shape[0] and us[slot].kind != 0 and us[slot].tag == tag


@rule
def next_order(u: Any) -> None:
    """Drop the order being carried out and take up the next in the queue."""
    u.target = -1
    u.phase = GOING
    u.way_version = -1
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
