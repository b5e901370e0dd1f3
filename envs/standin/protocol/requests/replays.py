"""Requests about replays: to save one, to tell what it is of, to watch it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from s2clientprotocol import common_pb2 as sc_common
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.match import Match, Refused
from envs.standin.protocol.observation.observation import PLAYER, results
from envs.standin.protocol.replay import NotAReplay, Replay
from envs.standin.protocol.requests.lifecycle import find_map, opponent, resolutions
from envs.standin.protocol.session import Session
from envs.standin.protocol.version import BUILD, DATA_VERSION, GAME_VERSION, LOOPS_A_SECOND


def read(asked: Any) -> bytes | None:
    """The replay that a request brings along or names; None if it does neither, or the file cannot be read."""
    if asked.replay_data:
        return bytes(asked.replay_data)
    try:
        return Path(asked.replay_path).expanduser().read_bytes() if asked.replay_path else None
    except OSError:
        return None


def save_replay(session: Session, asked: Any, told: sc_pb.ResponseSaveReplay) -> None:
    """The game so far, or the whole of it."""
    if session.watched is not None:
        raise Refused("save_replay: there is no game being recorded, this is a replay")
    replay, match = session.recording, session.match
    replay.loops = match.loop
    replay.results = results(match)
    told.data = replay.encode()


def replay_info(session: Session, asked: sc_pb.RequestReplayInfo, told: sc_pb.ResponseReplayInfo) -> None:
    """What a replay is of."""
    errors = sc_pb.ResponseReplayInfo
    data = read(asked)
    if data is None:
        told.error = errors.InvalidReplayPath if asked.replay_path else errors.MissingReplay
        told.error_details = asked.replay_path
        return
    try:
        replay = Replay.decode(data)
    except NotAReplay as error:
        told.error, told.error_details = errors.ParsingError, str(error)
        return
    path = replay.setup.local_map.map_path
    map = find_map(path)
    told.map_name, told.local_map_path = map.name if map else path, path
    told.game_duration_loops, told.game_duration_seconds = replay.loops, replay.loops / LOOPS_A_SECOND
    told.game_version, told.data_version = GAME_VERSION, DATA_VERSION
    told.data_build = told.base_build = BUILD
    outcomes = dict(replay.results)
    player = told.player_info.add()
    player.player_info.player_id, player.player_info.type = PLAYER, sc_pb.Participant
    player.player_info.race_requested = sc_common.Race.ValueType(replay.race or sc_common.Terran)
    player.player_info.race_actual = sc_common.Terran
    player.player_result.player_id = PLAYER
    player.player_result.result = sc_pb.Result.ValueType(outcomes.get(PLAYER, sc_pb.Undecided))


def start_replay(session: Session, asked: sc_pb.RequestStartReplay, told: sc_pb.ResponseStartReplay) -> None:
    """Play a recorded game again, through the eyes of its player."""
    errors = sc_pb.ResponseStartReplay
    data = read(asked)
    if data is None:
        told.error = errors.InvalidReplayPath if asked.replay_path else errors.MissingReplay
        told.error_details = asked.replay_path
        return
    if not asked.HasField("options"):
        told.error, told.error_details = errors.MissingOptions, "the request names no options"
        return
    try:
        replay = Replay.decode(data)
    except NotAReplay as error:
        told.error, told.error_details = errors.InvalidReplayData, str(error)
        return
    map = find_map(replay.setup.local_map.map_path)
    if map is None:
        told.error, told.error_details = errors.InvalidMapData, f"no map {replay.setup.local_map.map_path!r}"
        return
    if asked.HasField("observed_player_id") and asked.observed_player_id not in (0, PLAYER):
        told.error = errors.InvalidObservedPlayerId
        told.error_details = f"the stand-in's replays are of player {PLAYER}, not {asked.observed_player_id}"
        return
    sizes = resolutions(asked.options)
    match = Match(map, replay.seed, replay.sizes, not replay.setup.disable_fog, opponent(replay.setup))
    match.begin_episode(replay.episode)
    session.map = map
    session.setup.CopyFrom(replay.setup)
    session.setup.realtime = asked.realtime
    session.race = replay.race
    session.watch(replay, match, asked, sizes)
