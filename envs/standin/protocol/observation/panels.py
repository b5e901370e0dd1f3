"""What the game's panels show: the units selected, what is in production, and the control groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from s2clientprotocol import raw_pb2, ui_pb2

from envs.standin.protocol.match import Match
from envs.standin.protocol.observation.abilities import training_ability
from envs.standin.protocol.observation.units import ALLIANCE, progress_of, records
from envs.standin.rules.catalog import KINDS


def fill(match: Match, ui: ui_pb2.ObservationUI) -> None:
    """The panel of one selected unit, of one that produces, or of several; and the control groups."""
    units = match.units[0]
    there = units["kind"] != 0
    selected = records(units[there & (units["selected"] != 0)])
    if len(selected) == 1 and selected[0].producing:
        _production(match, ui.production, selected[0])
    elif len(selected) == 1:
        _info(match, ui.single.unit, selected[0])
    for u in selected if len(selected) > 1 else ():
        _info(match, ui.multi.units.add(), u)
    groups = np.where(there, units["groups"], 0)
    for index in range(10) if groups.any() else ():
        members = np.flatnonzero(groups & (1 << index))
        if len(members):
            leader = int(match.types["api_id"][units["kind"][members[0]]])
            ui.groups.add(control_group_index=index, leader_unit_type=leader, count=len(members))


def _production(match: Match, panel: ui_pb2.ProductionPanel, u: Any) -> None:
    _info(match, panel.unit, u)
    for i in range(u.producing):
        progress = progress_of(match, u, i)
        unit_type = int(match.types["api_id"][u.product[i]]) if u.product[i] < KINDS else 0  # an upgrade is no unit
        panel.build_queue.add(unit_type=unit_type, player_relative=raw_pb2.Self, build_progress=progress)
        panel.production_queue.add(ability_id=training_ability(u.product[i]), build_progress=progress)


def _info(match: Match, told: ui_pb2.UnitInfo, u: Any) -> None:
    t = match.types[u.kind]
    told.unit_type = int(t["api_id"])
    told.player_relative = ALLIANCE[u.owner]
    told.health, told.max_health = int(u.hp), int(t["hp"])
    told.shields = told.energy = told.max_shields = told.max_energy = told.transport_slots_taken = 0
    if u.build_left > 0:
        told.build_progress = 1.0 - u.build_left / float(t["build_loops"])
