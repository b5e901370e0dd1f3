"""The game's life by the protocol's rules: states, errors, loops, real time, what was saved."""

import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("websockets")

from s2clientprotocol import error_pb2, ui_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.dispatch import respond
from envs.standin.protocol.session import Session
from tests.envs.standin.protocol.player import Player

BEACON, SHARDS, ROACHES, MARINES, GAS = (
    f"mini_games/{name}.SC2Map"
    for name in ("MoveToBeacon", "CollectMineralShards", "DefeatRoaches", "BuildMarines", "CollectMineralsAndGas")
)


def tell(session: Session, **request: Any) -> sc_pb.Response:
    return sc_pb.Response.FromString(respond(session, sc_pb.Request(id=3, **request).SerializeToString()))


def game(path: str = BEACON, **more: Any) -> sc_pb.RequestCreateGame:
    created = sc_pb.RequestCreateGame(local_map=sc_pb.LocalMap(map_path=path), **more)
    created.player_setup.add(type=sc_pb.Participant)
    return created


def layers(screen: tuple[int, int], minimap: tuple[int, int]) -> sc_pb.InterfaceOptions:
    options = sc_pb.InterfaceOptions(raw=True, score=True)
    options.feature_layer.width = 24
    options.feature_layer.resolution.x, options.feature_layer.resolution.y = screen
    options.feature_layer.minimap_resolution.x, options.feature_layer.minimap_resolution.y = minimap
    return options


def test_states_and_what_they_allow() -> None:
    session = Session()
    told = tell(session, ping=sc_pb.RequestPing())
    assert (told.id, told.status, told.ping.base_build) == (3, sc_pb.launched, 75689)
    assert "init_game" in tell(session, join_game=sc_pb.RequestJoinGame(race=1)).error[0]
    assert tell(session, step=sc_pb.RequestStep()).error
    assert tell(session, observation=sc_pb.RequestObservation()).error
    assert tell(session, create_game=game()).status == sc_pb.init_game
    join = sc_pb.RequestJoinGame(race=1, options=sc_pb.InterfaceOptions(raw=True))
    assert tell(session, join_game=join).status == sc_pb.in_game
    assert tell(session, join_game=join).error
    assert tell(session, step=sc_pb.RequestStep(count=1919)).status == sc_pb.in_game
    assert not tell(session, observation=sc_pb.RequestObservation()).observation.player_result
    told = tell(session, step=sc_pb.RequestStep(count=8))
    assert (told.status, told.step.simulation_loop) == (sc_pb.ended, 1920)
    # In these words: PySC2 and python-sc2 look for them.
    assert tell(session, step=sc_pb.RequestStep()).error == ["Game has already ended"]
    assert tell(session, action=sc_pb.RequestAction()).error == ["Game has already ended"]
    seen = tell(session, observation=sc_pb.RequestObservation()).observation
    assert seen.player_result[0].result == sc_pb.Victory
    assert tell(session, restart_game=sc_pb.RequestRestartGame()).status == sc_pb.in_game
    assert tell(session, observation=sc_pb.RequestObservation()).observation.observation.game_loop == 0
    assert tell(session, leave_game=sc_pb.RequestLeaveGame()).status == sc_pb.launched
    assert tell(session, create_game=game(SHARDS)).status == sc_pb.init_game
    assert tell(session, quit=sc_pb.RequestQuit()).status == sc_pb.quit


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (sc_pb.RequestCreateGame(), "MissingMap"),
        (sc_pb.RequestCreateGame(battlenet_map_name="Acropolis"), "InvalidMapName"),
        (game("MoveToBacon.SC2Map"), "InvalidMapPath"),
        (sc_pb.RequestCreateGame(local_map=sc_pb.LocalMap(map_path=BEACON)), "MissingPlayerSetup"),
    ],
)
def test_games_that_cannot_be_created(asked: sc_pb.RequestCreateGame, error: str) -> None:
    told = tell(Session(), create_game=asked)
    assert told.create_game.error == sc_pb.ResponseCreateGame.Error.Value(error)
    assert told.create_game.error_details
    assert told.status == sc_pb.launched
    if error == "InvalidMapPath":
        assert "MoveToBeacon" in told.create_game.error_details


def test_options_that_cannot_be_served() -> None:
    session = Session()
    tell(session, create_game=game())
    huge = sc_pb.InterfaceOptions()
    huge.render.resolution.x = 2000
    wide = sc_pb.InterfaceOptions()
    wide.feature_layer.width = 30
    cropped = sc_pb.InterfaceOptions(raw_crop_to_playable_area=True)
    for options, word in ((huge, "from 1 to 512"), (wide, "24"), (cropped, "crop")):
        told = tell(session, join_game=sc_pb.RequestJoinGame(race=1, options=options))
        assert word in told.error[0]
        assert told.status == sc_pb.init_game
    told = tell(session, join_game=sc_pb.RequestJoinGame(race=1))
    assert told.join_game.error == sc_pb.ResponseJoinGame.MissingOptions


