"""Numbers for what an interface tells apart: kinds of units, abilities in their general form, buffs, upgrades."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from envs.starcraft.functions import FUNCTIONS, RAW_FUNCTIONS, Function
from envs.starcraft.static.columns import UNIT_TYPES
from envs.starcraft.static.table import Entry, entries, groups

VARIANTS: Mapping[int, tuple[int, ...]] = {
    341: (146, 147, 483, 665, 666, 796, 797, 884, 885, 886, 887, 1961, 1996, 1997, 1998),
    342: (343, 344, 608, 880, 881),
}
"""Unit types that look different and are the same: mineral fields and geysers of the other tilesets and sizes."""


@cache
def units() -> Mapping[str, Entry]:
    """Every kind of unit that can be named: PySC2's, and the mini-games' beacon and shards."""
    shown = {name: Entry(number, name, "N") for number, name in UNIT_TYPES.items()}
    return {**shown, **entries("units")}


@cache
def unit_groups() -> Mapping[str, tuple[str, ...]]:
    """As :func:`groups`, and ``minigames``: what is there in the mini-games."""
    return {**groups("units"), "minigames": tuple(UNIT_TYPES.values())}


@cache
def unit_numbers(names: tuple[str, ...]) -> Mapping[int, int]:
    """Unit type of the game -> 1 + its place among ``names``; what is not in here is 0.

    A mineral field of another tileset counts as one where it is not told apart, and so does what PySC2 has no name for
    and another version of the game calls a mineral field.
    """
    known = units()
    numbers = {known[name].number: place for place, name in enumerate(names, 1)}
    for kind, others in VARIANTS.items():
        if kind in numbers:
            unnamed = {entry.number for entry in known.values() if not entry.named}
            numbers |= {other: numbers[kind] for other in others if other not in numbers or other in unnamed}
    return numbers


@cache
def numbers(kind: str, names: tuple[str, ...]) -> Mapping[int, int]:
    """A buff's, an upgrade's or an effect's number in the game -> 1 + its place among ``names``."""
    known = entries(kind)
    return {known[name].number: place for place, name in enumerate(names, 1)}


@cache
def general() -> Mapping[int, int]:
    """Ability -> its general form, or itself."""
    table = (*FUNCTIONS.values(), *RAW_FUNCTIONS.values())
    return {f.ability: f.general or f.ability for f in table if f.ability}


def ability_numbers(functions: Iterable[Function]) -> Mapping[int, int]:
    """Ability -> 1 + the place of its general form among those of ``functions``; what is not in here is another."""
    every = general()
    forms = dict.fromkeys(every[f.ability] for f in functions if f.ability)
    places = {form: place for place, form in enumerate(forms, 1)}
    return {ability: places[form] for ability, form in every.items() if form in places}
