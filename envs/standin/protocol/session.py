"""What a client asks for, and what it is told: the game's life from launch to quit.

:data:`HANDLERS` holds a function for each request. It gets the session, the request's own message and the response's,
and fills the latter; bytes that it returns go behind the serialised response. It may raise :class:`Refused`, whose
text becomes ``Response.error``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from google.protobuf.message import DecodeError
from s2clientprotocol import common_pb2 as sc_common
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.spelling import did_you_mean
from envs.standin.protocol.commands import SUCCESS, carry_out
from envs.standin.protocol.data import data
from envs.standin.protocol.debug import debug
from envs.standin.protocol.match import Match, Refused
from envs.standin.protocol.observation import COMPUTER, PLAYER, Observer
from envs.starcraft import interface as sc
from envs.starcraft.maps import MAPS, MELEE, MiniGame
from envs.starcraft.opponents import BUILDS, DIFFICULTIES, RACES, Opponent

LAUNCHED, INIT, IN_GAME, IN_REPLAY, ENDED, QUIT = (
    sc_pb.launched, sc_pb.init_game, sc_pb.in_game, sc_pb.in_replay, sc_pb.ended, sc_pb.quit,
)  # fmt: skip

GAME_VERSION, BUILD = "4.10.0", 75689
DATA_VERSION = "B89B5D6FA7CBF6452E721311BFBC6CB2"

Handler = Callable[["Session", Any, Any], bytes | None]


class Session:
    """The state of one game process. It outlives the connection: a client may come back."""

    def __init__(self) -> None:
        self.status: int = LAUNCHED
        self.setup = sc_pb.RequestCreateGame()
        self.options = sc_pb.InterfaceOptions()
        self.map: MiniGame | None = None
        self.race: int = 0
        self._match: Match | None = None
        self._observer: Observer | None = None
        self.executed: list[sc_pb.Action] = []
        self.action_errors: list[sc_pb.ActionError] = []

    @property
    def match(self) -> Match:
        """The game in progress."""
        if self._match is None:
            raise Refused("there is no game")
        return self._match

    @property
    def observer(self) -> Observer:
        """How the client looks at it."""
        if self._observer is None:
            raise Refused("there is no game")
        return self._observer

    def begin(self, match: Match, options: sc_pb.InterfaceOptions) -> None:
        """Play this match from now on."""
        self._match, self.options = match, options
        self._observer = Observer(match, options)
        self.executed, self.action_errors = [], []
        self.status = IN_GAME

    def leave(self) -> None:
        """Forget the game."""
        self._match = self._observer = None
        self.status = LAUNCHED

    def respond(self, message: bytes) -> bytes:
        """The answer to a message of the client's."""
        request = sc_pb.Request()
        response = sc_pb.Response()
        more = None
        try:
            request.ParseFromString(message)
            name = request.WhichOneof("request")
            if name is not None:
                getattr(response, name).SetInParent()
            if request.HasField("id"):
                response.id = request.id
            more = self._handle(name, request, response)
        except Refused as refused:
            response.error.append(str(refused))
        except DecodeError as error:
            response.error.append(f"not a request: {error}")
        response.status = sc_pb.Status.ValueType(self.status)
        return response.SerializeToString() + (more or b"")

    def _handle(self, name: str | None, request: sc_pb.Request, response: sc_pb.Response) -> bytes | None:
        if name is None:
            raise Refused("the request asks for nothing")
        if name not in HANDLERS:
            raise Refused(f"{name}: the stand-in game does not serve this request")
        allowed = ALLOWED.get(name)
        if allowed is not None and self.status not in allowed:
            states = ", ".join(sc_pb.Status.Name(s) for s in allowed)
            raise Refused(f"{name}: the game is {sc_pb.Status.Name(self.status)}; this request needs it to be {states}")
        return HANDLERS[name](self, getattr(request, name), getattr(response, name))


def ping(session: Session, asked: sc_pb.RequestPing, told: sc_pb.ResponsePing) -> None:
    """Who is there."""
    told.game_version, told.data_version = GAME_VERSION, DATA_VERSION
    told.data_build = told.base_build = BUILD