def test_rendered_images_show_what_the_layers_do_and_can_be_clicked() -> None:
    session = Session()
    tell(session, create_game=game(ROACHES, random_seed=5))
    options = sc_pb.InterfaceOptions(raw=True)
    options.render.width = 24
    options.render.resolution.x, options.render.resolution.y = 96, 48
    options.render.minimap_resolution.x, options.render.minimap_resolution.y = 64, 64
    tell(session, join_game=sc_pb.RequestJoinGame(race=1, options=options))
    assert tell(session, game_info=sc_pb.RequestGameInfo()).game_info.options == options
    seen = tell(session, observation=sc_pb.RequestObservation()).observation.observation
    image, small = seen.render_data.map, seen.render_data.minimap
    assert (image.bits_per_pixel, image.size.x, image.size.y, small.size.x) == (24, 96, 48, 64)
    picture = np.frombuffer(image.data, np.uint8).reshape(48, 96, 3).astype(int)
    for u in seen.raw_data.units:
        # The camera sees 24 x 24 world units around (33, 25).
        red, green, _ = picture[int((37 - u.pos.y) * 2), int((u.pos.x - 21) * 4)]
        assert (red > green) == (u.alliance == 4), u
    roach = next(u for u in seen.raw_data.units if u.unit_type == 110)
    action = sc_pb.Action()
    click = action.action_render.unit_command
    click.ability_id = 3674
    click.target_screen_coord.x, click.target_screen_coord.y = int((roach.pos.x - 21) * 4), int((37 - roach.pos.y) * 2)
    assert tell(session, action=sc_pb.RequestAction(actions=[action])).action.result == [error_pb2.Success]
    told = tell(session, observation=sc_pb.RequestObservation()).observation
    assert told.actions[0].action_render == action.action_render
    assert any(u.orders and u.orders[0].target_unit_tag == roach.tag for u in told.observation.raw_data.units)


def test_what_is_not_a_request_is_answered() -> None:
    session = Session()
    told = sc_pb.Response.FromString(respond(session, b"\xff\xff\xff"))
    assert told.error
    assert told.status == sc_pb.launched
    assert sc_pb.Response.FromString(respond(session, b"")).error


def test_game_info_echoes_the_options_and_shows_the_map() -> None:
    session = Session()
    tell(session, create_game=game(GAS))
    options = layers((84, 87), (64, 67))
    tell(session, join_game=sc_pb.RequestJoinGame(race=1, options=options))
    info = tell(session, game_info=sc_pb.RequestGameInfo()).game_info
    assert info.options == options
    assert [p.player_id for p in info.player_info] == [1]
    start = info.start_raw
    cells = np.unpackbits(np.frombuffer(start.pathing_grid.data, np.uint8)).reshape(64, 64)
    rows, columns = np.nonzero(cells)
    # The script's region: (19.9, 19.0) to (45.9, 37.0); rows count from the bottom, as in the game's own grids.
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (20, 19, 45, 36)
    assert (start.playable_area.p1.x, start.playable_area.p1.y) == (46, 37)
    assert len(start.terrain_height.data) == 64 * 64


def test_layers_need_not_be_square() -> None:
    session = Session()
    width, height = 84, 42
    tell(session, create_game=game(ROACHES, random_seed=5))
    tell(session, join_game=sc_pb.RequestJoinGame(race=1, options=layers((width, height), (64, 32))))
    before = tell(session, observation=sc_pb.RequestObservation()).observation.observation
    roach = next(u for u in before.raw_data.units if u.unit_type == 110)
    # The camera sees 24 x 24 world units around (33, 25), whatever the screen's shape.
    action = sc_pb.Action()
    click = action.action_feature_layer.unit_command
    click.ability_id = 3674
    click.target_screen_coord.x = int((roach.pos.x - 21) / 24 * width)
    click.target_screen_coord.y = int((37 - roach.pos.y) / 24 * height)
    assert tell(session, action=sc_pb.RequestAction(actions=[action])).action.result == [error_pb2.Success]
    seen = tell(session, observation=sc_pb.RequestObservation()).observation.observation
    assert {u.orders[0].target_unit_tag for u in seen.raw_data.units if u.unit_type == 48} <= {
        u.tag for u in seen.raw_data.units if u.unit_type == 110
    }
    layer = seen.feature_layer_data.renders.player_relative
    shown = np.frombuffer(layer.data, np.uint8).reshape(height, width)
    expected = np.zeros((height, width), np.uint8)
    x, y = 21 + (np.arange(width) + 0.5) * 24 / width, 37 - (np.arange(height)[:, None] + 0.5) * 24 / height
    for alliance in (4, 1):
        for u in seen.raw_data.units:
            if u.alliance == alliance:
                expected[np.hypot(x - u.pos.x, y - u.pos.y) <= u.radius] = alliance
                expected[int((37 - u.pos.y) / 24 * height), int((u.pos.x - 21) / 24 * width)] = alliance
    np.testing.assert_array_equal(shown, expected)


