"""What the game would say aloud, for each thing that can happen to the player's units."""

import numpy as np
import pytest

pytest.importorskip("s2clientprotocol.sc2api_pb2")

from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.match import Match
from envs.standin.protocol.observation.alerts import Alerts
from envs.standin.rules import catalog as c
from envs.standin.rules import world as w
from envs.starcraft.maps import mini_game


@pytest.fixture
def match():
    return Match(mini_game("CollectMineralsAndGas"), seed=0, sizes=(64, 64, 64, 64))


def first(match, kind):
    return int(np.argmax(match.units["kind"][0] == kind))


def trained(match, kind):
    slot = int(np.argmax(match.units["kind"][0] == 0))
    match.units[0, slot] = match.units[0, first(match, c.SCV)]
    match.units["kind"][0, slot], match.units["tag"][0, slot] = kind, 900


@pytest.mark.parametrize(
    ("happens", "alerts"),
    [
        (lambda match, u: None, []),
        (lambda match, u: u["hp"].__setitem__(first(match, c.COMMAND_CENTER), 900), [sc_pb.BuildingUnderAttack]),
        (lambda match, u: u["hp"].__setitem__(first(match, c.SCV), 20), [sc_pb.UnitUnderAttack]),
        (lambda match, u: u["hp"].__setitem__(first(match, c.MINERAL_FIELD), 20), []),
        (lambda match, u: u["kind"].__setitem__(first(match, c.MINERAL_FIELD), 0), [sc_pb.MineralsExhausted]),
        (lambda match, u: trained(match, c.SCV), [sc_pb.TrainWorkerComplete]),
        (lambda match, u: trained(match, c.MARINE), [sc_pb.TrainUnitComplete]),
        (lambda match, u: u["x"].__setitem__(first(match, c.SCV), 30), []),
    ],
)
def test_an_alert_for_each_thing_that_happens_once(match, happens, alerts):
    speaker = Alerts(match)
    happens(match, match.units[0])
    assert speaker.since_last_time() == alerts
    assert speaker.since_last_time() == []


def test_a_building_is_complete_when_nothing_is_left_to_build(match):
    base = first(match, c.COMMAND_CENTER)
    match.units["build_left"][0, base] = 2
    speaker = Alerts(match)
    match.units["build_left"][0, base] = 1
    assert speaker.since_last_time() == []
    match.units["build_left"][0, base] = 0
    assert speaker.since_last_time() == [sc_pb.BuildingComplete]


@pytest.mark.parametrize("seed", range(4))
def test_where_the_enemy_has_begun(seed):
    match = Match(mini_game("Simple64"), seed=seed, sizes=(64, 64, 64, 64))
    there = (match.units["kind"][0] == c.COMMAND_CENTER) & (match.units["owner"][0] == w.ENEMY)
    assert match.enemy_starts == [(match.units["x"][0][there][0], match.units["y"][0][there][0])]
    assert Match(mini_game("MoveToBeacon"), seed=seed, sizes=(64, 64, 64, 64)).enemy_starts == []
