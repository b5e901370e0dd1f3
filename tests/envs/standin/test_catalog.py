"""Every number of the catalog that the game's own ResponseData tells, against it."""

import os
from pathlib import Path

import pytest

from envs.standin import catalog

_ATTRIBUTES = {1: catalog.LIGHT, 2: catalog.ARMORED, 3: catalog.BIOLOGICAL, 4: catalog.MECHANICAL, 8: catalog.STRUCTURE}
_TABLE = catalog.type_table()
_KINDS = range(1, catalog.KINDS)


@pytest.fixture(scope="module")
def response():
    folder = os.environ.get("PERCEIVER_RL_TEST_DATA")
    if not folder:
        pytest.skip("PERCEIVER_RL_TEST_DATA does not name the folder with recorded game data")
    pb = pytest.importorskip("s2clientprotocol.sc2api_pb2")
    import gzip

    reply = pb.Response.FromString(gzip.decompress((Path(folder) / "real_game/16-BitLE/data.pb.gz").read_bytes()))
    return {u.unit_id: u for u in reply.data.units}


@pytest.mark.parametrize("kind", _KINDS)
def test_numbers_are_the_games(response, kind):
    ours, theirs = _TABLE[kind], response.get(int(_TABLE[kind]["api_id"]))
    if theirs is None or not theirs.name:
        pytest.skip("a unit of the campaign: the recorded ResponseData does not have it")
    for name, value in {
        "armor": theirs.armor,
        "sight": theirs.sight_range,
        "speed": theirs.movement_speed / 16,
        "supply": 2 * theirs.food_required,
        "provides": 2 * theirs.food_provided,
    }.items():
        if kind not in (catalog.BEACON, catalog.MINERAL_FIELD, catalog.GEYSER) or name in ("speed", "supply"):
            assert ours[name] == pytest.approx(value, rel=1e-4, abs=1e-6), (theirs.name, name)
    if ours["build_loops"]:
        assert ours["build_loops"] == theirs.build_time
    own = {a for a in theirs.attributes if a in _ATTRIBUTES}
    if kind < catalog.MINERAL_FIELD:
        assert int(ours["attributes"]) == sum(_ATTRIBUTES[a] for a in own)


@pytest.mark.parametrize("kind", _KINDS)
def test_weapons_are_the_games(response, kind):
    ours, theirs = _TABLE[kind], response.get(int(_TABLE[kind]["api_id"]))
    if theirs is None or not theirs.weapons or kind == catalog.BANELING:
        return  # the API lists no weapon for the baneling
    weapon = theirs.weapons[0]
    assert ours["damage"] == weapon.damage
    assert ours["range"] == pytest.approx(weapon.range)
    assert ours["period"] == pytest.approx(weapon.speed * 16, rel=1e-4)
    assert weapon.attacks == 1


def test_costs_are_the_games(response):
    # A building's cost in ResponseData is its own; a zergling's is that of the pair.
    for kind in (catalog.MARINE, catalog.SCV, catalog.COMMAND_CENTER, catalog.SUPPLY_DEPOT, catalog.BARRACKS):
        theirs = response[int(_TABLE[kind]["api_id"])]
        assert (_TABLE[kind]["minerals"], _TABLE[kind]["vespene"]) == (theirs.mineral_cost, theirs.vespene_cost)
    assert _TABLE[catalog.REFINERY]["minerals"] == response[20].mineral_cost


def test_against_an_older_version(response):
    """The numbers that decide the fights did not change between versions 4.0 and the recorded one."""
    pb = pytest.importorskip("s2clientprotocol.sc2api_pb2")
    path = Path(os.environ["PERCEIVER_RL_TEST_DATA"]) / "real_game/response_data_4_0.pb"
    old = {u.unit_id: u for u in pb.ResponseData.FromString(path.read_bytes()).units}
    for kind in (catalog.MARINE, catalog.ROACH, catalog.ZERGLING):
        theirs = old[int(_TABLE[kind]["api_id"])]
        assert _TABLE[kind]["speed"] == pytest.approx(theirs.movement_speed / 16, rel=1e-4)
        assert _TABLE[kind]["damage"] == theirs.weapons[0].damage
