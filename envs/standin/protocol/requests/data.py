"""``ResponseData``: what the game tells of all its units, abilities, upgrades, buffs and effects.

Clients look things up in it that have nothing to do with what happens in the game, such as what a Reaper would cost.
So everything that the real game's data has is there (:mod:`envs.standin.protocol.requests.tables`); ``available``
abilities are only those that the stand-in plays. Its own numbers are the table's: a test compares the two.
"""

from __future__ import annotations

from functools import lru_cache

from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.observation.abilities import ABILITIES, BY_ID
from envs.standin.protocol.requests import tables
from envs.standin.protocol.session import Session
from envs.standin.rules import catalog as c
from envs.starcraft.interface import UNIT_TYPES


def data(session: Session, asked: sc_pb.RequestData, told: sc_pb.ResponseData) -> None:
    """The parts that are asked for."""
    everything = catalog()
    for wanted, kind in (
        (asked.ability_id, "abilities"),
        (asked.unit_type_id, "units"),
        (asked.upgrade_id, "upgrades"),
        (asked.buff_id, "buffs"),
        (asked.effect_id, "effects"),
    ):
        if wanted:
            getattr(told, kind).extend(getattr(everything, kind))


@lru_cache(maxsize=1)
def catalog() -> sc_pb.ResponseData:
    """All that can be asked for."""
    told = tables.read()
    for number in c.type_table()["api_id"][1 : c.KINDS].tolist():
        unit = told.units[number]
        if not unit.available:  # a campaign's, which a melee's data does not describe
            unit.name, unit.available = UNIT_TYPES[number], True
    for number, ability in {**{a.id: a for a in ABILITIES}, **BY_ID}.items():
        entry = told.abilities[number]
        entry.available = True
        entry.friendly_name = ability.command.replace("_", " ")
    return told
