"""Replays: a game's seed and what was done in it, from which it is played again.

The content is our own (StarCraft II's replays need StarCraft II): a first line that says so, then compressed JSON. The
stand-in game is deterministic, so the actions and the loops they fell in are all there is to keep.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2clientprotocol import common_pb2 as sc_common
from s2clientprotocol import debug_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.standin.protocol import debug
from envs.standin.protocol.lifecycle import find_map, opponent, resolutions
from envs.standin.protocol.match import Match, Refused
from envs.standin.protocol.observation import PLAYER, results
from envs.standin.protocol.playing import act
from envs.standin.protocol.version import BUILD, DATA_VERSION, GAME_VERSION, LOOPS_A_SECOND

if TYPE_CHECKING:
    from envs.standin.protocol.session import Session

MAGIC = b"perceiver-rl stand-in replay, version 1\n"


class NotAReplay(ValueError):
    """Bytes that are no replay of the stand-in game."""


@dataclass
class Replay:
    """One game: how it was set up, and what was done in which loop."""

    setup: sc_pb.RequestCreateGame
    race: int
    seed: int
    episode: int
    sizes: tuple[int, int, int, int]
    """The cells that its clicks were counted in."""
    events: list[tuple[int, str, bytes]] = field(default_factory=list)
    """(game loop, kind of request, the message's bytes): what was done, in order."""
    loops: int = 0
    results: list[tuple[int, int]] = field(default_factory=list)
    """(player, result), if the game came to its end."""

    def encode(self) -> bytes:
        """The replay's bytes."""
        data = {part.name: getattr(self, part.name) for part in fields(self)}
        data["setup"] = _text(self.setup.SerializeToString())
        data["events"] = [(loop, kind, _text(message)) for loop, kind, message in self.events]
        return MAGIC + zlib.compress(json.dumps(data).encode())

    @staticmethod
    def decode(data: bytes) -> Replay:
        """Read a replay's bytes, or raise :class:`NotAReplay`."""
        if not data.startswith(MAGIC):
            what = "StarCraft II's own replays need StarCraft II" if data.startswith(b"MPQ") else "it is something else"
            raise NotAReplay(f"not a replay of the stand-in game: {what}")
        try:
            told = json.loads(zlib.decompress(data[len(MAGIC) :]))
            setup = sc_pb.RequestCreateGame.FromString(base64.b64decode(told.pop("setup")))
            events = [(loop, kind, base64.b64decode(message)) for loop, kind, message in told.pop("events")]
            sizes = tuple(told.pop("sizes"))
            return Replay(setup=setup, events=events, sizes=sizes, **told)
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            raise NotAReplay(f"a damaged replay of the stand-in game ({error})") from error


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def read(asked: Any) -> bytes | None:
    """The replay that a request brings along or names; None if it does neither, or the file cannot be read."""
    if asked.replay_data:
        return bytes(asked.replay_data)
    try:
        return Path(asked.replay_path).expanduser().read_bytes() if asked.replay_path else None
    except OSError:
        return None


def rescaled(action: sc_pb.Action, old: tuple[int, ...], new: tuple[int, ...]) -> sc_pb.Action:
    """The same action, with its clicks counted in other cells: what someone sees who watches at another resolution."""
    shown = sc_pb.Action()
    shown.CopyFrom(action)
    if old == new or not action.HasField("action_feature_layer"):
        return shown
    layer = shown.action_feature_layer
    screen, minimap = (old[:2], new[:2]), (old[2:], new[2:])
    if layer.HasField("unit_command"):
        if layer.unit_command.HasField("target_screen_coord"):
            _move(layer.unit_command.target_screen_coord, *screen)
        if layer.unit_command.HasField("target_minimap_coord"):
            _move(layer.unit_command.target_minimap_coord, *minimap)
    elif layer.HasField("camera_move"):
        _move(layer.camera_move.center_minimap, *minimap)
    elif layer.HasField("unit_selection_point"):
        _move(layer.unit_selection_point.selection_screen_coord, *screen)
    elif layer.HasField("unit_selection_rect"):
        for box in layer.unit_selection_rect.selection_screen_coord:
            _move(box.p0, *screen)
            _move(box.p1, *screen)
    return shown


def _move(point: Any, old: tuple[int, ...], new: tuple[int, ...]) -> None:
    point.x, point.y = point.x * new[0] // old[0], point.y * new[1] // old[1]


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


def repeat(session: Session, kind: str, message: bytes) -> None:
    """Do again what was done."""
    if kind == "action":
        act(session, sc_pb.Action.FromString(message))
    else:
        debug.carry_out(session.match, debug_pb2.DebugCommand.FromString(message))
