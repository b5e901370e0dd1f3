"""The messages that the game would speak: what has become of the player's units since the last observation."""

from __future__ import annotations

from typing import Any

import numpy as np
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.match import Match
from envs.standin.rules.catalog import MINERAL_FIELD, SCV, STRUCTURE
from envs.standin.rules.world import OWN


class Alerts:
    """Compares the units with those of the last time, slot by slot."""

    def __init__(self, match: Match) -> None:
        self.match = match
        self._is_structure = match.types["attributes"] & STRUCTURE != 0
        self._before = self._look()

    def _look(self) -> dict[str, Any]:
        units = self.match.units[0]
        return {name: units[name].copy() for name in ("kind", "owner", "tag", "hp", "build_left")}

    def since_last_time(self) -> list[sc_pb.Alert.ValueType]:
        """The alerts that are due."""
        before, now = self._before, self._look()
        if all(np.array_equal(before[name], now[name]) for name in now):
            return []
        self._before = now
        own = (now["kind"] != 0) & (now["owner"] == OWN)
        kept = own & (before["kind"] != 0) & (before["tag"] == now["tag"])
        building = self._is_structure[now["kind"]]
        hurt = kept & (now["hp"] < before["hp"])
        # Units that a map's script puts there are not trained: their maps have no buildings.
        trained = own & ~kept & ~building if (own & building).any() else np.zeros(len(own), bool)
        exhausted = (before["kind"] == MINERAL_FIELD) & ((now["kind"] == 0) | (now["tag"] != before["tag"]))
        due = (
            (sc_pb.BuildingComplete, kept & (before["build_left"] > 0) & (now["build_left"] <= 0)),
            (sc_pb.BuildingUnderAttack, hurt & building),
            (sc_pb.UnitUnderAttack, hurt & ~building),
            (sc_pb.MineralsExhausted, exhausted),
            (sc_pb.TrainUnitComplete, trained & (now["kind"] != SCV)),
            (sc_pb.TrainWorkerComplete, trained & (now["kind"] == SCV)),
        )
        return [alert for alert, which in due if which.any()]
