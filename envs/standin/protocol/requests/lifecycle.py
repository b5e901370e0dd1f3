"""The game's life, from launch to quit: maps, players, joining, leaving."""

from __future__ import annotations

import secrets
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt
from s2clientprotocol import common_pb2 as sc_common
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.spelling import did_you_mean
from envs.standin.protocol.checks import Refused
from envs.standin.protocol.match import Match, Sizes
from envs.standin.protocol.observation.observation import picture_sizes, playable
from envs.standin.protocol.session import Guest, Session
from envs.standin.protocol.shared.peers import Relay, find_host, ports_of, wait_for_guest
from envs.standin.protocol.version import BUILD, DATA_VERSION, GAME_VERSION
from envs.standin.rules.terrain.levels import FILLED, UP, WALKED
from envs.standin.show.planes import LOWEST, TERRAIN_HEIGHT
from envs.starcraft import interface as sc
from envs.starcraft.maps import MAPS, MELEE, MiniGame
from envs.starcraft.opponents import BUILDS, DIFFICULTIES, RACES, Opponent


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
    kinds = sc_pb.Participant, sc_pb.Computer, sc_pb.Observer
    participants, computers, watchers = ([p for p in asked.player_setup if p.type == kind] for kind in kinds)
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
    elif problem := _wrong_players(map, len(participants), len(computers), len(watchers)):
        told.error, told.error_details = errors.InvalidPlayerSetup, problem
    else:
        session.leave()
        session.setup.CopyFrom(asked)
        session.setup.local_map.ClearField("map_data")
        session.map = map
        session.status = sc_pb.init_game


def _wrong_players(map: MiniGame, participants: int, computers: int, watchers: int) -> str:
    """Why the map cannot be played by so many, or nothing."""
    if not map.melee:
        return "" if participants == 1 and not watchers else f"{map.name} is for one participant, not {participants}"
    if participants + computers != 2:
        return f"a melee is for two players, not {participants} participants and {computers} computers"
    if watchers != (participants == 0):
        return "the stand-in game has an observer where two computers play, and only there"
    return ""


def resolutions(options: sc_pb.InterfaceOptions) -> Sizes:
    """Cells that the screen and the minimap are wide and high; those of rendered images where there are no layers.

    Raises Refused for what the stand-in cannot show.
    """
    layers = options.feature_layer
    for surface in (layers, options.render):
        if surface.HasField("width") and surface.width != sc.CAMERA_WIDTH:
            raise Refused(f"the stand-in game's camera is {sc.CAMERA_WIDTH:g} world units wide, not {surface.width:g}")
        if surface.crop_to_playable_area or options.raw_crop_to_playable_area:
            raise Refused("the stand-in game shows the whole map, it does not crop to the playable area")
    drawn = picture_sizes(options)
    sides = [int(side) or 64 for size in (layers.resolution, layers.minimap_resolution) for side in (size.x, size.y)]
    for name, each in (("screen and minimap", sides), ("rendered images", drawn)):
        if not all(0 < side <= 512 for side in each):
            raise Refused(f"the sides of {name} should be from 1 to 512 pixels, not {list(each)}")
    if options.HasField("render") and not options.HasField("feature_layer"):
        return drawn
    return sides[0], sides[1], sides[2], sides[3]


def join_game(session: Session, asked: sc_pb.RequestJoinGame, told: sc_pb.ResponseJoinGame) -> None:
    """Start the game that has been created, or come to one that another process has created."""
    errors = sc_pb.ResponseJoinGame
    created = session.status == sc_pb.init_game
    watches = created and any(player.type == sc_pb.Observer for player in session.setup.player_setup)
    if not created and not asked.HasField("server_ports"):
        raise Refused(
            "join_game: the game is launched; this request needs it to be init_game, or ports that lead to a game that "
            "another process has created"
        )
    if asked.HasField("observed_player_id") != watches:
        told.error = errors.FeatureUnsupported
        told.error_details = (
            "the set-up has an observer and no participant" if watches else "the set-up has no observer"
        )
    elif not watches and not asked.HasField("race"):
        told.error, told.error_details = errors.MissingParticipation, "the request names no race"
    elif not asked.HasField("options"):
        told.error, told.error_details = errors.MissingOptions, "the request names no options"
    elif watches and asked.observed_player_id > 2:
        told.error, told.error_details = errors.InvalidObservedPlayerId, "there are players 1 and 2"
    elif not created:
        _come_in(session, asked, told)
    else:
        _begin(session, asked, told)


def _begin(session: Session, asked: sc_pb.RequestJoinGame, told: sc_pb.ResponseJoinGame) -> None:
    sizes, setup = resolutions(asked.options), session.setup
    assert session.map is not None
    two = sum(player.type == sc_pb.Participant for player in setup.player_setup) == 2
    if two and not asked.HasField("server_ports"):
        told.error = sc_pb.ResponseJoinGame.MissingPorts
        told.error_details = "two play this game: name the ports where their processes meet"
        return
    link, request = wait_for_guest(session.host, ports_of(asked)) if two else (None, None)
    other = resolutions(request.join_game.options) if request is not None else None
    seed = setup.random_seed if setup.HasField("random_seed") else secrets.randbits(31)
    session.race = asked.race
    match = Match(session.map, seed, sizes, not setup.disable_fog, computers(setup), other)
    session.observing = asked.HasField("observed_player_id")
    session.player = max(asked.observed_player_id, 1)
    table = session.begin(match, asked.options, sizes)
    if session.observing:
        session.observer.disable_fog = asked.observed_player_id == 0
    else:
        told.player_id = session.player
    if link is not None and request is not None and other is not None:
        table.recording.other = request.join_game.race, other
        guest = Session()
        guest.map, guest.player, guest.race = session.map, 2, request.join_game.race
        guest.setup.CopyFrom(setup)
        guest.sit(table, request.join_game.options, other)
        session.guest = Guest(link, guest)


