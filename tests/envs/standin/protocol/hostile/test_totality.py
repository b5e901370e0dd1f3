"""Every request has an answer: hostile values get the API's own error or an ActionResult, and the game goes on."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("websockets")

from s2clientprotocol import debug_pb2, error_pb2, raw_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol import checks, dispatch, replay
from envs.standin.protocol.dispatch import respond
from envs.standin.protocol.faults import Faults
from envs.standin.protocol.session import Session
from envs.standin.protocol.shared.table import MOST_LOOPS
from tests.envs.standin.protocol.player import Player
from tests.envs.standin.protocol.test_session import BEACON, MARINES, ROACHES, game, layers, tell

MARINE = 48
ODD = (math.nan, math.inf, -math.inf)


@pytest.fixture(autouse=True)
def nothing_unexpected(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Any:
    """The guard at the dispatch is for what nobody has thought of: none of what follows may reach it."""
    yield
    if "guard" not in request.node.name:
        assert not [r for r in caplog.records if r.name.startswith("envs")]


def request(change: Callable[[Any], Any]) -> sc_pb.Request:
    made = sc_pb.Request()
    change(made)
    return made


def answer(player: Player, asked: sc_pb.Request | bytes) -> sc_pb.Response:
    data = asked if isinstance(asked, bytes) else asked.SerializeToString()
    return sc_pb.Response.FromString(respond(player.session, data))


def goes_on(player: Player) -> None:
    loop = player.see().observation.game_loop
    player.step(4)
    units = player.see().observation.raw_data.units
    assert player.see().observation.game_loop == loop + 4
    assert all(math.isfinite(value) for u in units for value in (u.pos.x, u.pos.y, u.health))


def test_ability_minus_one() -> None:
    player = Player(ROACHES)
    made = request(lambda r: setattr(r.action.actions.add().action_raw.unit_command, "ability_id", -1))
    made.action.actions[0].action_raw.unit_command.unit_tags.append(2**64 - 1)
    assert answer(player, made).action.result == [error_pb2.NotSupported]
    error = player.see().action_errors[0]
    assert (error.ability_id, error.unit_tag, error.result) == (0, 2**64 - 1, error_pb2.NotSupported)
    goes_on(player)


def test_the_first_of_two_kinds_of_action_counts() -> None:
    player = Player(ROACHES)
    made = sc_pb.Action()
    made.action_raw.SetInParent()
    made.action_feature_layer.unit_command.ability_id = 99999
    assert player.ask(action=sc_pb.RequestAction(actions=[made])).action.result == [error_pb2.NotSupported]
    assert not player.see().action_errors
    made.ClearField("action_raw")
    assert player.ask(action=sc_pb.RequestAction(actions=[made])).action.result == [error_pb2.NotSupported]
    assert [e.ability_id for e in player.see().action_errors] == [99999]
    goes_on(player)


@pytest.mark.parametrize("value", [1e30, -1e30, 3.4e38])
def test_scores_that_no_message_holds(value: float) -> None:
    player = Player(BEACON)
    player.ask(debug=sc_pb.RequestDebug(debug=[debug_pb2.DebugCommand(score=debug_pb2.DebugSetScore(score=value))]))
    assert player.see().observation.score.score == math.copysign(10**9, value)
    goes_on(player)


def test_gifts_do_not_overflow() -> None:
    player = Player(MARINES)
    player.session.match.games["minerals"] = 2**31 - 200
    player.ask(debug=sc_pb.RequestDebug(debug=[debug_pb2.DebugCommand(game_state=debug_pb2.minerals)] * 3))
    assert player.see().observation.player_common.minerals == 10**9


NOT_FINITE: dict[str, Callable[[Any, float], Any]] = {
    "command": lambda r, v: r.action.actions.add().action_raw.unit_command.target_world_space_pos.__setattr__("x", v),
    "camera": lambda r, v: r.action.actions.add().action_raw.camera_move.center_world_space.__setattr__("y", v),
    "create": lambda r, v: r.debug.debug.add().create_unit.pos.__setattr__("x", v),
    "life": lambda r, v: r.debug.debug.add().unit_value.__setattr__("value", v),
    "score": lambda r, v: r.debug.debug.add().score.__setattr__("score", v),
    "placement": lambda r, v: r.query.placements.add().target_pos.__setattr__("x", v),
    "pathing": lambda r, v: r.query.pathing.add().end_pos.__setattr__("y", v),
}


@pytest.mark.parametrize("value", ODD, ids=str)
@pytest.mark.parametrize("what", NOT_FINITE)
def test_numbers_that_are_not_finite_are_refused_by_name(what: str, value: float) -> None:
    player = Player(ROACHES)
    before = player.session.match.save()
    error = answer(player, request(lambda r: NOT_FINITE[what](r, value))).error[0]
    assert str(value) in error
    assert error.split()[0].split(".")[0] in ("action", "debug", "query")
    assert all(np.array_equal(a, b) for a, b in zip(before, player.session.match.save(), strict=True))
    goes_on(player)


def test_not_finite_camera_width_and_unknown_players() -> None:
    session = Session()
    tell(session, create_game=game())
    options = layers((64, 64), (64, 64))
    options.feature_layer.width = math.nan
    assert "width" in tell(session, join_game=sc_pb.RequestJoinGame(race=1, options=options)).error[0]


@pytest.mark.parametrize("place", [(1e30, 1e30), (-1e30, 5.0), (1e-45, -0.0), (3.4e38, -3.4e38)])
def test_places_beyond_the_map(place: tuple[float, float]) -> None:
    player = Player(ROACHES)
    assert player.command(3794, player.units(MARINE)[0], *place) == error_pb2.Success
    way = sc_pb.Request()
    start, end = way.query.pathing.add(), way.query.placements.add(ability_id=319)
    start.start_pos.x, start.start_pos.y = place
    end.target_pos.x, end.target_pos.y = place
    told = answer(player, way).query
    assert told.pathing[0].distance == 0
    assert told.placements[0].result == error_pb2.CantBuildLocationInvalid
    for _ in range(10):
        goes_on(player)


@pytest.mark.parametrize("index", [10, 33, 63, 64, 2**31, 2**32 - 1])
@pytest.mark.parametrize("act", [1, 2, 3])
def test_control_groups_that_nobody_has(index: int, act: int) -> None:
    player = Player(ROACHES)
    made = sc_pb.Action()
    made.action_ui.control_group.action, made.action_ui.control_group.control_group_index = act, index
    assert player.ask(action=sc_pb.RequestAction(actions=[made])).action.result == [error_pb2.Error]
    assert not player.see().observation.ui_data.groups


@pytest.mark.parametrize("index", [-1, -(2**31), 5, 2**31 - 1])
def test_places_in_a_queue_that_are_not_there(index: int) -> None:
    player = Player(MARINES)
    base = player.units(18)[0]
    assert player.command(524, base) == error_pb2.Success
    player.session.match.units["selected"][0, player.session.match.slot(base.tag)] = 1
    made = sc_pb.Action()
    made.action_ui.production_panel.unit_index = index
    assert player.ask(action=sc_pb.RequestAction(actions=[made])).action.result == [error_pb2.Error]
    assert player.units(18)[0].orders[0].ability_id == 524


def test_clicks_beyond_the_screen_are_told_in_the_watchers_pixels() -> None:
    session = Session()
    tell(session, create_game=game(ROACHES))
    tell(session, join_game=sc_pb.RequestJoinGame(race=1, options=layers((64, 64), (64, 64))))
    made = sc_pb.Action()
    made.action_feature_layer.unit_selection_point.selection_screen_coord.x = 2**31 - 1
    made.action_feature_layer.unit_selection_point.selection_screen_coord.y = -(2**31)
    tell(session, action=sc_pb.RequestAction(actions=[made]))
    data = tell(session, save_replay=sc_pb.RequestSaveReplay()).save_replay.data
    start = sc_pb.RequestStartReplay(replay_data=data, options=layers((512, 512), (64, 64)))
    assert not tell(session, start_replay=start).error
    data = replay.Replay.decode(data)
    shown = replay.rescaled(made, data.sizes, (512, 512, 64, 64)).action_feature_layer.unit_selection_point
    assert (shown.selection_screen_coord.x, shown.selection_screen_coord.y) == (504, 0)


TEXTS: dict[str, Callable[[Any, str], Any]] = {
    "create_game.local_map.map_path": lambda r, t: setattr(r.create_game.local_map, "map_path", t),
    "create_game.battlenet_map_name": lambda r, t: setattr(r.create_game, "battlenet_map_name", t),
    "replay_info.replay_path": lambda r, t: setattr(r.replay_info, "replay_path", t),
    "start_replay.replay_path": lambda r, t: setattr(r.start_replay, "replay_path", t),
    "map_command.trigger_cmd": lambda r, t: setattr(r.map_command, "trigger_cmd", t),
    "join_game.player_name": lambda r, t: setattr(r.join_game, "player_name", t),
    "action.actions.action_chat.message": lambda r, t: setattr(r.action.actions.add().action_chat, "message", t),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_that_is_no_text(name: str) -> None:
    player = Player(BEACON)
    made = request(lambda r: TEXTS[name](r, "a text of ours"))
    told = answer(player, made.SerializeToString().replace(b"text", b"\xff\xfe\xc0\x80"))
    assert told.error[0].startswith(f"{name} is no UTF-8")
    assert answer(player, request(lambda r: TEXTS[name](r, "x" * 5000))).error[0].startswith(f"{name} has 5000")
    answer(player, request(lambda r: TEXTS[name](r, "\0")))
    goes_on(player)


def test_drawing_is_not_kept() -> None:
    player = Player(ROACHES)
    draw = debug_pb2.DebugCommand(draw=debug_pb2.DebugDraw(text=[debug_pb2.DebugText(text="hello")]))
    player.ask(debug=sc_pb.RequestDebug(debug=[draw] * 20_000))
    boxes = debug_pb2.DebugDraw(boxes=[debug_pb2.DebugBox(color=debug_pb2.Color(r=1))] * 60_000)  # not counted, either
    player.ask(debug=sc_pb.RequestDebug(debug=[debug_pb2.DebugCommand(draw=boxes)]))
    assert not player.session.recording.events


LARGE: dict[str, Callable[[Any], Any]] = {
    "actions": lambda r: [r.action.actions.add() for _ in range(5001)],
    "debug commands": lambda r: [r.debug.debug.add() for _ in range(5001)],
    "questions": lambda r: [r.query.pathing.add() for _ in range(5001)],
    "game loops": lambda r: setattr(r.step, "count", MOST_LOOPS + 1),
    "too many parts": lambda r: [r.debug.debug.add().create_unit.pos for _ in range(40_000)],
    "too large": lambda r: r.action.actions.add().action_raw.unit_command.unit_tags.extend([2**64 - 1] * 10**5),
}


@pytest.mark.parametrize("what", LARGE)
def test_requests_that_are_too_much(what: str) -> None:
    player = Player(ROACHES)
    loop = player.see().observation.game_loop
    made = request(LARGE[what])
    if what == "too many parts":
        for command in made.debug.debug:
            command.create_unit.pos.x = 1
    assert what in answer(player, made).error[0]
    assert player.see().observation.game_loop == loop


def test_files_in_requests_may_be_larger() -> None:
    asked = game()
    asked.local_map.map_data = b"x" * (3 * checks.LARGEST_REQUEST)
    session = Session()
    assert not tell(session, create_game=asked).create_game.HasField("error")
    assert not session.setup.local_map.map_data
    asked.battlenet_map_name = "x" * checks.LARGEST_REQUEST
    assert "too large" in tell(session, create_game=asked).error[0]


@pytest.mark.parametrize("data", [b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 3, b"\xff" * 11, b"\x0d\0"])
def test_large_bytes_that_are_no_request(data: bytes) -> None:
    for whole in (data + b"\0" * checks.LARGEST_REQUEST, b"\x0a\x01" * checks.LARGEST_REQUEST + data):
        assert sc_pb.Response.FromString(respond(Session(), whole)).error


def test_thousands_of_tags_and_boxes() -> None:
    player = Player(ROACHES)
    marines = [u.tag for u in player.units(MARINE)]
    made = sc_pb.Action()
    command = made.action_raw.unit_command
    command.ability_id, command.target_world_space_pos.x, command.target_world_space_pos.y = 3794, 33.0, 28.0
    command.unit_tags.extend([*range(80_000), *marines, *marines])
    assert player.ask(action=sc_pb.RequestAction(actions=[made])).action.result == [error_pb2.Success]
    assert all(u.orders for u in player.units(MARINE))
    kill = debug_pb2.DebugCommand(kill_unit=debug_pb2.DebugKillUnit(tag=[*range(80_000), marines[0], marines[0]]))
    player.ask(debug=sc_pb.RequestDebug(debug=[kill]))
    player.step(2)
    assert {u.tag for u in player.units(MARINE)} == set(marines[1:])


def test_delays_that_are_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    player = Player(ROACHES)
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    for delay in (-5, 2**31 - 1):
        test = debug_pb2.DebugTestProcess(test=debug_pb2.DebugTestProcess.exit, delay_ms=delay)
        with pytest.raises(SystemExit):
            player.tell(debug=sc_pb.RequestDebug(debug=[debug_pb2.DebugCommand(test_process=test)]))
    assert slept == [0, 60]


def test_loops_that_real_time_will_not_bring_soon() -> None:
    player = Player(BEACON, realtime=True)
    assert "not due" in player.tell(observation=sc_pb.RequestObservation(game_loop=2**32 - 1)).error[0]


def test_a_game_in_real_time_that_was_left_alone_is_caught_up_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.standin.protocol.shared.table.MOST_LOOPS", 100)
    player = Player(BEACON, realtime=True)
    assert player.session.table is not None
    start, loop = player.session.table.clock or (0.0, 0)
    player.session.table.clock = start - 10**6, loop
    player.tell(ping=sc_pb.RequestPing())
    assert player.session.match.loop == 100


def test_the_guard_keeps_the_game(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("secret")

    player = Player(ROACHES)
    monkeypatch.setitem(dispatch.HANDLERS, "query", broken)
    told = answer(player, sc_pb.Request(id=9, query={}))
    assert (told.id, told.status) == (9, sc_pb.in_game)
    assert told.error == ["query: the stand-in game failed (ZeroDivisionError), see its log"]
    assert "secret" in caplog.text
    goes_on(player)


def test_faults_on_purpose_take_any_bytes() -> None:
    faults = Faults.parse("garbage@ping:1")
    faults.before(b"\xff\xff")
    faults.before(sc_pb.Request(ping={}).SerializeToString())
    assert [fault.kind for fault in faults.fired] == ["garbage"]


@pytest.mark.parametrize("path", [ROACHES, "mini_games/FindAndDefeatZerglings.SC2Map", "Melee/Simple64.SC2Map"])
@pytest.mark.parametrize("disable_fog", [False, True])
def test_show_map_shows(path: str, disable_fog: bool) -> None:
    player = Player(path, seed=2, disable_fog=disable_fog)

    def enemies() -> int:
        seen = player.see().observation.raw_data
        assert len(seen.map_state.visibility.data) == 4096
        return sum(u.alliance == raw_pb2.Enemy for u in seen.units)

    fogged = not disable_fog and path != ROACHES
    lifted = player.ask(observation=sc_pb.RequestObservation(disable_fog=True)).observation.observation
    there = sum(u.alliance == raw_pb2.Enemy for u in lifted.raw_data.units)
    assert (enemies() < there) == fogged
    show = sc_pb.RequestDebug(debug=[debug_pb2.DebugCommand(game_state=debug_pb2.show_map)])
    player.ask(debug=show)
    player.step(1)
    assert enemies() == there
    sight = np.frombuffer(player.see().observation.raw_data.map_state.visibility.data, np.uint8)
    assert (sight[sight > 0] == 2).all()
    player.ask(debug=show)  # and off again, where there was fog
    player.step(1)
    assert (enemies() < there) == fogged
