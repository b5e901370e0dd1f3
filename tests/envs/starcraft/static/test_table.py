"""The table of PySC2's static data against PySC2 itself."""

import pytest

from envs.starcraft.static import vocabulary
from envs.starcraft.static.table import entries, groups

lib = pytest.importorskip("pysc2_evolved.lib")


def test_units_are_pysc2s():
    from pysc2_evolved.lib import static_data, units

    ours = {entry.number: entry for entry in entries("units").values()}
    assert list(ours) == sorted(static_data.UNIT_TYPES)
    races = {"Neutral": "N", "Terran": "T", "Zerg": "Z", "Protoss": "P"}
    for race, letter in races.items():
        for unit in getattr(units, race):
            assert (ours[unit].name, ours[unit].races, ours[unit].named) == (unit.name, letter, True)
    assert sum(not entry.named for entry in ours.values()) == 9  # which the game's own data names


@pytest.mark.parametrize("kind", ["buffs", "upgrades"])
def test_buffs_and_upgrades_are_pysc2s(kind):
    import importlib

    from pysc2_evolved.lib import static_data

    names = getattr(importlib.import_module(f"pysc2_evolved.lib.{kind}"), kind.capitalize())
    ours = {entry.number: entry for entry in entries(kind).values()}
    assert list(ours) == getattr(static_data, kind.upper())
    named = {int(one): one.name for one in names}
    assert {number: entry.name for number, entry in ours.items() if entry.named} == named
    assert groups(kind)["named"] == tuple(named[number] for number in ours if number in named)


def test_effects_are_pysc2s():
    from pysc2_evolved.lib.features_types import Effects

    assert {e.number: e.name for e in entries("effects").values()} == {int(e): e.name for e in Effects if int(e)}


def test_upgrades_are_of_the_race_whose_units_they_change():
    known = {race: set(groups("upgrades")[race]) for race in ("terran", "zerg", "protoss")}
    assert {"Stimpack", "TerranInfantryWeaponsLevel3", "EnhancedShockwaves", "DrillingClaws"} <= known["terran"]
    assert {"Burrow", "ZergFlyerArmorsLevel2", "GlialReconstitution"} <= known["zerg"]
    assert {"Blink", "WarpGateResearch", "PsiStorm"} <= known["protoss"]
    assert sum(map(len, known.values())) == len(set().union(*known.values())) == len(groups("upgrades")["named"])


def test_a_mineral_field_of_another_tileset_is_one_where_it_is_not_told_apart():
    short = vocabulary.unit_numbers(("MineralField", "VespeneGeyser"))
    assert [short[n] for n in (341, 483, 665, 1996, 342, 880)] == [1, 1, 1, 1, 2, 2]
    told_apart = vocabulary.unit_numbers(("MineralField", "LabMineralField"))
    assert [told_apart[n] for n in (341, 665, 666)] == [1, 2, 1]


def test_every_ability_has_its_general_form():
    actions = pytest.importorskip("pysc2_evolved.lib.actions")
    forms = vocabulary.general()
    for f in (*actions.FUNCTIONS, *actions.RAW_FUNCTIONS):
        if f.ability_id:
            assert forms[int(f.ability_id)] == int(f.general_id or f.ability_id)
