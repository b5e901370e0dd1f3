"""``python -m envs.starcraft.static.make``: write the table anew from the installed PySC2.

Numbers and names are PySC2's. Where it lists a number without a name, the name is the one that the game itself uses
(``ResponseData``). Whose an ability or an upgrade is nobody writes down: it is the race of the unit that the ability
makes, or of the unit whose name its own begins with.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from envs.starcraft.pysc2 import load
from envs.starcraft.static.table import COLUMNS, TABLE

RACES = {"terran": "T", "zerg": "Z", "protoss": "P", "neutral": "N"}
NUMBERED = {"1": "T", "2": "Z", "3": "P"}
"""``Race`` in the game's data."""

BEGINNINGS = {
    "T": "Terran CalldownMULE EMP Hellbat Land Lift LockOn Salvage ScannerSweep Stim StopRedirect AttackRedirect "
    "SupplyDrop TacticalJump Unsiege Viking Yamato FighterMode Repair Nuke Personal Snipe EnhancedShockwaves",
    "Z": "Zerg Abduct BlindingCloud Burrow CausticSpray Contaminate CreepTumor Explode Fungal Generate Locust Neural "
    "Nydus Parasitic Root Uproot Spawn Transfusion Mutate",
    "P": "Protoss Blink Charge Chrono Feedback Graviton GuardianShield Hallucination MassRecall PsiStorm Purification "
    "RestoreShields TimeWarp Warp",
}
"""How the names of a race's abilities and upgrades begin that no unit's name begins."""


def units() -> dict[int, tuple[str, str, str]]:
    """Number -> name, race, and 1 where PySC2 has the name; others that it lists have the game's own."""
    listed = importlib.import_module(f"{load().name}.lib.static_data").UNIT_TYPES
    named = importlib.import_module(f"{load().name}.lib.units")
    game = {row["number"]: row for row in game_data("units")}
    found = {n: (game[n]["name"], NUMBERED.get(game[n]["race"], "N"), "") for n in map(int, listed) if n in game}
    for race, letter in RACES.items():
        found |= {int(one): (one.name, letter, "1") for one in getattr(named, race.capitalize())}
    return found


def game_data(kind: str) -> Iterator[dict[str, Any]]:
    """The rows of one kind in the table of the game's own data."""
    (table,) = (Path(importlib.import_module("envs").__path__[0]) / "standin").rglob("game_data.tsv")
    current, columns = "", [""]
    for line in table.read_text(encoding="utf-8").splitlines():
        first, *cells = line.split("\t")
        if not first.isdecimal():
            current, columns = first, cells
        elif current == kind:
            row = dict(zip(columns, (*cells, *[""] * len(columns)), strict=False))
            yield row | {"number": int(first)}


class Races:
    """Tells whose an ability or an upgrade is."""

    def __init__(self) -> None:
        self.makes = {row["ability_id"]: NUMBERED[row["race"]] for row in game_data("units") if row["race"]}
        self.links = {row["number"]: row["link_name"] for row in game_data("abilities")}
        starts = [(start, race) for race, all in BEGINNINGS.items() for start in all.split()]
        starts += [(name, race) for name, race, _ in units().values() if race != "N" and len(name) > 2]
        self.starts = [(start.lower(), race) for start, race in starts]

    def of_name(self, *names: str) -> str:
        """The race of the longest beginning that one of the names has; empty for none."""
        fit = [(len(start), race) for name in names for start, race in self.starts if name.lower().startswith(start)]
        return max(fit)[1] if fit else ""

    def of_ability(self, ability: int, name: str = "") -> str:
        """Of who has an ability; empty where all have it, or nobody knows."""
        made = self.makes.get(str(ability), "")
        return made or self.of_name(self.links.get(ability, "")) or self.of_name(*name.split("_")[1:], name)


def named(kind: str) -> Iterator[list[str]]:
    """Buffs or upgrades: number, name, races, and 1 where PySC2 has the name."""
    listed = getattr(importlib.import_module(f"{load().name}.lib.static_data"), kind.upper())
    enum = getattr(importlib.import_module(f"{load().name}.lib.{kind}"), kind.capitalize())
    theirs = {int(one): one.name for one in enum}
    game, races = {row["number"]: row for row in game_data(kind)}, Races()
    taken = set(theirs.values())
    for number in map(int, listed):
        row = game.get(number, {})
        name = theirs.get(number) or re.sub(r"\W", "", row.get("name", "")) or f"{kind[:-1].capitalize()}{number}"
        if number not in theirs and name in taken:
            name += str(number)
        taken.add(name)
        race = ""
        if kind == "upgrades":
            race = races.of_name(name) or races.of_ability(int(row.get("ability_id") or 0))
        yield [str(number), name, race, "1" if number in theirs else ""]


def functions(raw: bool) -> Iterator[list[str]]:
    """PySC2's functions: number, name, how aimed, ability, the general one that it is a form of, arguments, races."""
    table = list(load().actions.RAW_FUNCTIONS if raw else load().actions.FUNCTIONS)
    tell = Races()
    races = {f.name: tell.of_ability(int(f.ability_id), f.name) if f.ability_id else "" for f in table}
    races |= {"select_warp_gates": "P", "select_larva": "Z"}
    for f in table:
        special = [races[g.name] for g in table if f.ability_id and int(g.general_id) == int(f.ability_id)]
        if special and "" not in special:
            races[f.name] = "".join(sorted(set("".join(special))))
    for f in table:
        mode = f.function_type.__name__.removeprefix("raw_").removeprefix("cmd_").replace("cmd", "quick")
        mode = mode if mode in ("quick", "screen", "minimap", "pt", "unit", "autocast") else "ui"
        numbers = (str(int(n) or "") for n in (f.ability_id, f.general_id))
        yield [str(int(f.id)), f.name, mode, *numbers, ",".join(a.name for a in f.args), races[f.name]]


def rows() -> Iterator[str]:
    """The table, line by line."""
    effects = [(int(e), e.name) for e in load().effects if int(e)]
    parts: dict[str, Iterable[Any]] = {
        "units": ([str(n), *cells] for n, cells in sorted(units().items())),
        "buffs": named("buffs"),
        "upgrades": named("upgrades"),
        "effects": ([str(n), name, "", "1"] for n, name in effects),
        "functions": functions(False),
        "raw_functions": functions(True),
    }
    for kind, entries in parts.items():
        yield "\t".join((kind, *COLUMNS[kind]))
        for cells in entries:
            yield "\t".join(cells).rstrip()


if __name__ == "__main__":
    TABLE.write_text("\n".join(rows()) + "\n", encoding="utf-8")