def find_map(path: str) -> MiniGame | None:
    """The map that a path names, wherever its folder is; None if it is not one of the stand-in's."""
    name = PureWindowsPath(PurePosixPath(path).name).stem
    name = name.split(")", 1)[1] if name.startswith("(") and ")" in name else name
    return {known.lower(): map for known, map in {**MAPS, **MELEE}.items()}.get(name.lower())


def create_game(session: Session, asked: sc_pb.RequestCreateGame, told: sc_pb.ResponseCreateGame) -> None:
    """Choose the map and the players."""
    errors = sc_pb.ResponseCreateGame
    participants, computers = (
        [p for p in asked.player_setup if p.type == kind] for kind in (sc_pb.Participant, sc_pb.Computer)
    )
    if asked.HasField("battlenet_map_name"):
        told.error, told.error_details = errors.InvalidMapName, "the stand-in game has no Battle.net; name a local map"
    elif not asked.local_map.map_path:
        told.error, told.error_details = errors.MissingMap, "local_map.map_path names no map"
    elif (map := find_map(asked.local_map.map_path)) is None:
        path = asked.local_map.map_path
        hint = did_you_mean(PurePosixPath(path).stem, [*MAPS, *MELEE])
        told.error = errors.InvalidMapPath
        told.error_details = f"the stand-in game has no map {path!r}{hint}; it has {', '.join([*MAPS, *MELEE])}"
    elif not asked.player_setup:
        told.error, told.error_details = errors.MissingPlayerSetup, "player_setup names no player"
    elif len(participants) != 1:
        told.error = errors.InvalidPlayerSetup
        told.error_details = f"the stand-in game is for one participant, not {len(participants)}"
    elif map.melee and len(computers) != 1:
        told.error = errors.InvalidPlayerSetup
        told.error_details = f"a melee needs one computer player, not {len(computers)}"
    else:
        session.leave()
        session.setup.CopyFrom(asked)
        session.setup.local_map.ClearField("map_data")
        session.map = map
        session.status = INIT


def _square(size: Any, default: int) -> int:
    if size.x != size.y:
        raise Refused(f"join_game: the stand-in game's layers are square, not {size.x} x {size.y}")
    return int(size.x) or default


def resolutions(options: sc_pb.InterfaceOptions) -> tuple[int, int]:
    """Cells of the screen and of the minimap that the options ask for."""
    layers = options.feature_layer
    if options.HasField("render"):
        raise Refused("join_game: the stand-in game serves feature layers and raw data, no rendered images (rgb)")
    if layers.HasField("width") and layers.width != sc.CAMERA_WIDTH:
        raise Refused(f"join_game: the stand-in game's camera is {sc.CAMERA_WIDTH:g} wide, not {layers.width:g}")
    return _square(layers.resolution, 64), _square(layers.minimap_resolution, 64)


def join_game(session: Session, asked: sc_pb.RequestJoinGame, told: sc_pb.ResponseJoinGame) -> None:
    """Start the game that has been created."""
    if not asked.HasField("race") and not asked.HasField("observed_player_id"):
        told.error = sc_pb.ResponseJoinGame.MissingParticipation
        return
    if not asked.HasField("options"):
        told.error = sc_pb.ResponseJoinGame.MissingOptions
        return
    screen, minimap = resolutions(asked.options)
    assert session.map is not None
    setup = session.setup
    seed = setup.random_seed if setup.HasField("random_seed") else secrets.randbits(31)
    session.race = asked.race
    match = Match(session.map, seed, screen, minimap, not setup.disable_fog, opponent(setup))
    session.begin(match, asked.options)
    told.player_id = PLAYER


def opponent(setup: sc_pb.RequestCreateGame) -> Opponent:
    """The computer player that the set-up asks for, or one to stand for it where it asks for none."""
    for player in setup.player_setup:
        if player.type == sc_pb.Computer:
            # What is left out is 0: the API's own numbers begin at 1.
            race, difficulty, build = (
                next((name for name, number in table.items() if number == asked), None)
                for table, asked in ((RACES, player.race), (DIFFICULTIES, player.difficulty), (BUILDS, player.ai_build))
            )
            return Opponent(race or "random", difficulty or "very_easy", build or "random")
    return Opponent()


