"""CollectMineralsAndGas and BuildMarines: a command center, twelve workers, and time.

Rules: ``CollectMineralsAndGas.SC2Map/MapScript.galaxy`` and ``BuildMarines.SC2Map/MapScript.galaxy``; resources:
``Objects`` in the same archives; what BuildMarines takes from the command cards: its ``GameData/UnitData.xml``.
"""

from __future__ import annotations

from typing import Any

from envs.standin.rules.catalog import COMMAND_CENTER, GEYSER, MARINE, MINERAL_FIELD, SCV
from envs.standin.rules.compiled import rule
from envs.standin.rules.economy import set_source
from envs.standin.rules.world import GATHER, NEUTRAL, OWN, random, spawn

START_MINERALS = 50


@rule
def start(g: Any, us: Any, ts: Any, places: Any, resources: Any, harvest: bool) -> None:
    """The base. In BuildMarines the workers go to the first patch of the list, and new ones are sent there, too."""
    g.minerals = START_MINERALS
    g.obstacles = 1
    # Own units first: they fill the lower slots, which are shown first.
    cx, cy = places[1, 0], places[1, 1]
    base = spawn(g, us, ts, COMMAND_CENTER, OWN, cx, cy)
    side = 1.0 if random(g) < 0.5 else -1.0
    first_worker = g.top
    for row in range(6):
        for column in range(2):
            spawn(g, us, ts, SCV, OWN, places[2, 0] + side * (4.5 - column), places[2, 1] + 2.5 - row)
    first = -1
    for i in range(resources.shape[0]):
        kind = GEYSER if resources[i, 0] > 0 else MINERAL_FIELD
        slot = spawn(g, us, ts, kind, NEUTRAL, resources[i, 1], resources[i, 2])
        if first < 0:
            first = slot
    if harvest:
        for i in range(first_worker, first_worker + 12):
            us[i].order = GATHER
            set_source(us, us[i], first)
        b = us[base]
        b.rally = 2
        b.rally_x, b.rally_y = us[first].x, us[first].y
        b.rally_slot, b.rally_tag = first, us[first].tag


@rule
def score_collected(g: Any) -> None:
    """CollectMineralsAndGas: all that was ever brought back."""
    g.score = float(g.collected_minerals + g.collected_vespene)


@rule
def score_marine(g: Any, what: int) -> None:
    """BuildMarines: a point for each marine that comes out."""
    if what == MARINE:
        g.score += 1.0