def _come_in(session: Session, asked: sc_pb.RequestJoinGame, told: sc_pb.ResponseJoinGame) -> None:
    """Come to the game that the other process has created."""
    resolutions(asked.options)  # refused here, not there
    request = sc_pb.Request(join_game=asked)
    link, answer = find_host(asked.host_ip or session.host, ports_of(asked), request)
    response = sc_pb.Response.FromString(answer)
    told.CopyFrom(response.join_game)
    session.relay, session.status = Relay(link, told.player_id), response.status


def computers(setup: sc_pb.RequestCreateGame) -> tuple[Opponent | None, Opponent | None]:
    """Who plays the first and the second player where nobody else does."""
    found: list[Opponent | None] = []
    for player in setup.player_setup:
        if player.type == sc_pb.Computer:
            # What is left out is 0: the API's own numbers begin at 1.
            race, difficulty, build = (
                next((name for name, number in table.items() if number == asked), None)
                for table, asked in ((RACES, player.race), (DIFFICULTIES, player.difficulty), (BUILDS, player.ai_build))
            )
            if build == "air":
                raise Refused("the stand-in game's computer has no build 'air': nothing flies in it")
            found.append(Opponent(race or "random", difficulty or "very_easy", build or "random"))
    first, second = ([None, None] + found)[-2:]
    return first, second


def restart_game(session: Session, asked: Any, told: sc_pb.ResponseRestartGame) -> None:
    """Begin the next episode."""
    if session.recording.other is not None:
        raise Refused("restart_game: two play this game; leave it, and create another")
    session.match.restart()
    disable_fog = session.observer.disable_fog
    session.begin(session.match, session.options, session.match.sizes)
    session.observer.disable_fog = disable_fog


def leave_game(session: Session, asked: Any, told: Any) -> None:
    """Back to where a game can be created."""
    session.leave()


def quit_game(session: Session, asked: Any, told: Any) -> None:
    """The process ends once this is answered."""
    if session.table is not None:
        session.table.part(session.player)
    session.status = sc_pb.quit


def game_info(session: Session, asked: Any, told: sc_pb.ResponseGameInfo) -> None:
    """The map and the players."""
    assert session.map is not None
    told.map_name = session.map.name
    told.local_map_path = session.setup.local_map.map_path
    told.options.CopyFrom(session.options)
    for surface in ("feature_layer", "render"):
        if told.options.HasField(surface):
            getattr(told.options, surface).width = sc.CAMERA_WIDTH
    # Whatever race is asked for, the stand-in plays Terran.
    races = [session.recording.race, *(other[:1] if (other := session.recording.other) else ())]
    players = [p for p in session.setup.player_setup if p.type != sc_pb.Observer]
    for number, player in enumerate(sorted(players, key=lambda p: p.type != sc_pb.Participant), 1):
        info = told.player_info.add(player_id=number, type=player.type, race_requested=player.race or sc_common.Random)
        if player.type == sc_pb.Participant:
            info.race_requested, info.race_actual = races[number - 1] or sc_common.Terran, sc_common.Terran
        else:
            info.difficulty = player.difficulty or sc_pb.VeryEasy
            info.ai_build = player.ai_build or sc_pb.RandomBuild
            if session.observing:
                info.race_actual = sc_common.Terran
    start = told.start_raw
    width, height = start.map_size.x, start.map_size.y = session.match.size
    left, bottom, right, top = session.match.playable
    start.playable_area.p0.x, start.playable_area.p0.y = left, bottom
    start.playable_area.p1.x, start.playable_area.p1.y = right, top
    grids = (
        (start.pathing_grid, 1, ground_cells(session.match, False)),
        (start.placement_grid, 1, ground_cells(session.match, True)),
        (start.terrain_height, 8, ground_heights(session.match)),
    )
    for image, bits, cells in grids:
        image.bits_per_pixel, image.size.x, image.size.y = bits, width, height
        image.data = (np.packbits(cells) if bits == 1 else cells).tobytes()
    for x, y in session.match.enemy_starts:
        start.start_locations.add(x=x, y=y)


def ground_cells(match: Match, build: bool) -> npt.NDArray[np.uint8]:
    """1 in the cells that units can walk on, or that buildings can stand on; the map's rows from the bottom."""
    cells = playable(match, 1)
    if ground := int(match.games["ground"][0]):
        heights = WALKED[ground]
        cells &= heights > 0
        if build:
            cells &= heights % UP == 0
    return cells


def ground_heights(match: Match) -> npt.NDArray[np.uint8]:
    """The height of each cell, by the API's scale."""
    if ground := int(match.games["ground"][0]):
        return (LOWEST + 2 * FILLED[ground].astype(int)).astype(np.uint8)
    return np.full(match.size[::-1], TERRAIN_HEIGHT, np.uint8)


def available_maps(session: Session, asked: Any, told: sc_pb.ResponseAvailableMaps) -> None:
    """The maps that can be played."""
    told.local_map_paths.extend(f"mini_games/{name}.SC2Map" for name in MAPS)
    told.local_map_paths.extend(f"Melee/{name}.SC2Map" for name in MELEE)


def save_map(session: Session, asked: sc_pb.RequestSaveMap, told: sc_pb.ResponseSaveMap) -> None:
    """Nothing is kept: the stand-in knows its maps by their names."""


def map_command(session: Session, asked: sc_pb.RequestMapCommand, told: sc_pb.ResponseMapCommand) -> None:
    """No map of the stand-in's has triggers to call."""
    told.error = sc_pb.ResponseMapCommand.NoTriggerError
    told.error_details = f"the map has no trigger {asked.trigger_cmd!r}"
