"""Replays: the game that is played again is the game that was played."""

import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("websockets")

from s2clientprotocol import common_pb2, debug_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.replay import MAGIC
from envs.standin.protocol.session import Session
from tests.envs.standin.protocol.player import Player
from tests.envs.standin.protocol.test_session import ROACHES, game, layers, tell

Moment = tuple[int, list, float]


def moment(session: Session) -> Moment:
    seen = tell(session, observation=sc_pb.RequestObservation()).observation.observation
    units = [(u.tag, u.unit_type, u.pos.x, u.pos.y, u.health, u.is_selected) for u in seen.raw_data.units]
    return seen.game_loop, units, seen.score.score


def play(session: Session, steps: int, seed: int) -> list[Moment]:
    """Click about at random, and say what was seen at each step."""
    rng = np.random.default_rng(seed)
    seen = []
    for _ in range(steps):
        action = sc_pb.Action()
        if rng.random() < 0.7:
            click = action.action_feature_layer.unit_command
            click.ability_id = int(rng.choice([3674, 3794]))
            click.target_screen_coord.x, click.target_screen_coord.y = (int(v) for v in rng.integers(0, 84, 2))
        else:
            box = action.action_feature_layer.unit_selection_rect.selection_screen_coord.add()
            box.p0.x, box.p0.y, box.p1.x, box.p1.y = (int(v) for v in rng.integers(0, 84, 4))
        tell(session, action=sc_pb.RequestAction(actions=[action]))
        if tell(session, step=sc_pb.RequestStep(count=int(rng.integers(1, 17)))).status == sc_pb.ended:
            break
        seen.append(moment(session))
    return seen


def recorded(steps: int = 40, episodes: int = 1) -> tuple[list[Moment], bytes]:
    session = Session()
    tell(session, create_game=game(ROACHES, random_seed=9))
    tell(session, join_game=sc_pb.RequestJoinGame(race=1, options=layers((84, 84), (64, 64))))
    for _ in range(episodes - 1):
        tell(session, restart_game=sc_pb.RequestRestartGame())
    seen = play(session, steps, 0)
    return seen, tell(session, save_replay=sc_pb.RequestSaveReplay()).save_replay.data


@pytest.mark.parametrize("episodes", [1, 2])
def test_replay_shows_what_was_seen(episodes: int) -> None:
    seen, data = recorded(episodes=episodes)
    session = Session()
    start = sc_pb.RequestStartReplay(replay_data=data, options=layers((32, 32), (16, 16)), observed_player_id=1)
    assert tell(session, start_replay=start).status == sc_pb.in_replay
    assert tell(session, action=sc_pb.RequestAction()).error
    clicks = []
    for loop, units, score in seen:
        assert moment(session)[0] < loop
        tell(session, step=sc_pb.RequestStep(count=loop - moment(session)[0]))
        response = tell(session, observation=sc_pb.RequestObservation()).observation
        clicks += [a.action_feature_layer.unit_command.target_screen_coord for a in response.actions]
        assert moment(session) == (loop, units, score)
    # The clicks are told in the pixels of whoever watches.
    assert clicks
    assert max(max(click.x, click.y) for click in clicks) < 32
    assert session.status == sc_pb.ended
    response = tell(session, observation=sc_pb.RequestObservation())
    assert response.observation.player_result[0].result == sc_pb.Undecided
    assert "replay" in tell(session, save_replay=sc_pb.RequestSaveReplay()).error[0]


def test_replay_of_a_whole_game_ends_as_it_did(tmp_path: Path) -> None:
    seen, data = recorded(steps=1000)
    path = tmp_path / "game.SC2Replay"
    path.write_bytes(data)
    info = tell(Session(), replay_info=sc_pb.RequestReplayInfo(replay_path=str(path))).replay_info
    assert info.map_name == "DefeatRoaches"
    assert seen[-1][0] < info.game_duration_loops <= 1920
    assert info.game_duration_seconds == pytest.approx(info.game_duration_loops / 22.4)
    result = info.player_info[0].player_result.result
    assert result in (sc_pb.Victory, sc_pb.Defeat)
    session = Session()
    start = sc_pb.RequestStartReplay(replay_path=str(path), options=sc_pb.InterfaceOptions(raw=True))
    tell(session, start_replay=start)
    assert tell(session, step=sc_pb.RequestStep(count=5000)).status == sc_pb.ended
    told = tell(session, observation=sc_pb.RequestObservation()).observation
    assert told.player_result[0].result == result
    assert told.observation.game_loop == info.game_duration_loops


def test_debug_requests_are_replayed() -> None:
    player = Player(ROACHES)
    create = debug_pb2.DebugCommand()
    create.create_unit.unit_type, create.create_unit.owner, create.create_unit.quantity = 48, 1, 3
    create.create_unit.pos.CopyFrom(common_pb2.Point2D(x=33, y=28))
    player.step(5)
    player.ask(debug=sc_pb.RequestDebug(debug=[create]))
    player.step(20)
    expected = moment(player.session)
    data = player.ask(save_replay=sc_pb.RequestSaveReplay()).save_replay.data
    session = Session()
    tell(
        session,
        start_replay=sc_pb.RequestStartReplay(replay_data=data, options=sc_pb.InterfaceOptions(raw=True, score=True)),
    )
    tell(session, step=sc_pb.RequestStep(count=25))
    assert moment(session) == expected
    assert sum(unit[1] == 48 for unit in expected[1]) == 12


@pytest.mark.parametrize(
    ("data", "error", "word"),
    [
        (b"", "MissingReplay", ""),
        (b"MPQ\x1b and so on", "InvalidReplayData", "StarCraft II"),
        (b"nonsense", "InvalidReplayData", "not a replay"),
        (MAGIC + zlib.compress(b"{}"), "InvalidReplayData", "damaged"),
        (MAGIC + b"garbage", "InvalidReplayData", "damaged"),
    ],
)
def test_bad_replays_are_refused(data: bytes, error: str, word: str) -> None:
    start = sc_pb.RequestStartReplay(replay_data=data, options=sc_pb.InterfaceOptions(raw=True))
    told = tell(Session(), start_replay=start)
    assert told.start_replay.error == sc_pb.ResponseStartReplay.Error.Value(error)
    assert word in told.start_replay.error_details
    assert told.status == sc_pb.launched


def test_replays_are_of_one_player() -> None:
    _, data = recorded(steps=2)
    start = sc_pb.RequestStartReplay(replay_data=data, options=sc_pb.InterfaceOptions(raw=True), observed_player_id=2)
    told = tell(Session(), start_replay=start).start_replay
    assert told.error == sc_pb.ResponseStartReplay.InvalidObservedPlayerId
