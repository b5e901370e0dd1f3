"""The numbers of the game's ``ResponseData``, as a table in a file: made from one, read as one.

``python -m envs.standin.protocol.requests.tables RESPONSE.pb`` makes the table anew; the file holds a ``Response`` or a
``ResponseData``, gzipped or not, as a game answers it. Kept are the identifiers and the numbers of 5.0's units,
abilities (those that a button or another ability stands for, or that make something), upgrades, buffs and effects.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.rules import game_data

COLUMNS = {
    "units": (
        "name", "available", "cargo_size", "mineral_cost", "vespene_cost", "food_required", "food_provided",
        "ability_id", "race", "build_time", "has_vespene", "has_minerals", "sight_range", "tech_alias", "unit_alias",
        "tech_requirement", "require_attached", "attributes", "movement_speed", "armor", "weapons",
    ),
    "abilities": (
        "link_name", "link_index", "button_name", "remaps_to_ability_id", "target", "allow_minimap", "allow_autocast",
        "is_building", "footprint_radius", "is_instant_placement", "cast_range",
    ),
    "upgrades": ("name", "mineral_cost", "vespene_cost", "research_time", "ability_id"),
    "buffs": ("name",),
    "effects": ("name", "friendly_name", "radius"),
}  # fmt: skip
"""What is kept of each entry; an entry's number is its place in the list."""
NUMBERS = {
    "units": "unit_id", "abilities": "ability_id", "upgrades": "upgrade_id", "buffs": "buff_id", "effects": "effect_id",
}  # fmt: skip
WEAPON = ("type", "damage", "attacks", "range", "speed")


def write(data: sc_pb.ResponseData) -> str:
    """The table of what a game has answered."""
    making = {entry.ability_id for entry in (*data.units, *data.upgrades)} - {0}
    lines = []
    for kind, columns in COLUMNS.items():
        lines.append("\t".join((kind, *columns)))
        for entry in getattr(data, kind):
            number = getattr(entry, NUMBERS[kind])
            if kind == "units" and not entry.available:
                continue
            if kind == "abilities" and not (entry.button_name or entry.remaps_to_ability_id or number in making):
                continue
            cells = [_cell(getattr(entry, column)) for column in columns]
            if any(cells):
                lines.append("\t".join((str(number), *cells)).rstrip())
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    """A value as text; nothing for 0, no and none."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return str(np.float32(value)).removesuffix(".0") if value else ""
    if isinstance(value, int):
        return str(int(value)) if value else ""
    return ",".join(str(one) if isinstance(one, int) else _weapon(one) for one in value)


def _weapon(weapon: Any) -> str:
    bonuses = (f"{bonus.attribute}:{_cell(bonus.bonus)}" for bonus in weapon.damage_bonus)
    return " ".join((*(_cell(getattr(weapon, name)) or "0" for name in WEAPON), *bonuses))


def read() -> sc_pb.ResponseData:
    """The table as an answer: lists that begin at 0 and have no gaps, since clients find an entry by its place."""
    data = sc_pb.ResponseData()
    for kind, rows in game_data.read().items():
        entries = getattr(data, kind)
        for number, cells in rows.items():
            while len(entries) <= number:
                entries.add(**{NUMBERS[kind]: len(entries)})
            for column, cell in cells.items():
                _fill(entries[number], column, cell)
    return data


def _fill(entry: Any, column: str, cell: str) -> None:
    field = entry.DESCRIPTOR.fields_by_name[column]
    if column == "weapons":
        for one in cell.split(","):
            kind, damage, attacks, reach, speed, *bonuses = one.split(" ")
            weapon = entry.weapons.add(
                type=int(kind), damage=float(damage), attacks=int(attacks), range=float(reach), speed=float(speed)
            )
            for bonus in bonuses:
                attribute, more = bonus.split(":")
                weapon.damage_bonus.add(attribute=int(attribute), bonus=float(more))
    elif column in ("attributes", "tech_alias"):
        getattr(entry, column).extend(int(one) for one in cell.split(","))
    elif field.type == field.TYPE_STRING:
        setattr(entry, column, cell)
    elif field.type == field.TYPE_FLOAT:
        setattr(entry, column, float(cell))
    else:
        setattr(entry, column, bool(int(cell)) if field.type == field.TYPE_BOOL else int(cell))


def load(path: Path) -> sc_pb.ResponseData:
    """The answer that a file holds."""
    raw = path.read_bytes()
    raw = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    try:
        data = sc_pb.Response.FromString(raw).data
    except DecodeError:
        data = sc_pb.ResponseData()
    return data if data.units else sc_pb.ResponseData.FromString(raw)


if __name__ == "__main__":
    game_data.TABLE.write_text(write(load(Path(sys.argv[1]))), encoding="utf-8")
