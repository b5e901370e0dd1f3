"""``ResponseData``: what the stand-in knows of units, abilities and buffs, from its own catalog.

A client finds an entry by its place in the list, so lists begin at 0 and have no gaps; what the stand-in does not have
is in them as not available. It has no upgrades and no effects.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from s2clientprotocol import common_pb2, data_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.observation.abilities import ABILITIES, Ability
from envs.standin.protocol.observation.remaps import GENERAL
from envs.standin.protocol.session import Session
from envs.standin.rules import catalog as c
from envs.starcraft.interface import FUNCTIONS, UNIT_TYPES

_Target = data_pb2.AbilityData.Target

RACES = {
    c.ZERGLING: common_pb2.Zerg,
    c.BANELING: common_pb2.Zerg,
    c.ROACH: common_pb2.Zerg,
    c.MINERAL_FIELD: common_pb2.NoRace,
    c.GEYSER: common_pb2.NoRace,
    c.BEACON: common_pb2.NoRace,
    c.SHARD: common_pb2.NoRace,
}
"""Race of a kind, where it is not Terran."""

CARGO = {c.MARINE: 1, c.SCV: 1, c.ZERGLING: 1, c.BANELING: 2, c.ROACH: 2}
"""Room that a kind takes in a transporter."""

MADE_BY = {
    c.MARINE: 560,
    c.SCV: 524,
    c.ZERGLING: 1343,
    c.BANELING: 80,
    c.ROACH: 1351,
    c.COMMAND_CENTER: 318,
    c.SUPPLY_DEPOT: 319,
    c.REFINERY: 320,
    c.BARRACKS: 321,
}
"""The ability that makes a kind."""

REQUIRES = {c.ZERGLING: 89, c.BANELING: 96, c.ROACH: 97, c.BARRACKS: 19}
"""Unit type of the building that a kind requires."""

_ATTRIBUTES = {
    c.LIGHT: data_pb2.Light,
    c.ARMORED: data_pb2.Armored,
    c.BIOLOGICAL: data_pb2.Biological,
    c.MECHANICAL: data_pb2.Mechanical,
    c.STRUCTURE: data_pb2.Structure,
}

BUFFS = {271: "CarryMineralFieldMinerals", 273: "CarryHarvestableVespeneGeyserGas"}


def data(session: Session, asked: sc_pb.RequestData, told: sc_pb.ResponseData) -> None:
    """The parts that are asked for."""
    everything = catalog()
    if asked.ability_id:
        told.abilities.extend(everything.abilities)
    if asked.unit_type_id:
        told.units.extend(everything.units)
    if asked.buff_id:
        told.buffs.extend(everything.buffs)


@lru_cache(maxsize=1)
def catalog() -> sc_pb.ResponseData:
    """All that can be asked for."""
    told = sc_pb.ResponseData()
    known = {kind["api_id"]: (number, kind) for number, kind in enumerate(c.type_table()) if number}
    for number in range(max(known) + 1):
        unit = told.units.add(unit_id=number, available=number in known)
        if number in known:
            _describe_unit(unit, *known[number])
    abilities = {number: ability for ability in ABILITIES for number in (ability.id, ability.general)}
    for number in range(max(*abilities, *GENERAL, *GENERAL.values()) + 1):
        entry = told.abilities.add(ability_id=number, available=number in abilities)
        if number in GENERAL:
            entry.remaps_to_ability_id = GENERAL[number]
        if number in abilities:
            _describe_ability(entry, abilities[number])
    for number in range(max(BUFFS) + 1):
        told.buffs.add(buff_id=number, name=BUFFS.get(number, ""))
    return told


def _describe_unit(unit: data_pb2.UnitTypeData, kind: int, t: Any) -> None:
    unit.name = UNIT_TYPES[unit.unit_id]
    unit.race = RACES.get(kind, common_pb2.Terran)
    unit.cargo_size = CARGO.get(kind, 0)
    unit.mineral_cost, unit.vespene_cost = int(t["minerals"]), int(t["vespene"])
    unit.food_required, unit.food_provided = t["supply"] / 2, t["provides"] / 2
    unit.build_time, unit.sight_range = float(t["build_loops"]), float(t["sight"])
    unit.movement_speed, unit.armor = float(t["speed"] * c.LOOPS), float(t["armor"])
    unit.has_minerals = kind == c.MINERAL_FIELD
    unit.has_vespene = kind in (c.GEYSER, c.REFINERY)
    unit.ability_id = MADE_BY.get(kind, 0)
    unit.tech_requirement = REQUIRES.get(kind, 0)
    unit.attributes.extend(value for bit, value in _ATTRIBUTES.items() if t["attributes"] & bit)
    # The game lists no weapon for a unit that bursts.
    if t["damage"] > 0 and t["splash"] == 0:
        weapon = unit.weapons.add(
            type=data_pb2.Weapon.Any if kind == c.MARINE else data_pb2.Weapon.Ground,
            damage=float(t["damage"]),
            attacks=1,
            range=float(t["range"]),
            speed=float(t["period"] / c.LOOPS),
        )
        if t["bonus_light"] > 0:
            weapon.damage_bonus.add(attribute=data_pb2.Light, bonus=float(t["bonus_light"]))


def _describe_ability(entry: data_pb2.AbilityData, ability: Ability) -> None:
    command = ability.command
    entry.friendly_name = command.replace("_", " ")
    entry.button_name = command.rsplit("_", 1)[-1]
    entry.allow_minimap = f"{command}_minimap" in FUNCTIONS
    entry.target = target(ability)
    built = {number: kind for kind, number in MADE_BY.items()}.get(ability.id)
    if command.startswith("Build_") and built is not None:
        entry.is_building = True
        entry.footprint_radius = float(c.type_table()["footprint_w"][built]) / 2


def target(ability: Ability) -> _Target.ValueType:
    """What an ability is aimed at."""
    if not ability.aimed:
        return _Target.Value("None")
    if ability.command in ("Harvest_Gather", "Build_Refinery"):
        return _Target.Unit
    return _Target.Point if ability.command.startswith("Build_") else _Target.PointOrUnit
