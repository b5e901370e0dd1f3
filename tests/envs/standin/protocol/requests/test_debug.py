"""Debug requests: what they change in the game, and what they refuse."""

import pytest

sc_pb = pytest.importorskip("s2clientprotocol.sc2api_pb2")

from s2clientprotocol import common_pb2, debug_pb2, raw_pb2  # noqa: E402

from tests.envs.standin.protocol.player import Player  # noqa: E402

MARINE, SCV, COMMAND_CENTER, DEPOT, BARRACKS, REFINERY, GEYSER = 48, 45, 18, 19, 21, 20, 342
BUILD_DEPOT, BUILD_BARRACKS, TRAIN_SCV, TRAIN_MARINE = 319, 321, 524, 560


def debug(player, **command):
    return player.tell(debug=sc_pb.RequestDebug(debug=[debug_pb2.DebugCommand(**command)]))


def cheat(player, state):
    assert not debug(player, game_state=state).error


def create(player, unit_type, owner=1, x=32.0, y=32.0, quantity=1):
    return debug(
        player,
        create_unit=debug_pb2.DebugCreateUnit(
            unit_type=unit_type, owner=owner, pos=common_pb2.Point2D(x=x, y=y), quantity=quantity
        ),
    )


def test_units_come_and_go_and_are_hurt():
    player = Player()
    assert not create(player, MARINE, quantity=5).error
    player.step(2)
    marines = player.units(MARINE)
    assert len(marines) == 5
    assert all(abs(u.pos.x - 32) < 2 and abs(u.pos.y - 32) < 2 and u.health == 45 for u in marines)
    assert not debug(player, kill_unit=debug_pb2.DebugKillUnit(tag=[marines[0].tag])).error
    value = debug_pb2.DebugSetUnitValue(unit_value=debug_pb2.DebugSetUnitValue.Life, value=5, unit_tag=marines[1].tag)
    assert not debug(player, unit_value=value).error
    player.step(2)
    health = {u.tag: u.health for u in player.units(MARINE)}
    assert len(health) == 4
    assert marines[0].tag not in health
    assert health[marines[1].tag] == 5


def test_units_of_the_other_side_fight_and_buildings_block_the_way():
    player = Player(disable_fog=True)
    create(player, MARINE, owner=1, quantity=6)
    create(player, MARINE, owner=2, x=35.0)
    create(player, BARRACKS, owner=2, x=32.3, y=36.1)
    player.step(1)
    barracks = player.units(BARRACKS, raw_pb2.Enemy)
    assert [(u.pos.x, u.pos.y) for u in barracks] == [(32.5, 36.5)]
    player.step(60)
    assert len(player.units(MARINE, raw_pb2.Enemy)) == 0
    assert len(player.units(MARINE)) == 6


def test_resources_are_given():
    player = Player()
    for state, minerals, vespene in (
        (debug_pb2.minerals, 5050, 0),
        (debug_pb2.gas, 5050, 5000),
        (debug_pb2.all_resources, 10050, 10000),
    ):
        cheat(player, state)
        common = player.see().observation.player_common
        assert (common.minerals, common.vespene) == (minerals, vespene)


def test_free_and_fast_building():
    player = Player()
    cheat(player, debug_pb2.free)
    cheat(player, debug_pb2.fast_build)
    center = player.units(COMMAND_CENTER)[0]
    before = len(player.units(SCV))
    assert player.command(TRAIN_SCV, center) == 1
    player.step(2)
    assert len(player.units(SCV)) == before + 1
    side = 1 if center.pos.x < 32 else -1
    assert player.command(BUILD_DEPOT, player.units(SCV)[0], center.pos.x + 5 * side, center.pos.y) == 1
    player.step(100)
    assert [(u.build_progress, u.health) for u in player.units(DEPOT)] == [(1.0, 400.0)]
    assert player.see().observation.player_common.minerals >= 50
    cheat(player, debug_pb2.free)  # and off again: a depot costs 100
    money = player.see().observation.player_common.minerals
    assert (player.command(BUILD_DEPOT, player.units(SCV)[0], 32.0, 32.0) == 1) == (money >= 100)


def test_supply_and_requirements_are_waived():
    player = Player()
    cheat(player, debug_pb2.all_resources)
    center = player.units(COMMAND_CENTER)[0]
    side = 1 if center.pos.x < 32 else -1
    site = center.pos.x + 6 * side, center.pos.y
    assert player.command(BUILD_BARRACKS, player.units(SCV)[0], *site) != 1
    cheat(player, debug_pb2.tech_tree)
    assert player.command(BUILD_BARRACKS, player.units(SCV)[0], *site) == 1
    assert player.see().observation.player_common.food_cap == 15
    cheat(player, debug_pb2.food)
    assert player.see().observation.player_common.food_cap == 200


def test_nobody_hurts_a_god():
    player = Player()
    create(player, MARINE, owner=1)
    create(player, MARINE, owner=2, x=34.0, quantity=4)
    cheat(player, debug_pb2.god)
    player.step(200)
    assert [u.health for u in player.units(MARINE)] == [45]


def test_the_map_is_shown():
    player = Player()
    assert not player.units(COMMAND_CENTER, raw_pb2.Enemy)
    cheat(player, debug_pb2.show_map)
    assert len(player.units(COMMAND_CENTER, raw_pb2.Enemy)) == 1


@pytest.mark.parametrize(
    ("how", "own", "other"),
    [
        (debug_pb2.DebugEndGame.Surrender, sc_pb.Defeat, sc_pb.Victory),
        (debug_pb2.DebugEndGame.DeclareVictory, sc_pb.Victory, sc_pb.Defeat),
    ],
)
def test_the_game_is_ended(how, own, other):
    player = Player()
    debug(player, end_game=debug_pb2.DebugEndGame(end_result=how))
    assert player.ask(step=sc_pb.RequestStep(count=8)).status == sc_pb.ended
    assert [(r.player_id, r.result) for r in player.see().player_result] == [(1, own), (2, other)]


def test_a_mini_game_is_won_by_decree():
    player = Player("mini_games/MoveToBeacon.SC2Map")
    debug(player, score=debug_pb2.DebugSetScore(score=7))
    assert player.see().observation.score.score == 7
    debug(player, end_game=debug_pb2.DebugEndGame(end_result=debug_pb2.DebugEndGame.DeclareVictory))
    player.step(1)
    assert [r.result for r in player.see().player_result] == [sc_pb.Victory]


def test_what_the_stand_in_has_not_is_refused_by_name():
    player = Player()
    assert "77" in create(player, 77).error[0]
    assert "player 5" in create(player, MARINE, owner=5).error[0]
    assert "room for 400" in create(player, MARINE, quantity=500).error[0]
    shields = debug_pb2.DebugSetUnitValue(unit_value=debug_pb2.DebugSetUnitValue.Shields, value=1, unit_tag=1)
    assert "shields" in debug(player, unit_value=shields).error[0]
    assert "control_enemy" in debug(player, game_state=debug_pb2.control_enemy).error[0]
    assert not debug(player, draw=debug_pb2.DebugDraw()).error
    player.step(1)
