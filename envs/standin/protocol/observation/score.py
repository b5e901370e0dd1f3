"""The score of a melee: what the players have made, spent, lost and killed.

It is kept by comparing the units after each request that lets time pass with those before, so what comes and goes in
between is not counted, and a building that is given up counts as lost. ``score.score`` is what the recorded games'
first observations show, 1050 for what both begin with: minerals and vespene in stock, and the value of all units and
buildings ever made; what has been killed is added to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from s2clientprotocol import score_pb2

from envs.standin.rules.catalog import (
    BARRACKS,
    BUNKER,
    ENGINEERING_BAY,
    KINDS,
    MARAUDER,
    MARINE,
    MISSILE_TURRET,
    REACTOR,
    REAPER,
    STRUCTURE,
    TECH_LAB,
)
from envs.standin.rules.world import ENEMY, OWN

_ECONOMY, _ARMY, _TECHNOLOGY = "economy", "army", "technology"


def _category(kind: int) -> str:
    if kind in (MARINE, MARAUDER, REAPER):
        return _ARMY
    technology = (BARRACKS, ENGINEERING_BAY, TECH_LAB, REACTOR, BUNKER, MISSILE_TURRET)
    return _TECHNOLOGY if kind in technology else _ECONOMY


class Ledger:
    """What both players of a match have had, by unit type; looked at from the first player's place."""

    def __init__(self, types: npt.NDArray[Any]) -> None:
        self._types = types = types[:KINDS]
        self._structure = types["attributes"] & STRUCTURE != 0
        self.begin()

    def begin(self) -> None:
        """Nothing has been made or lost."""
        self._made, self._lost = (np.zeros((3, KINDS), np.int64) for _ in range(2))
        self._before: tuple[npt.NDArray[np.int32], ...] | None = None

    def look(self, units: npt.NDArray[Any]) -> None:
        """Take notice of what has come and gone. ``units``: the game's slots."""
        kind, owner, tag = (units[name].copy() for name in ("kind", "owner", "tag"))
        if self._before is None:
            new, gone = kind != 0, np.zeros(len(kind), bool)
        else:
            was, _, old = self._before
            changed = (kind != was) | (tag != old)
            new, gone = changed & (kind != 0), changed & (was != 0)
            np.add.at(self._lost, (self._before[1][gone], was[gone]), 1)
        np.add.at(self._made, (owner[new], kind[new]), 1)
        self._before = kind, owner, tag

    def fill(self, told: score_pb2.Score, player: int, stocks: Any) -> None:
        """Tell a player's score; ``stocks``: the game's record, from that player's place."""
        mine, theirs = (OWN, ENEMY) if player == 1 else (ENEMY, OWN)
        made, lost, killed = self._made[mine], self._lost[mine], self._lost[theirs]
        t, details = self._types, told.score_details
        worth = (t["minerals"] + t["vespene"]).astype(np.int64)
        units, buildings = (made * worth)[~self._structure].sum(), (made * worth)[self._structure].sum()
        details.total_value_units, details.total_value_structures = units, buildings
        details.killed_value_units = (killed * worth)[~self._structure].sum()
        details.killed_value_structures = (killed * worth)[self._structure].sum()
        details.collected_minerals = stocks["collected_minerals"]
        details.collected_vespene = stocks["collected_vespene"]
        details.idle_production_time = details.idle_worker_time = 0
        details.collection_rate_minerals = details.collection_rate_vespene = 0
        details.spent_minerals = max(50 + int(stocks["collected_minerals"]) - int(stocks["minerals"]), 0)
        details.spent_vespene = max(int(stocks["collected_vespene"]) - int(stocks["vespene"]), 0)
        tables = (
            ("food_used", made - lost, t["supply"] / 2),
            ("killed_minerals", killed, t["minerals"]), ("killed_vespene", killed, t["vespene"]),
            ("lost_minerals", lost, t["minerals"]), ("lost_vespene", lost, t["vespene"]),
            ("friendly_fire_minerals", 0 * made, t["minerals"]), ("friendly_fire_vespene", 0 * made, t["vespene"]),
            ("used_minerals", made - lost, t["minerals"]), ("used_vespene", made - lost, t["vespene"]),
            ("total_used_minerals", made, t["minerals"]), ("total_used_vespene", made, t["vespene"]),
        )  # fmt: skip
        for name, count, each in tables:
            shown = getattr(details, name)
            for category in ("none", _ARMY, _ECONOMY, _TECHNOLOGY, "upgrade"):
                which = [kind for kind in range(1, KINDS) if _category(kind) == category]
                setattr(shown, category, float((count * each)[which].sum()))
        for name in ("total_damage_dealt", "total_damage_taken", "total_healed"):
            shown = getattr(details, name)
            shown.life = shown.shields = shown.energy = 0.0
        killed_worth = details.killed_value_units + details.killed_value_structures
        told.score = int(stocks["minerals"] + stocks["vespene"] + units + buildings + killed_worth)
