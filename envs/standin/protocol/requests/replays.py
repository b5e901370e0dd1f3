"""Requests about replays: to save one, to tell what it is of, to watch it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from s2clientprotocol import common_pb2 as sc_common
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol.checks import Refused
from envs.standin.protocol.match import Match
from envs.standin.protocol.observation.observation import results
from envs.standin.protocol.replay import LARGEST_PACKED, MOST_EVENTS, NotAReplay, Replay
from envs.standin.protocol.requests.lifecycle import computers, find_map, resolutions
from envs.standin.protocol.session import Session
from envs.standin.protocol.version import BUILD, DATA_VERSION, GAME_VERSION, LOOPS_A_SECOND


class NoFile(Exception):
    """Why the replay that a request names cannot be read."""


def read(asked: Any) -> bytes | None:
    """The replay that a request brings along or names; None if it does neither. Raises :class:`NoFile`.

    Only files are read: a pipe or a device might never end.
    """
    if asked.replay_data or not asked.replay_path:
        return asked.replay_data or None
    try:
        path = Path(asked.replay_path).expanduser()
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise NoFile(f"{path} is no file")
            data = file.read(LARGEST_PACKED + 1)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: the home folder of a user who is not known
        raise NoFile(f"{asked.replay_path!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > LARGEST_PACKED:
        raise NoFile(f"{path} is too large for a replay: more than {LARGEST_PACKED} bytes")
    return data


def _named(asked: Any, told: Any, damaged: Any) -> Replay | None:
    """The replay that a request brings along or names; None, and an error in the answer, if there is none."""
    try:
        data = read(asked)
        if data is not None:
            return Replay.decode(data)
        told.error, told.error_details = told.MissingReplay, "the request names no replay"
    except NoFile as error:
        told.error, told.error_details = told.InvalidReplayPath, str(error)
    except NotAReplay as error:
        told.error, told.error_details = damaged, str(error)
    return None


def save_replay(session: Session, asked: Any, told: sc_pb.ResponseSaveReplay) -> None:
    """The game so far, or the whole of it."""
    if session.watched is not None:
        raise Refused("save_replay: there is no game being recorded, this is a replay")
    replay, match = session.recording, session.match
    if replay.full:
        raise Refused(f"save_replay: more has been done in this game than a replay holds ({MOST_EVENTS} events)")
    replay.loops = match.loop
    replay.results = results(match)
    told.data = replay.encode()


def replay_info(session: Session, asked: sc_pb.RequestReplayInfo, told: sc_pb.ResponseReplayInfo) -> None:
    """What a replay is of."""
    replay = _named(asked, told, sc_pb.ResponseReplayInfo.ParsingError)
    if replay is None:
        return
    path = replay.setup.local_map.map_path
    map = find_map(path)
    told.map_name, told.local_map_path = map.name if map else path, path
    told.game_duration_loops, told.game_duration_seconds = replay.loops, replay.loops / LOOPS_A_SECOND
    told.game_version, told.data_version = GAME_VERSION, DATA_VERSION
    told.data_build = told.base_build = BUILD
    outcomes = dict(replay.results)
    races = [replay.race, *(replay.other[:1] if replay.other is not None else ())]
    for number, race in enumerate(races, 1):
        player = told.player_info.add()
        player.player_info.player_id, player.player_info.type = number, sc_pb.Participant
        player.player_info.race_requested = sc_common.Race.ValueType(race or sc_common.Terran)
        player.player_info.race_actual = sc_common.Terran
        player.player_result.player_id = number
        player.player_result.result = sc_pb.Result.ValueType(outcomes.get(number, sc_pb.Undecided))


def start_replay(session: Session, asked: sc_pb.RequestStartReplay, told: sc_pb.ResponseStartReplay) -> None:
    """Play a recorded game again, through the eyes of one of its players."""
    errors = sc_pb.ResponseStartReplay
    replay = _named(asked, told, errors.InvalidReplayData)
    if replay is None:
        return
    if not asked.HasField("options"):
        told.error, told.error_details = errors.MissingOptions, "the request names no options"
        return
    map = find_map(replay.setup.local_map.map_path)
    if map is None:
        told.error, told.error_details = errors.InvalidMapData, f"no map {replay.setup.local_map.map_path!r}"
        return
    most = 1 if replay.other is None else 2
    if asked.observed_player_id > most:
        told.error = errors.InvalidObservedPlayerId
        told.error_details = f"the replay is of {most} player(s), there is no player {asked.observed_player_id}"
        return
    sizes = resolutions(asked.options)
    other = None if replay.other is None else replay.other[1]
    match = Match(map, replay.seed, replay.sizes, not replay.setup.disable_fog, computers(replay.setup), other)
    match.begin_episode(replay.episode)
    session.leave()
    session.player = max(asked.observed_player_id, 1)
    session.map = map
    session.setup.CopyFrom(replay.setup)
    session.setup.realtime = asked.realtime
    session.race = replay.race
    session.watch(replay, match, asked, sizes)
