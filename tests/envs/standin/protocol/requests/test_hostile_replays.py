"""Replays that come from anywhere: files that are none, bombs, and what should not be in one."""

import json
import math
import os
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("websockets")

from s2clientprotocol import common_pb2, debug_pb2, raw_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol import replay
from envs.standin.protocol.session import Session
from tests.envs.standin.protocol.player import Player
from tests.envs.standin.protocol.test_session import ROACHES, tell

MARINE = 48


@pytest.mark.parametrize(
    "path", ["\0x", "~nobody-has-this-name/x", "/nowhere/x", "x" * 4000, "/", "/dev/zero", "/dev/tty"]
)
def test_replays_that_are_no_files(path: str) -> None:
    told = tell(Session(), replay_info=sc_pb.RequestReplayInfo(replay_path=path)).replay_info
    assert told.error == sc_pb.ResponseReplayInfo.InvalidReplayPath
    assert told.error_details
    asked = sc_pb.RequestStartReplay(replay_path=path, options=sc_pb.InterfaceOptions(raw=True))
    told = tell(Session(), start_replay=asked).start_replay
    assert told.error == sc_pb.ResponseStartReplay.InvalidReplayPath


def test_a_pipe_is_no_replay(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    told = tell(Session(), replay_info=sc_pb.RequestReplayInfo(replay_path=str(path))).replay_info
    assert "no file" in told.error_details


def test_a_file_that_is_too_large_for_a_replay(tmp_path: Path) -> None:
    path = tmp_path / "large.SC2Replay"
    with path.open("wb") as file:
        file.truncate(20 * 2**20)
    told = tell(Session(), replay_info=sc_pb.RequestReplayInfo(replay_path=str(path))).replay_info
    assert "too large" in told.error_details


def bomb(text: bytes) -> bytes:
    return replay.MAGIC + zlib.compress(text, 9)


@pytest.mark.parametrize(
    "data",
    [
        bomb(b" " * 10**8),
        bomb(b"[" * 10**6),
        bomb(b"[" + b"[]," * 10**6 + b"[]]"),
        bomb(b'{"a":' * 5000),
        bomb(b"[" + b"0," * 10**6 + b"0]"),
        bomb(b"{}")[:-3],
    ],
    ids=["100 MB", "deep", "many lists", "nested", "many numbers", "cut"],
)
def test_replay_bombs(data: bytes) -> None:
    began, kept = time.monotonic(), resident()
    told = tell(Session(), replay_info=sc_pb.RequestReplayInfo(replay_data=data)).replay_info
    assert told.error == sc_pb.ResponseReplayInfo.ParsingError
    assert "damaged" in told.error_details
    assert time.monotonic() - began < 30
    assert resident() - kept < 200


def resident() -> float:
    """Megabytes that this process has."""
    return float(pytest.importorskip("psutil").Process().memory_info().rss) / 2**20


def changed(**parts: Any) -> bytes:
    """A replay of the stand-in's with parts of it replaced."""
    player = Player(ROACHES)
    player.command(3794, player.units(MARINE)[0], 33.0, 28.0)
    player.step(20)
    data = player.ask(save_replay=sc_pb.RequestSaveReplay()).save_replay.data
    told = json.loads(zlib.decompress(data[len(replay.MAGIC) :]))
    return bomb(json.dumps({**told, **parts}).encode())


def event(message: Any, kind: str = "debug", loop: Any = 0) -> list[list[Any]]:
    return [[loop, kind, replay._text(message.SerializeToString())]]


NAN_PLACE = debug_pb2.DebugCommand(
    create_unit=debug_pb2.DebugCreateUnit(unit_type=48, pos=common_pb2.Point2D(x=math.nan))
)
CRASH = debug_pb2.DebugCommand(test_process=debug_pb2.DebugTestProcess(test=debug_pb2.DebugTestProcess.exit))


@pytest.mark.parametrize(
    "parts",
    [
        {"sizes": [0, 64, 64, 64]},
        {"sizes": [64, 64]},
        {"sizes": [10**6] * 4},
        {"seed": -1},
        {"seed": "x"},
        {"episode": 1e300},
        {"loops": -1},
        {"race": 77},
        {"results": [[1, 99]]},
        {"results": [[1]]},
        {"events": 3},
        {"events": event(sc_pb.Action(), "quit")},
        {"events": event(sc_pb.Action(), "action", math.nan)},
        {"events": event(sc_pb.Action(), "action", 5) + event(sc_pb.Action(), "action", 4)},
        {"events": event(NAN_PLACE)},
        {"events": event(CRASH)},
        {"events": [[0, "action", "/////w=="]]},
        {"setup": "AAAA"},
    ],
    ids=str,
)
def test_replays_with_something_in_them_that_should_not_be(parts: dict[str, Any]) -> None:
    session = Session()
    asked = sc_pb.RequestStartReplay(replay_data=changed(**parts), options=sc_pb.InterfaceOptions(raw=True))
    told = tell(session, start_replay=asked).start_replay
    assert told.error == sc_pb.ResponseStartReplay.InvalidReplayData
    assert session.status == sc_pb.launched


def test_a_debug_command_that_was_refused_is_refused_again_in_the_replay() -> None:
    player = Player(ROACHES)
    many = debug_pb2.DebugCreateUnit(unit_type=48, owner=1, quantity=2**32 - 1, pos=common_pb2.Point2D(x=33, y=25))
    assert "room" in player.tell(debug=sc_pb.RequestDebug(debug=[debug_pb2.DebugCommand(create_unit=many)])).error[0]
    player.step(8)
    seen = len(player.units(MARINE))
    data = player.ask(save_replay=sc_pb.RequestSaveReplay()).save_replay.data
    session = Session()
    tell(session, start_replay=sc_pb.RequestStartReplay(replay_data=data, options=sc_pb.InterfaceOptions(raw=True)))
    assert not tell(session, step=sc_pb.RequestStep(count=8)).error
    shown = tell(session, observation=sc_pb.RequestObservation()).observation.observation.raw_data.units
    assert sum(u.unit_type == MARINE and u.alliance == raw_pb2.Self for u in shown) == seen > 20


def test_what_a_game_keeps_of_what_is_done_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "MOST_EVENTS", 100)
    player = Player(ROACHES)
    tag = player.units(MARINE)[0]
    player.ask(quick_save=sc_pb.RequestQuickSave())
    for _ in range(150):
        player.command(3794, tag, 33.0, 28.0)
    assert len(player.session.recording.events) == 100
    assert "more has been done" in player.tell(save_replay=sc_pb.RequestSaveReplay()).error[0]
    player.ask(quick_load=sc_pb.RequestQuickLoad())
    assert player.session.recording.size == 0
    assert player.ask(save_replay=sc_pb.RequestSaveReplay()).save_replay.data
    for _ in range(3):
        many = sc_pb.RequestAction(actions=[sc_pb.Action(action_ui={"select_army": {}})] * 5000)
        player.ask(action=many)
    assert len(player.see().actions) == 10_000
