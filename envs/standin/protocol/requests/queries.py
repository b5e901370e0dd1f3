"""Questions about the game: ways, abilities, places to build at."""

from __future__ import annotations

import numpy as np
from s2clientprotocol import error_pb2, query_pb2

from envs.standin.protocol.checks import at_most
from envs.standin.protocol.match import Match
from envs.standin.protocol.observation.abilities import BY_COMMAND, BY_ID, told_id
from envs.standin.protocol.session import Session
from envs.standin.rules import questions
from envs.standin.rules.cards import BAD_PLACE, COMMANDS
from envs.standin.rules.world import OWN


def query(session: Session, asked: query_pb2.RequestQuery, told: query_pb2.ResponseQuery) -> None:
    """Answer each question, in order."""
    at_most("questions", len(asked.pathing) + len(asked.abilities) + len(asked.placements))
    match, free = session.match, asked.ignore_resource_requirements
    for way in asked.pathing:
        told.pathing.add(distance=_distance(match, way))
    for one in asked.abilities:
        _abilities(match, one.unit_tag, free, told.abilities.add())
    for place in asked.placements:
        told.placements.add(result=error_pb2.ActionResult.ValueType(_placement(match, place, free)))


def _distance(match: Match, way: query_pb2.RequestQueryPathing) -> float:
    x, y = way.start_pos.x, way.start_pos.y
    if way.HasField("unit_tag"):
        slot = match.slot(way.unit_tag)
        if slot < 0:
            return 0.0
        x, y = float(match.units[0, slot]["x"]), float(match.units[0, slot]["y"])
    return float(questions.path_length(match.games, match.units, match.types, x, y, way.end_pos.x, way.end_pos.y))


def _abilities(match: Match, tag: int, free: bool, told: query_pb2.ResponseQueryAvailableAbilities) -> None:
    told.unit_tag = tag
    slot = match.slot(tag)
    if slot < 0:
        return
    unit = match.units[0, slot]
    told.unit_type_id = int(match.types["api_id"][unit["kind"]])
    if unit["owner"] != OWN:
        return
    able = np.zeros(len(COMMANDS), np.int8)
    questions.abilities_of(match.games, match.units, match.types, slot, free, able)
    for what in np.flatnonzero(able):
        ability = BY_COMMAND[COMMANDS[what]]
        told.abilities.add(ability_id=told_id(ability, unit["kind"]), requires_point=ability.aimed)


def _placement(match: Match, place: query_pb2.RequestQueryBuildingPlacement, free: bool) -> int:
    ability = BY_ID.get(place.ability_id)
    if ability is None or not ability.command.startswith("Build_"):
        return int(error_pb2.NotSupported)
    what = COMMANDS.index(ability.command)
    x, y = place.target_pos.x, place.target_pos.y
    if not (0 <= x <= match.size[0] and 0 <= y <= match.size[1]):
        return BAD_PLACE
    return int(questions.placement(match.games, match.units, match.types, what, x, y, free))