def test_actions_are_told_and_so_are_errors() -> None:
    player = Player(MARINES)
    worker = player.units(45)[0]
    assert player.command(321, worker, 30.0, 22.0) == error_pb2.BuildTechRequirementsNotMet
    assert player.command(319, worker, 30.0, 22.0) == error_pb2.NotEnoughMinerals
    assert player.command(3665, worker) == error_pb2.NotSupported  # BuildMarines' workers have no stop
    assert player.command(99999, worker) == error_pb2.NotSupported
    assert player.command(3666, worker) == error_pb2.MustTargetUnit
    base = player.units(18)[0]
    seen = player.see()
    assert not seen.action_errors  # they were told by the observation before
    assert player.command(524, base) == error_pb2.Success
    player.step(8)
    seen = player.see()
    assert [a.action_raw.unit_command.ability_id for a in seen.actions] == [524]
    assert seen.actions[0].game_loop == 0
    order = next(u for u in seen.observation.raw_data.units if u.tag == base.tag).orders[0]
    assert order.ability_id == 524
    assert order.progress == pytest.approx(8 / 272)
    player.step(272)
    assert sc_pb.TrainWorkerComplete in player.see().observation.alerts
    assert not player.see().observation.alerts


def test_dead_units_are_told_once() -> None:
    player = Player(ROACHES)
    before = {u.tag: u for u in player.see().observation.raw_data.units}
    roach = player.units(110, 4)[0].pos
    for marine in player.units(48):
        player.command(3674, marine, roach.x, roach.y)
    gone: list[int] = []
    hurt = False
    for _ in range(200):
        player.step(8)
        seen = player.see().observation
        gone += seen.raw_data.event.dead_units
        hurt |= sc_pb.UnitUnderAttack in seen.alerts
        if len(gone) > 3:
            break
    there = {u.tag for u in player.see().observation.raw_data.units}
    assert len(gone) == len(set(gone)) > 3
    assert not there & set(gone)
    assert set(gone) <= set(before)
    assert hurt


def test_control_groups_and_panels() -> None:
    session = Session()
    tell(session, create_game=game(ROACHES))
    tell(session, join_game=sc_pb.RequestJoinGame(race=1, options=layers((64, 64), (64, 64))))
    action = sc_pb.Action()
    action.action_ui.control_group.action = ui_pb2.ActionControlGroup.Set
    action.action_ui.control_group.control_group_index = 4
    tell(session, action=sc_pb.RequestAction(actions=[action]))
    panels = tell(session, observation=sc_pb.RequestObservation()).observation.observation.ui_data
    assert [(g.control_group_index, g.leader_unit_type, g.count) for g in panels.groups] == [(4, 48, 9)]
    assert [u.unit_type for u in panels.multi.units] == [48] * 9
    one = sc_pb.Action()
    one.action_ui.multi_panel.type = ui_pb2.ActionMultiPanel.SingleSelect
    one.action_ui.multi_panel.unit_index = 2
    tell(session, action=sc_pb.RequestAction(actions=[one]))
    panels = tell(session, observation=sc_pb.RequestObservation()).observation.observation.ui_data
    assert panels.single.unit.max_health == 45
    assert not panels.HasField("multi")


def test_quick_save_and_load() -> None:
    player = Player(SHARDS)
    player.step(100)
    assert player.tell(quick_load=sc_pb.RequestQuickLoad()).error
    player.ask(quick_save=sc_pb.RequestQuickSave())
    then = player.see().observation.raw_data.units
    for marine in player.units(48):
        player.command(3794, marine, 33.0, 28.0)
    player.step(100)
    assert player.see().observation.raw_data.units != then
    player.ask(quick_load=sc_pb.RequestQuickLoad())
    assert player.see().observation.raw_data.units == then
    assert player.see().observation.game_loop == 100


def test_real_time_goes_by_itself() -> None:
    player = Player(BEACON, realtime=True)
    assert player.tell(step=sc_pb.RequestStep()).error
    start = time.monotonic()
    asked = sc_pb.RequestObservation(game_loop=8)
    loop = player.ask(observation=asked).observation.observation.game_loop
    # 22.4 loops a second, never sooner; how much later depends on how busy the machine is.
    assert loop >= 8
    assert time.monotonic() - start >= 7 / 22.4
    time.sleep(0.2)
    assert player.see().observation.game_loop >= loop + 4


def test_fog_is_lifted_on_request() -> None:
    path = "mini_games/FindAndDefeatZerglings.SC2Map"
    player, seer = Player(path, seed=2), Player(path, seed=2, disable_fog=True)
    hidden = len(player.units(105, 4))
    lifted = player.ask(observation=sc_pb.RequestObservation(disable_fog=True)).observation.observation
    assert hidden < 25 == sum(u.unit_type == 105 for u in lifted.raw_data.units) == len(seer.units(105, 4))
    assert len(player.units(105, 4)) == hidden
    sight = np.frombuffer(player.see().observation.raw_data.map_state.visibility.data, np.uint8).reshape(64, 64)
    # Marines in the middle see as far as 9 from there, and one more where they stand.
    rows, columns = np.nonzero(sight == 2)
    assert 8 <= np.hypot(columns + 0.5 - 32, rows + 0.5 - 28).max() <= 10