def restart_game(session: Session, asked: Any, told: sc_pb.ResponseRestartGame) -> None:
    """Begin the next episode."""
    session.match.restart()
    session.begin(session.match, session.options)


def leave_game(session: Session, asked: Any, told: Any) -> None:
    """Back to where a game can be created."""
    session.leave()


def quit_game(session: Session, asked: Any, told: Any) -> None:
    """The process ends once this is answered."""
    session.status = QUIT


def game_info(session: Session, asked: Any, told: sc_pb.ResponseGameInfo) -> None:
    """The map and the players."""
    assert session.map is not None
    told.map_name = session.map.name
    told.local_map_path = session.setup.local_map.map_path
    told.options.CopyFrom(session.options)
    if told.options.HasField("feature_layer"):
        told.options.feature_layer.width = sc.CAMERA_WIDTH
    # Whatever race is asked for, the stand-in plays Terran.
    requested = session.race or sc_common.Terran
    told.player_info.add(
        player_id=PLAYER, type=sc_pb.Participant, race_requested=requested, race_actual=sc_common.Terran
    )
    for player in session.setup.player_setup:
        if player.type == sc_pb.Computer:
            told.player_info.add(
                player_id=COMPUTER,
                type=sc_pb.Computer,
                race_requested=player.race or sc_common.Random,
                difficulty=player.difficulty or sc_pb.VeryEasy,
                ai_build=player.ai_build or sc_pb.RandomBuild,
            )
    start = told.start_raw
    size = int(sc.MAP_SIZE)
    start.map_size.x = start.map_size.y = size
    left, bottom, right, top = session.match.playable
    start.playable_area.p0.x, start.playable_area.p0.y = left, bottom
    start.playable_area.p1.x, start.playable_area.p1.y = right, top


def observation(session: Session, asked: sc_pb.RequestObservation, told: sc_pb.ResponseObservation) -> bytes:
    """What the player sees now."""
    told.actions.extend(session.executed)
    told.action_errors.extend(session.action_errors)
    session.executed, session.action_errors = [], []
    return session.observer.observe(told)


def action(session: Session, asked: sc_pb.RequestAction, told: sc_pb.ResponseAction) -> None:
    """Give orders."""
    for one in asked.actions:
        result = carry_out(session.match, one)
        told.result.append(result)
        if result == SUCCESS and one.ByteSize():
            session.executed.append(one)


def step(session: Session, asked: sc_pb.RequestStep, told: sc_pb.ResponseStep) -> None:
    """Let time pass."""
    match = session.match
    match.advance(asked.count if asked.HasField("count") else 1)
    told.simulation_loop = match.loop
    if not match.playing:
        session.status = ENDED


def available_maps(session: Session, asked: Any, told: sc_pb.ResponseAvailableMaps) -> None:
    """The maps that can be played."""
    told.local_map_paths.extend(f"mini_games/{name}.SC2Map" for name in MAPS)
    told.local_map_paths.extend(f"Melee/{name}.SC2Map" for name in MELEE)


HANDLERS: dict[str, Handler] = {
    "ping": ping,
    "create_game": create_game,
    "join_game": join_game,
    "restart_game": restart_game,
    "leave_game": leave_game,
    "quit": quit_game,
    "game_info": game_info,
    "observation": observation,
    "action": action,
    "step": step,
    "available_maps": available_maps,
    "data": data,
    "debug": debug,
}
ALLOWED: dict[str, tuple[int, ...]] = {
    "create_game": (LAUNCHED, INIT, IN_GAME, IN_REPLAY, ENDED),
    "join_game": (INIT,),
    "restart_game": (IN_GAME, ENDED),
    "leave_game": (IN_GAME, ENDED, IN_REPLAY),
    "game_info": (IN_GAME, IN_REPLAY, ENDED),
    "observation": (IN_GAME, IN_REPLAY, ENDED),
    "action": (IN_GAME,),
    "data": (IN_GAME, IN_REPLAY, ENDED),
    "debug": (IN_GAME,),
    "step": (IN_GAME, IN_REPLAY),
}
"""In which states a request is served; those that are not named are always served."""
