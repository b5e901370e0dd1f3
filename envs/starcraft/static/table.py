"""The table of PySC2's static data, and the groups that its names can be asked for by."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("static.tsv")
_NAMED, _FUNCTION = ("name", "races", "named"), ("name", "mode", "ability", "general", "arguments", "races")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "units": _NAMED, "buffs": _NAMED, "upgrades": _NAMED, "effects": _NAMED,
    "functions": _FUNCTION, "raw_functions": _FUNCTION,
}  # fmt: skip
"""Kind of entry -> what is told of each beside its number."""
RACES: Mapping[str, str] = {"terran": "T", "zerg": "Z", "protoss": "P", "neutral": "N"}


@dataclass(frozen=True)
class Entry:
    """One row: its number in the game (of a function: in PySC2), its name, and the races it is of (none: all)."""

    number: int
    name: str
    races: str = ""
    named: bool = True
    """Whether PySC2 has a name for it; else the name is the game's own."""


@cache
def rows(kind: str) -> tuple[tuple[str, ...], ...]:
    """The rows of a kind, each with as many cells as it has columns."""
    found: list[tuple[str, ...]] = []
    current, width = "", 0
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        first, *cells = line.split("\t")
        if not first.isdecimal():
            current, width = first, len(cells)
        elif current == kind:
            found.append((first, *cells, *[""] * (width - len(cells))))
    return tuple(found)


@cache
def entries(kind: str) -> Mapping[str, Entry]:
    """Units, buffs, upgrades or effects by their names, in the order of their numbers."""
    return {name: Entry(int(number), name, races, named == "1") for number, name, races, named in rows(kind)}


def select(
    option: str, asked: Iterable[str], known: Collection[str], groups: Mapping[str, Iterable[str]]
) -> tuple[str, ...]:
    """The names asked for, groups written out, each once; raises ValueError for one that there is not."""
    found: dict[str, None] = {}
    for name in asked:
        if name in groups:
            found |= dict.fromkeys(groups[name])
        elif name in known:
            found[name] = None
        else:
            near = difflib.get_close_matches(name, [*known, *groups], 1)
            every = [*groups, *known]
            names = ", ".join(every[:30]) + (f" and {len(every) - 30} more" if len(every) > 30 else "")
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {names}"
            raise ValueError(f"{option}: unknown name {name!r}{hint}")
    return tuple(found)


@cache
def groups(kind: str) -> Mapping[str, tuple[str, ...]]:
    """Names that stand for several: ``all``, ``named`` (those that PySC2 has names for), and the races."""
    table = entries(kind)
    found = {"all": tuple(table), "named": tuple(name for name, one in table.items() if one.named)}
    for race, letter in RACES.items():
        if names := tuple(name for name in found["named"] if letter in table[name].races):
            found[race] = names
    return found
