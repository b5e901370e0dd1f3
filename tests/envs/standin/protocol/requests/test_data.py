"""``ResponseData`` against the real game's, recorded, and against PySC2's tables."""

import gzip
import os
from pathlib import Path

import pytest

sc_pb = pytest.importorskip("s2clientprotocol.sc2api_pb2")

from envs.standin.protocol.requests.data import BUFFS, catalog  # noqa: E402
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
    assert (len(told.abilities), len(told.buffs)) == (0, 0)
    assert sum(u.available for u in told.units) == len(UNIT_TYPES)
    assert player.ask(data=sc_pb.RequestData(**EVERYTHING)).data == catalog()


def test_places_are_numbers():
    told = catalog()
    assert [u.unit_id for u in told.units] == list(range(len(told.units)))
    assert [a.ability_id for a in told.abilities] == list(range(len(told.abilities)))
    assert [b.buff_id for b in told.buffs] == list(range(len(told.buffs)))


def test_units_are_the_games(recorded):
    fields = (
        "name", "cargo_size", "mineral_cost", "vespene_cost", "food_required", "food_provided", "ability_id", "race",
        "build_time", "has_vespene", "has_minerals", "sight_range", "tech_requirement", "armor", "attributes",
    )  # fmt: skip
    compared = 0
    for mine in catalog().units:
        theirs = recorded.units[mine.unit_id]
        if not (mine.available and theirs.available):
            continue
        compared += 1
        for field in fields:
            assert getattr(mine, field) == getattr(theirs, field), (mine.name, field)
        assert mine.movement_speed == pytest.approx(theirs.movement_speed)
        assert len(mine.weapons) == len(theirs.weapons)
        for a, b in zip(mine.weapons, theirs.weapons, strict=True):
            assert (a.type, a.damage, a.attacks, len(a.damage_bonus)) == (b.type, b.damage, b.attacks, 0)
            assert (a.range, a.speed) == (pytest.approx(b.range), pytest.approx(b.speed))
    # All but the shards, which are a campaign's.
    assert compared == len(UNIT_TYPES) - 1


def test_abilities_are_the_games(recorded):
    compared = 0
    for mine in catalog().abilities:
        if mine.remaps_to_ability_id:
            assert mine.remaps_to_ability_id == recorded.abilities[mine.ability_id].remaps_to_ability_id
        if mine.available:
            theirs = recorded.abilities[mine.ability_id]
            compared += 1
            assert mine.remaps_to_ability_id == theirs.remaps_to_ability_id
            for field in ("target", "allow_minimap", "is_building", "footprint_radius"):
                assert getattr(mine, field) == getattr(theirs, field), (mine.ability_id, field)
            assert theirs.friendly_name.split()[0] == mine.friendly_name.split()[0]
    assert compared > 25


def test_buffs_are_the_games(recorded):
    for number, name in BUFFS.items():
        assert recorded.buffs[number].name == name


def test_pysc2s_functions_find_their_general_abilities():
    actions = pytest.importorskip("pysc2_evolved.lib.actions")
    abilities = catalog().abilities
    for function in [*actions.FUNCTIONS, *actions.RAW_FUNCTIONS]:
        assert abilities[function.ability_id].remaps_to_ability_id == function.general_id, function.name
