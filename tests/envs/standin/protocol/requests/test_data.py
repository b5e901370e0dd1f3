"""``ResponseData`` against the real game's, recorded, and against PySC2's tables."""

import gzip
import os
from pathlib import Path

import pytest

sc_pb = pytest.importorskip("s2clientprotocol.sc2api_pb2")

from envs.standin.protocol.observation.abilities import BY_ID  # noqa: E402
from envs.standin.protocol.requests import tables  # noqa: E402
from envs.standin.protocol.requests.data import catalog  # noqa: E402
from envs.standin.rules import catalog as rules  # noqa: E402
from envs.standin.rules import game_data  # noqa: E402
from envs.starcraft.interface import UNIT_TYPES  # noqa: E402
from tests.envs.standin.protocol.player import Player  # noqa: E402

EVERYTHING = dict.fromkeys(("ability_id", "unit_type_id", "upgrade_id", "buff_id", "effect_id"), True)


@pytest.fixture(scope="module")
def recorded():
    folder = os.environ.get("PERCEIVER_RL_TEST_DATA")
    if not folder:
        pytest.skip("PERCEIVER_RL_TEST_DATA names no folder with recordings")
    message = gzip.decompress((Path(folder) / "real_game/16-BitLE/data.pb.gz").read_bytes())
    return sc_pb.Response.FromString(message).data


def test_only_what_is_asked_for_is_told():
    player = Player()
    told = player.ask(data=sc_pb.RequestData(unit_type_id=True)).data
    assert [len(getattr(told, kind)) > 0 for kind in tables.NUMBERS] == [True, False, False, False, False]
    assert player.ask(data=sc_pb.RequestData(**EVERYTHING)).data == catalog()


def test_places_are_numbers():
    told = catalog()
    for kind, number in tables.NUMBERS.items():
        entries = getattr(told, kind)
        assert len(entries) > 10
        assert [getattr(entry, number) for entry in entries] == list(range(len(entries)))


def test_the_table_is_the_games(recorded):
    told = tables.read()
    compared = 0
    for kind, columns in tables.COLUMNS.items():
        for theirs in getattr(recorded, kind):
            number = getattr(theirs, tables.NUMBERS[kind])
            if number >= len(getattr(told, kind)):
                mine = type(theirs)()  # at the end are only those that are left out
            else:
                mine = getattr(told, kind)[number]
            if kind == "units" and not theirs.available:
                assert not mine.name
            elif kind == "abilities" and not (theirs.button_name or theirs.remaps_to_ability_id or mine.link_name):
                assert not mine.button_name
            else:
                for column in columns:
                    assert getattr(mine, column) == getattr(theirs, column), (kind, number, column)
                    compared += 1
    assert compared > 30_000
    assert game_data.TABLE.read_text() == tables.write(recorded)


def test_what_makes_something_is_described():
    told = catalog()
    for entry in (*told.units, *told.upgrades):
        if entry.ability_id:
            assert told.abilities[entry.ability_id].link_name, entry


def test_units_are_those_that_are_played():
    told = catalog()
    for kind, t in list(enumerate(rules.type_table()))[1 : rules.KINDS]:
        unit = told.units[int(t["api_id"])]
        assert unit.available
        assert unit.name == UNIT_TYPES.get(unit.unit_id, unit.name)
        if unit.unit_id == 1680:
            continue  # the shards are a campaign's
        before = 400 if kind == rules.ORBITAL_COMMAND else 0  # what the command center has cost
        assert (unit.mineral_cost - before, unit.vespene_cost) == (t["minerals"], t["vespene"])
        assert (unit.food_required, unit.food_provided) == (t["supply"] / 2, t["provides"] / 2)
        assert (unit.build_time, unit.sight_range, unit.armor) == (t["build_loops"], t["sight"], t["armor"])
        assert unit.movement_speed == pytest.approx(t["speed"] * rules.LOOPS)
        assert unit.has_minerals == (unit.unit_id in (341, 483))
        if unit.weapons and unit.weapons[0].type != 2:
            weapon = unit.weapons[0]
            assert (weapon.damage, weapon.attacks) == (t["damage"], t["hits"])
            assert (weapon.range, weapon.speed) == (pytest.approx(t["range"]), pytest.approx(t["period"] / rules.LOOPS))
        else:
            assert t["damage"] == 0 or t["splash"] > 0  # the game lists no weapon for a unit that bursts


def test_abilities_are_available_if_they_are_played():
    told = catalog()
    assert {a.ability_id for a in told.abilities if a.available} == set(BY_ID)
    for number, ability in BY_ID.items():
        entry = told.abilities[number]
        assert entry.friendly_name == ability.command.replace("_", " ")
        # 1 is the API's word for an ability that is aimed at nothing, 5 for one that can be.
        assert (entry.target not in (1, 5)) == ability.aimed, ability


def test_python_sc2_knows_what_everything_costs():
    """Python-sc2 finds no unit that is not ``available``, and fails with a KeyError."""
    game_data = pytest.importorskip("sc2.game_data")
    from sc2.constants import ALL_GAS
    from sc2.ids.unit_typeid import UnitTypeId as Unit
    from sc2.ids.upgrade_id import UpgradeId as Upgrade

    data = game_data.GameData(sc_pb.ResponseData.FromString(catalog().SerializeToString()))
    # Liquipedia's costs, as far as python-sc2 corrects for what is morphed or comes in pairs.
    for unit, minerals, vespene in (
        (Unit.REAPER, 50, 50),
        (Unit.FACTORY, 150, 100),
        (Unit.NEXUS, 400, 0),
        (Unit.ZERGLING, 50, 0),
        (Unit.ORBITALCOMMAND, 150, 0),
        (Unit.SPAWNINGPOOL, 200, 0),
        (Unit.MARINE, 50, 0),
    ):
        ability = data.units[unit.value].creation_ability
        cost = data.calculate_ability_cost(ability.exact_id)
        assert (cost.minerals, cost.vespene) == (minerals, vespene), unit
    assert data.upgrades[Upgrade.STIMPACK.value].cost.vespene == 100
    assert all(gas.value in data.units for gas in ALL_GAS)


def test_pysc2s_functions_find_their_general_abilities():
    actions = pytest.importorskip("pysc2_evolved.lib.actions")
    abilities = catalog().abilities
    for function in [*actions.FUNCTIONS, *actions.RAW_FUNCTIONS]:
        assert abilities[function.ability_id].remaps_to_ability_id == function.general_id, function.name


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("whole", [True, False])
def test_the_table_is_made_from_what_a_game_answers(tmp_path, pack, whole):
    data = sc_pb.ResponseData()
    data.units.add(unit_id=0)
    unit = data.units.add(
        unit_id=1, name="Tank", available=True, movement_speed=2.25, attributes=[2, 4], tech_alias=[3]
    )
    weapon = unit.weapons.add(type=1, damage=15, attacks=2, range=7, speed=1.04)
    weapon.damage_bonus.add(attribute=2, bonus=10.5)
    data.abilities.add(ability_id=0, link_name="left out")
    data.abilities.add(ability_id=1, button_name="Stop", target=1, allow_minimap=True)
    path = tmp_path / "answer.pb"
    path.write_bytes(pack((sc_pb.Response(data=data) if whole else data).SerializeToString()))
    assert tables.write(tables.load(path)).splitlines()[:2] == [
        "\t".join(("units", *tables.COLUMNS["units"])),
        "1\tTank\t1" + "\t" * 12 + "3\t\t\t\t2,4\t2.25\t\t1 15 2 7 1.04 2:10.5",
    ]
    assert "left out" not in tables.write(data)
