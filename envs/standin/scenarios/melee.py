"""A plain melee: two bases in opposite corners of flat ground, a player or a computer in each of them.

The stand-in's own map. Each side begins, as in the game, with a command center and twelve workers that harvest, and 50
minerals. Who has lost all buildings has lost the game: a point for the winner, the loss of one for the loser.
"""

from __future__ import annotations

from typing import Any

from envs.standin.rules.catalog import COMMAND_CENTER, GEYSER, MINERAL_FIELD, SCV, SMALL_MINERAL_FIELD
from envs.standin.rules.compiled import rule
from envs.standin.rules.economy import is_patch, set_source
from envs.standin.rules.players import turn
from envs.standin.rules.world import ENEMY, GATHER, LOST, NEUTRAL, OWN, WON, distance, is_structure, random, spawn
from envs.standin.scenarios import bots
from envs.standin.scenarios.economies import START_MINERALS

WORKERS = 12


@rule
def start(g: Any, us: Any, ts: Any, places: Any, resources: Any) -> None:
    """The first player's base in one of the two corners, the second's in the other."""
    g.minerals = START_MINERALS
    g.other_minerals = START_MINERALS
    g.obstacles = 1
    g.corner = 1 if random(g) < 0.5 else 2
    place_base(g, us, ts, OWN, places[g.corner, 0], places[g.corner, 1])
    place_base(g, us, ts, ENEMY, places[3 - g.corner, 0], places[3 - g.corner, 1])
    for i in range(resources.shape[0]):
        kind = MINERAL_FIELD
        if resources[i, 0] > 0.0:
            kind = GEYSER if resources[i, 0] == 1.0 else SMALL_MINERAL_FIELD
        spawn(g, us, ts, kind, NEUTRAL, resources[i, 1], resources[i, 2])
    send_workers(g, us)
    for _ in range(2):
        g.camera_x, g.camera_y = places[g.corner, 0], places[g.corner, 1]
        if g.difficulty > 0:
            bots.start(g)
        turn(g, us)


@rule
def place_base(g: Any, us: Any, ts: Any, owner: int, x: float, y: float) -> None:
    """A command center, and the workers in two rows on its side of the minerals: towards the corner of the map."""
    spawn(g, us, ts, COMMAND_CENTER, owner, x, y)
    out_x, out_y = (-1.0 if x < (g.left + g.right) / 2 else 1.0), (-1.0 if y < (g.bottom + g.top_y) / 2 else 1.0)
    for i in range(WORKERS // 2):
        spawn(g, us, ts, SCV, owner, x + out_x * 3.25, y + out_y * (i - 2.5))
        spawn(g, us, ts, SCV, owner, x + out_x * (i - 3.5), y + out_y * 3.25)


@rule
def send_workers(g: Any, us: Any) -> None:
    """Each worker to the nearest patch that the fewest have been sent to."""
    sent = [0 for _ in range(g.top)]
    for i in range(g.top):
        u = us[i]
        if u.kind != SCV:
            continue
        best = -1
        for k in range(g.top):
            if is_patch(us[k].kind):
                d = distance(u.x, u.y, us[k].x, us[k].y) + 4.0 * sent[k]
                if best < 0 or d < distance(u.x, u.y, us[best].x, us[best].y) + 4.0 * sent[best]:
                    best = k
        if best >= 0:
            sent[best] += 1
            u.order = GATHER
            set_source(us, u, best)


@rule
def after_loop(g: Any, us: Any, ts: Any, places: Any, dead: Any, chosen: Any) -> None:
    """The computers' turn; the end, when one side has no building left."""
    due = g.loop % bots.TURN == 0
    for _ in range(2 if due else 0):
        if g.difficulty > 0:
            bots.play(g, us, ts, places, chosen)
        turn(g, us)
    if not due and dead[OWN] == 0 and dead[ENEMY] == 0:
        return
    own, others = 0, 0
    for i in range(g.top):
        if us[i].kind != 0 and is_structure(ts, us[i].kind):
            own += us[i].owner == OWN
            others += us[i].owner == ENEMY
    if own == 0 or others == 0:
        g.status = LOST if own == 0 else WON
        g.score = -1.0 if own == 0 else 1.0
        g.other_score = -g.score
